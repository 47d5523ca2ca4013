import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TrysailError } from '../lib/errors.ts';
import { throughOutage } from './outage.ts';

const failing = (codes: readonly string[]): { calls: number; work: () => Promise<string> } => {
  const one = {
    calls: 0,
    work: async (): Promise<string> => {
      const code = codes[one.calls];
      one.calls += 1;
      if (code !== undefined) throw new TrysailError(code, 'no');
      return 'done';
    },
  };
  return one;
};
const { signal } = new AbortController();
const HOUR_MS = 3_600_000;

test('what passes is waited out, anything else ends it at once', async () => {
  const away = failing(['CONSUL_UNREACHABLE', 'CONSUL_NO_LEADER']);
  assert.equal(await throughOutage(away.work, HOUR_MS, signal), 'done');
  const denied = failing(['CONSUL_UNREACHABLE', 'CONSUL_ACL_DENIED']);
  await assert.rejects(throughOutage(denied.work, HOUR_MS, signal), { code: 'CONSUL_ACL_DENIED' });
  assert.equal(denied.calls, 2);
});

test('the time and the signal end it, with what failed last', async () => {
  const away = failing(['CONSUL_BUSY', 'CONSUL_TIMEOUT']);
  await assert.rejects(throughOutage(away.work, 0, signal), { code: 'CONSUL_BUSY' });
  const aborted = AbortSignal.abort();
  await assert.rejects(throughOutage(failing(['CONSUL_BUSY', 'x']).work, HOUR_MS, aborted), { code: 'CONSUL_BUSY' });
});
