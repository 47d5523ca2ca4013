import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renewalTimeMs } from './renewal.ts';

const VALIDITY = { notBeforeMs: 1_000_000, notAfterMs: 2_000_000 };

test('renewalTimeMs() is half of the life, give or take a hundredth', () => {
  assert.equal(
    renewalTimeMs(VALIDITY, () => 0.5, undefined),
    1_500_000,
  );
  assert.equal(
    renewalTimeMs(VALIDITY, () => 0, undefined),
    1_490_000,
  );
  assert.equal(
    renewalTimeMs(VALIDITY, () => 1, undefined),
    1_510_000,
  );
  assert.equal(
    renewalTimeMs(VALIDITY, () => 0.5, 1_010_000),
    1_500_000,
  );
});

test('renewalTimeMs() neither storms nor sleeps when the clock is off', () => {
  assert.equal(
    renewalTimeMs(VALIDITY, () => 0.5, 1_900_000),
    2_000_000,
    'a tenth of the life from now',
  );
  assert.equal(
    renewalTimeMs(VALIDITY, () => 0.5, 0),
    500_000,
    'half of the life from now',
  );
});
