import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assignCapturePorts } from './callers.ts';

test('the first caller gets 15001, further ones 15101 and on', () => {
  assert.deepEqual(
    [...assignCapturePorts(['a', 'b', 'c'], new Map())],
    [
      ['a', 15_001],
      ['b', 15_101],
      ['c', 15_102],
    ],
  );
});

test('a caller keeps its port whoever comes and goes, and a port of one that is gone is nobody else’s', () => {
  const first = assignCapturePorts(['a', 'b'], new Map());
  const second = assignCapturePorts(['c', 'b'], first);
  assert.equal(second.get('b'), 15_101);
  assert.equal(second.get('c'), 15_102);
  assert.equal(assignCapturePorts(['a'], second).get('a'), 15_001);
});

test('when all ports have been used, those of callers that are gone are given again, and never one in use', () => {
  const all = assignCapturePorts(
    Array.from({ length: 801 }, (_, i) => `old${i}`),
    new Map(),
  );
  const next = assignCapturePorts(['old0', 'new'], all);
  assert.equal(next.get('old0'), 15_001);
  assert.equal(next.get('new'), 15_101);
  assert.equal(next.has('old1'), false);
  assert.equal(new Set(next.values()).size, next.size);
});
