import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDiagnostic } from '../model/diagnostic.ts';
import { captureDiagnostics } from './capture-diagnostics.ts';
import { localInstances } from './local-instances.ts';
import { registrable } from './registrable.ts';
import { completeSettings } from './settings-complete.ts';
import { SETTINGS_SCHEMA } from './settings-schema.ts';

const completed = completeSettings(
  SETTINGS_SCHEMA.parse({
    identity: { provider: 'trysail-ca', ca: { address: '10.0.0.1:15012' } },
    services: [
      { name: 'captured', port: 8080, capture: 'redirect' },
      { name: 'beside', port: 9080, application: '127.0.0.1:9080' },
      { name: 'off', port: 7080, mode: 'off', application: '10.0.0.5:7080' },
    ],
  }),
  {
    file: undefined,
    base: { directory: '/', credentials: undefined },
    machine: { hostName: 'vm-1', address: '10.0.0.5', cores: 1 },
    exists: () => false,
  },
);

test('peers are told of mutual TLS at a captured port when its rules are in force for good, and not before', () => {
  assert.ok('settings' in completed, JSON.stringify(completed));
  const { settings } = completed;
  const offers = (captureIsConfirmed: boolean): readonly unknown[] =>
    localInstances(registrable(settings, captureIsConfirmed), new Map()).map((one) => [
      one.name,
      one.address,
      one.port,
      one.offersMtls,
      one.proxyHealth !== undefined,
    ]);
  assert.deepEqual(offers(false), [
    ['captured', '10.0.0.5', 8080, false, false],
    ['beside', '10.0.0.5', 9080, true, true],
    ['off', '10.0.0.5', 7080, false, false],
  ]);
  assert.deepEqual(offers(true)[0], ['captured', '10.0.0.5', 8080, true, true]);
  assert.equal(registrable(settings, true), settings);
});

test('rules that are not in force, or not for good, are told with what to do', () => {
  const said = (report: Parameters<typeof captureDiagnostics>[0]): string =>
    captureDiagnostics(report).map(formatDiagnostic).join('\n');
  const rest = { waitingFor: [], unknownUsers: [] };
  assert.match(said({ state: 'unapplied', ...rest }), /^warning TRY0110 capture: .*trysail capture apply/);
  assert.match(said({ state: 'trial', trialEndsAt: '2026-01-01T00:00:00Z', ...rest }), /until 2026.*capture confirm/);
  assert.match(said({ state: 'failed', error: { message: 'no nft' }, ...rest }), /^error TRY0110 capture: .*no nft/);
  for (const state of ['on', 'waiting', 'unconfigured'] as const) assert.equal(said({ state, ...rest }), '');
});
