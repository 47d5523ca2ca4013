import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatDuration, parseDurationMs } from './duration.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

const parsed: readonly (readonly [string, number | undefined])[] = [
  ['0', 0],
  ['0s', 0],
  ['1.5s', 1500],
  ['300ms', 300],
  ['1h30m', 5_400_000],
  ['.5s', 500],
  ['1.s', 1000],
  ['1us', 0.001],
  ['2m0.5s', 120_500],
  ['', undefined],
  ['5', undefined],
  ['s', undefined],
  ['-1s', undefined],
  ['+1s', undefined],
  ['1 s', undefined],
  ['1s ', undefined],
  ['1d', undefined],
  ['1s2', undefined],
  ['1e3s', undefined],
];

for (const [text, ms] of parsed)
  test(`"${text}" is ${ms === undefined ? 'no duration' : `${ms} ms`}`, () => assert.equal(parseDurationMs(text), ms));

test('whatever the text, parsing neither throws nor gives a negative number', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const ms = parseDurationMs(text);
      assert.ok(ms === undefined || ms >= 0);
    }),
  );
});

test('a call does not depend on the one before', () => {
  assert.equal(parseDurationMs('10sx'), undefined);
  assert.equal(parseDurationMs('1s'), 1000);
});

const formatted: readonly (readonly [number, string])[] = [
  [0, '0ms'],
  [849.6, '850ms'],
  [1000, '1s'],
  [200_000, '3m 20s'],
  [3_600_000, '1h'],
  [2_520_000_000, '29d 4h'],
];

for (const [ms, text] of formatted) test(`${ms} ms is written "${text}"`, () => assert.equal(formatDuration(ms), text));
