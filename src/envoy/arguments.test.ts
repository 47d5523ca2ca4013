import assert from 'node:assert/strict';
import { test } from 'node:test';
import { argumentsHash, envoyArguments } from './arguments.ts';

const OPTIONS = { bootstrapPath: '/run/trysail/envoy-bootstrap.json', concurrency: 2, drainTimeMs: 1500 };

function valueOf(args: readonly string[], flag: string): string | undefined {
  return args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined;
}

test('envoyArguments() rounds the drain time up to seconds, of which Envoy needs one', () => {
  assert.equal(valueOf(envoyArguments(OPTIONS), '--drain-time-s'), '2');
  assert.equal(valueOf(envoyArguments({ ...OPTIONS, drainTimeMs: 0 }), '--drain-time-s'), '1');
});

test('envoyArguments() turns hot restart off, with which Envoy dies with its parent', () => {
  assert.ok(envoyArguments(OPTIONS).includes('--disable-hot-restart'));
});

test('envoyArguments() quietens the discovery log only at the usual level', () => {
  assert.equal(valueOf(envoyArguments(OPTIONS), '--component-log-level'), 'config:error');
  assert.equal(valueOf(envoyArguments({ ...OPTIONS, logLevel: 'debug' }), '--component-log-level'), undefined);
});

test('argumentsHash() tells arguments apart, also where only their borders differ', () => {
  assert.equal(argumentsHash(envoyArguments(OPTIONS)), argumentsHash(envoyArguments({ ...OPTIONS })));
  assert.notEqual(argumentsHash(['a', 'bc']), argumentsHash(['ab', 'c']));
});
