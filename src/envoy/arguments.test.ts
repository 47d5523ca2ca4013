import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  argumentOf,
  argumentsHash,
  baseId,
  envoyArguments,
  parentShutdownMs,
  withEpoch,
  withWorkersOf,
} from './arguments.ts';

const OPTIONS = {
  bootstrapPath: '/run/trysail/envoy-bootstrap.json',
  launcherDir: '/run/trysail-envoy',
  concurrency: 2,
  drainTimeMs: 1500,
};

test('envoyArguments() rounds the drain time up to seconds, of which Envoy needs one, and ends the old one after it', () => {
  assert.equal(argumentOf(envoyArguments(OPTIONS), '--drain-time-s'), '2');
  assert.equal(argumentOf(envoyArguments(OPTIONS), '--parent-shutdown-time-s'), '3');
  assert.equal(parentShutdownMs(OPTIONS), 3000);
  assert.equal(argumentOf(envoyArguments({ ...OPTIONS, drainTimeMs: 0 }), '--drain-time-s'), '1');
});

test('a base id is one of the folder, within what Envoy can multiply by ten', () => {
  assert.equal(baseId('/run/a'), baseId('/run/a'));
  assert.notEqual(baseId('/run/a'), baseId('/run/b'));
  assert.ok(Array.from({ length: 1000 }, (_, i) => baseId(`/run/${i}`)).every((id) => id * 10 < 2 ** 32));
});

test('an epoch changes one argument and not the hash', () => {
  const args = envoyArguments(OPTIONS);
  assert.equal(argumentOf(withEpoch(args, 7), '--restart-epoch'), '7');
  assert.equal(argumentsHash(withEpoch(args, 7)), argumentsHash(args));
  assert.notEqual(argumentsHash(envoyArguments({ ...OPTIONS, concurrency: 3 })), argumentsHash(args));
});

test('envoyArguments() quietens the discovery log only at the usual level', () => {
  assert.equal(argumentOf(envoyArguments(OPTIONS), '--component-log-level'), 'config:error');
  assert.equal(argumentOf(envoyArguments({ ...OPTIONS, logLevel: 'debug' }), '--component-log-level'), undefined);
});

test('argumentsHash() tells arguments apart, also where only their borders differ', () => {
  assert.equal(argumentsHash(envoyArguments(OPTIONS)), argumentsHash(envoyArguments({ ...OPTIONS })));
  assert.notEqual(argumentsHash(['a', 'bc']), argumentsHash(['ab', 'c']));
});

test('withWorkersOf() never takes workers away', () => {
  const args = envoyArguments(OPTIONS);
  assert.equal(withWorkersOf(envoyArguments({ ...OPTIONS, concurrency: 1 }), args), args);
  assert.equal(withWorkersOf([], args), args);
  assert.equal(argumentOf(withWorkersOf(envoyArguments({ ...OPTIONS, concurrency: 4 }), args), '--concurrency'), '4');
});
