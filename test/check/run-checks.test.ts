import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseEnvironment } from '../../src/agent/check-environment.ts';
import { TrysailError } from '../../src/lib/errors.ts';
import type { HostCheck } from '../../src/platform/vm/checks/host-check.ts';
import { finding } from '../../src/platform/vm/checks/host-check.ts';
import { runChecks } from '../../src/platform/vm/checks/run-checks.ts';
import { fakeHost, needsWith } from './fake-host.ts';

const context = { io: fakeHost({}), needs: needsWith({}) };
const named = (name: string, run: HostCheck['run'], more: Partial<HostCheck> = {}): HostCheck => ({
  name,
  run,
  ...more,
});
const good = named('good', () => Promise.resolve({ facts: ['all of it'], findings: [] }));

test('results keep the order, and the worst finding is the state', async () => {
  const mixed = named('mixed', () =>
    Promise.resolve({
      facts: [],
      findings: [finding('TRY1105', 'info', 'a', 'b', 'c'), finding('TRY1105', 'error', 'd', 'e', 'f')],
    }),
  );
  const skipped = named('skipped', () => Promise.resolve({ facts: ['x'], findings: [], skipped: 'why' }));
  const results = await runChecks([mixed, good, skipped], context);
  assert.deepEqual(
    results.map(({ name, state, facts, findings }) => [name, state, facts, findings.map(({ severity }) => severity)]),
    [
      ['mixed', 'error', [], ['error', 'info']],
      ['good', 'ok', ['all of it'], []],
      ['skipped', 'skipped', ['why'], []],
    ],
  );
});

test('a check that hangs is given up, says so, and holds up no other', async () => {
  let aborted = false;
  const hanging = named(
    'hanging',
    ({ signal }) => new Promise(() => signal.addEventListener('abort', () => (aborted = true))),
    { timeoutMs: 50 },
  );
  const seen: (readonly string[])[] = [];
  const results = await runChecks([hanging, good], context, { onProgress: (running) => seen.push(running) });
  assert.deepEqual(
    results.map(({ name, state, findings }) => [name, state, findings[0]?.message]),
    [
      ['hanging', 'warning', 'it was given up after 0.05 s'],
      ['good', 'ok', undefined],
    ],
  );
  assert.ok(aborted);
  assert.deepEqual(seen, [['hanging', 'good'], ['hanging'], []]);
});

test('an error for people becomes a finding, a defect stays one', async () => {
  const failing = named('failing', () => Promise.reject(new TrysailError('X_Y', 'no', { remedy: 'Do.' })));
  const [result] = await runChecks([failing], context);
  assert.deepEqual(
    [result?.state, result?.findings[0]?.message, result?.findings[0]?.remedy],
    ['warning', 'no', 'Do.'],
  );
  await assert.rejects(runChecks([named('defect', () => Promise.reject(new TypeError('defect')))], context), /defect/);
});

test('what only agent.yaml can say is left out while that has errors', async () => {
  const needs = needsWith({ known: false });
  const [result] = await runChecks([{ ...good, needsConfiguration: true }], { ...context, needs });
  assert.deepEqual([result?.state, result?.facts], ['skipped', ['agent.yaml has errors']]);
});

test('the environment of a unit, as systemctl shows it', () => {
  assert.deepEqual(parseEnvironment('A=1 "B=two words" "C=a \\"quote\\"" D= noise'), {
    A: '1',
    B: 'two words',
    C: 'a "quote"',
    D: '',
  });
});
