import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type Aged, assignAges } from './resource-ages.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

const fresh: Aged = { createdMs: undefined, previousAge: undefined };

test('without any age the order is the age', () => {
  assert.deepEqual(assignAges([fresh, fresh, fresh]), [1, 2, 3]);
});

test('one in the middle takes an age between its neighbours, which keep theirs', () => {
  const [a, b, c] = assignAges([{ ...fresh, previousAge: 1 }, fresh, { ...fresh, previousAge: 2 }]);
  assert.deepEqual([a, c], [1, 2]);
  assert.ok(b !== undefined && b > 1 && b < 2);
});

test('a creation time is younger than any file, and counts as it is', () => {
  const [timed, untimed, older] = assignAges([
    { createdMs: 2000, previousAge: undefined },
    fresh,
    { createdMs: 1000, previousAge: undefined },
  ]);
  assert.ok(timed !== undefined && untimed !== undefined && older !== undefined);
  assert.ok(untimed < older && older < timed);
});

test('insertion into one gap again and again ends in new numbers, never in a wrong order', () => {
  let ages: readonly number[] = [1, 2];
  for (let i = 0; i < 200; i += 1) {
    const items = ages.map((previousAge): Aged => ({ createdMs: undefined, previousAge }));
    ages = assignAges([items[0] ?? fresh, fresh, ...items.slice(1)]);
    assert.ok(
      ages.every((age, j) => j === 0 || age > (ages[j - 1] ?? 0)),
      `after ${i} insertions`,
    );
  }
});

test('ages rise in the given order, whatever they were before', () => {
  const aged = fc.record({
    createdMs: fc.constant(undefined),
    previousAge: fc.option(fc.oneof(fc.nat(20), fc.double({ min: 0, max: 20, noNaN: true })), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(aged, { maxLength: 30 }), (items) => {
      const ages = assignAges(items);
      assert.equal(ages.length, items.length);
      assert.ok(
        ages.every((age, i) => age > (ages[i - 1] ?? 0)),
        ages.join(' '),
      );
    }),
  );
});
