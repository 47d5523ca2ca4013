import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clockSkew } from '../../src/agent/check-skew.ts';

const DATE = 'Sun, 22 Nov 2026 12:00:00 GMT';
const THEIR_MS = Date.parse(DATE) + 500;

const skew = (askedMs: number, answeredMs: number): string => {
  const during = { askedMs: THEIR_MS + askedMs, answeredMs: THEIR_MS + answeredMs };
  const { fact, finding } = clockSkew('the other', DATE, during);
  return fact ?? `${finding?.severity} ${finding?.message}`;
};

test('an answer that took long says nothing of a clock', () => {
  assert.equal(skew(-20_000, 0), 'same time');
  assert.equal(skew(0, 20_000), 'same time');
  assert.equal(skew(-90_000, 90_000), 'same time');
});

test('what lies outside of the question and its answer does', () => {
  assert.equal(skew(-4999, -4999), 'same time');
  assert.equal(skew(6000, 66_000), 'warning this host is 6s ahead of the other');
  assert.equal(skew(-66_000, -6000), 'warning this host is 6s behind the other');
  assert.equal(skew(60_000, 60_000), 'error this host is 1m ahead of the other');
});
