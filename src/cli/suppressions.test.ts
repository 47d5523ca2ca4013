import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSuppressed } from './suppressions.ts';

const FINDING = {
  code: 'IST0173',
  severity: 'error',
  object: 'DestinationRule shop/reviews',
  message: 'x',
} as const;

test('findings are left out by code, and by resource in either spelling', () => {
  for (const text of [
    'IST0173',
    'IST*',
    'IST0173=DestinationRule shop/reviews',
    'IST0173=DestinationRule reviews.shop',
    'IST0173=DestinationRule shop/*',
    'IST0173=*/reviews',
    'IST0173=DestinationRule *re*w*.shop',
    '*=*',
  ])
    assert.equal(isSuppressed(FINDING, ['IST0001', text]), true, text);
  for (const text of [
    'IST0174',
    'IST0173=DestinationRule shop/review',
    'IST0173=VirtualService *',
    'IST0174=*',
    'IST0173=',
    'IST0173=DestinationRule shop/reviews*reviews',
  ])
    assert.equal(isSuppressed(FINDING, [text]), false, text);
  assert.equal(isSuppressed({ ...FINDING, object: 'In general' }, ['IST0173=In general']), true);
});
