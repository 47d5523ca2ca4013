import assert from 'node:assert/strict';
import { test } from 'node:test';
import { distance, withoutGaps } from './locality-priority.ts';

const at = (region: string, zone: string, subzone: string) => ({ region, zone, subzone });

test('the nearer, the lower', () => {
  const here = at('eu', 'a', 'r1');
  assert.deepEqual(
    [at('eu', 'a', 'r1'), at('eu', 'a', 'r2'), at('eu', 'b', 'r1'), at('us', 'a', 'r1')].map((to) =>
      distance(here, to),
    ),
    [0, 1, 2, 3],
  );
});

test('priorities begin at 0 and have no gaps', () => {
  assert.deepEqual(withoutGaps([3, 1, 3, 2]), [2, 0, 2, 1]);
  assert.deepEqual(withoutGaps([3]), [0]);
});
