import assert from 'node:assert/strict';
import { test } from 'node:test';
import { namesAreReachable } from './reachable-names.ts';
import { completeSettings } from './settings-complete.ts';
import { SETTINGS_SCHEMA } from './settings-schema.ts';

function reachable(written: Readonly<Record<string, unknown>>, isCaptured: boolean): boolean {
  const services = [{ name: 'orders', port: 80, unit: 'orders.service', application: '10.0.0.5:8080' }];
  const completed = completeSettings(
    SETTINGS_SCHEMA.parse({ services, upstreams: [{ service: 'payments' }], ...written }),
    {
      file: undefined,
      base: { directory: '/', credentials: undefined },
      machine: { hostName: 'vm-1', address: '10.0.0.5', cores: 2 },
      exists: () => false,
    },
  );
  assert.ok('settings' in completed);
  return namesAreReachable(completed.settings, isCaptured);
}

const OTHER_RANGE = { dns: { addresses: ['240.240.0.0/16'] }, capture: { outbound: 'listed' } };

test('loopback addresses need no rules', () => {
  assert.equal(reachable({}, false), true);
});

test('others do: as long as nobody has put them in force, names stay the network’s', () => {
  assert.equal(reachable(OTHER_RANGE, false), false);
  assert.equal(reachable(OTHER_RANGE, true), true);
  assert.equal(reachable({ dns: { addresses: ['127.240.0.0/16', '2001:2::/64'] } }, false), false);
});

test('nor where agent.yaml has nobody’s calls captured any more, whatever was in force', () => {
  assert.equal(reachable({ ...OTHER_RANGE, capture: { outbound: 'none' } }, true), false);
});

test('in mode off calls are the host’s own', () => {
  assert.equal(reachable({ mode: 'off' }, false), false);
  assert.equal(reachable({ ...OTHER_RANGE, mode: 'off' }, true), false);
});
