import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Memo } from './memo.ts';

test('a unit is built again only for other inputs', () => {
  const memo = new Memo<{ n: number }>();
  const input = {};
  const first = memo.get('a', [input, 1], () => ({ n: 1 }));
  memo.sweep();
  assert.equal(
    memo.get('a', [input, 1], () => ({ n: 2 })),
    first,
  );
  memo.sweep();
  assert.deepEqual(
    memo.get('a', [input, 2], () => ({ n: 3 })),
    { n: 3 },
  );
  assert.equal(memo.recomputed, 2);
});

test('a rebuilt value that says the same is the one before', () => {
  const memo = new Memo<{ n: number }>((a, b) => a.n === b.n);
  const first = memo.get('a', [1], () => ({ n: 1 }));
  memo.sweep();
  assert.equal(
    memo.get('a', [2], () => ({ n: 1 })),
    first,
  );
});

test('what a translation did not ask for is forgotten', () => {
  const memo = new Memo<{ n: number }>();
  memo.get('a', [1], () => ({ n: 1 }));
  memo.sweep();
  memo.sweep();
  memo.get('a', [1], () => ({ n: 1 }));
  assert.equal(memo.recomputed, 2);
});

test('the builder sees the value before', () => {
  const memo = new Memo<number>();
  memo.get('a', [1], () => 1);
  memo.sweep();
  assert.equal(
    memo.get('a', [2], (previous) => (previous ?? 0) + 10),
    11,
  );
});
