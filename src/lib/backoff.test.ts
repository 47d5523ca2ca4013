import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Backoff } from './backoff.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

test('a backoff doubles up to its bound', () => {
  const backoff = new Backoff({ baseMs: 100, maxMs: 1000, random: () => 1 });
  assert.deepEqual(
    Array.from({ length: 6 }, () => backoff.nextMs()),
    [100, 200, 400, 800, 1000, 1000],
  );
  assert.equal(backoff.attempts, 6);
});

test('a reset begins anew', () => {
  const backoff = new Backoff({ baseMs: 100, maxMs: 1000, random: () => 0 });
  backoff.nextMs();
  backoff.nextMs();
  backoff.reset();
  assert.equal(backoff.attempts, 0);
  assert.equal(backoff.nextMs(), 50);
});

test('every delay lies between half and all of its ceiling, however often it is asked', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.double({ min: 0, max: 0.999_999, noNaN: true }),
      fc.integer({ min: 0, max: 2000 }),
      (baseMs, maxMs, chance, tries) => {
        const backoff = new Backoff({ baseMs, maxMs, random: () => chance });
        for (let i = 0; i < tries; i += 1) backoff.nextMs();
        const ceiling = Math.min(maxMs, baseMs * 2 ** Math.min(tries, 30));
        const ms = backoff.nextMs();
        assert.ok(ms >= Math.floor(ceiling / 2) && ms <= ceiling, `${ms} of ${ceiling}`);
      },
    ),
  );
});
