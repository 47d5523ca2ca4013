import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RateLimit } from './rate-limit.ts';

test('RateLimit lets a burst through, then so many a second, for each caller', () => {
  let now = 0;
  const limit = new RateLimit({ perSecond: 2, burst: 3, now: () => now });
  const take = (caller: string): string => [1, 2, 3, 4].map(() => (limit.take(caller) ? 'y' : 'n')).join('');
  assert.equal(take('a'), 'yyyn');
  assert.equal(take('b'), 'yyyn');
  now += 1000;
  assert.equal(take('a'), 'yynn');
  now += 60_000;
  assert.equal(take('a'), 'yyyn');
  now -= 60_000;
  assert.equal(take('a'), 'nnnn', 'a clock that is set back gives nothing');
});

test('RateLimit forgets those that were not seen for longest', () => {
  const limit = new RateLimit({ perSecond: 0, burst: 1, now: () => 0 });
  assert.ok(limit.take('first'));
  assert.ok(!limit.take('first'));
  for (let i = 0; i < 20_000; i += 1) limit.take(`other-${i}`);
  assert.ok(limit.take('first'));
});
