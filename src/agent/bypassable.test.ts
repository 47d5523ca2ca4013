import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bypassable } from './bypassable.ts';
import { completeSettings } from './settings-complete.ts';
import { SETTINGS_SCHEMA } from './settings-schema.ts';

const ENVOY_UID = 999;

function found(
  listeners: Readonly<Record<number, readonly (readonly [address: string, uid: number])[]>>,
  isKept: (port: number) => boolean = () => false,
): Readonly<Record<string, readonly string[]>> {
  const written = {
    services: [
      { name: 'full', port: 80, application: '127.0.0.1:8080' },
      { name: 'observed', port: 81, mode: 'observe', application: '127.0.0.1:8081' },
      { name: 'out', port: 82, mode: 'outbound' },
      { name: 'off', port: 83, mode: 'off' },
      { name: 'captured', port: 84, capture: 'redirect' },
      { name: 'caller' },
    ],
  };
  const completed = completeSettings(SETTINGS_SCHEMA.parse(written), {
    file: undefined,
    base: { directory: '/', credentials: undefined },
    machine: { hostName: 'vm-1', address: '10.0.0.5', cores: 2 },
    exists: () => false,
  });
  assert.ok('settings' in completed);
  const ports = {
    listeners: (port: number) => (listeners[port] ?? []).map(([address, uid]) => ({ address, uid })),
  };
  return Object.fromEntries(bypassable(completed.settings, { ports, envoyUid: ENVOY_UID, isKept }));
}

test('an application on loopback, or none at all, cannot be reached past the proxy', () => {
  assert.deepEqual(found({ 8080: [['127.0.0.1', 5]], 8081: [['::1', 5]] }), {});
});

test('one that listens for others can, wherever it does', () => {
  const all = {
    8080: [['0.0.0.0', 5] as const, ['::', 5] as const, ['127.0.0.1', 5] as const],
    8081: [['10.0.0.5', 5] as const],
  };
  assert.deepEqual(found(all), {
    'default/full': ['0.0.0.0:8080', '[::]:8080'],
    'default/observed': ['10.0.0.5:8081'],
  });
});

test('in modes outbound and off nothing is passed by', () => {
  assert.deepEqual(found({ 82: [['10.0.0.5', 5]], 83: [['10.0.0.5', 5]] }), {});
});

test('a port that the kernel keeps to the proxy is none, and without the rules it is one', () => {
  const listeners = { 84: [['10.0.0.5', 5] as const] };
  assert.deepEqual(
    found(listeners, (port) => port === 84),
    {},
  );
  assert.deepEqual(found(listeners), { 'default/captured': ['10.0.0.5:84'] });
});

test('what Envoy itself holds open is its own', () => {
  assert.deepEqual(found({ 8080: [['10.0.0.5', ENVOY_UID]] }), {});
});
