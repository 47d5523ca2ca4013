import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changedKeys } from './changed-keys.ts';

test('the keys of other values; undefined where keys are others', () => {
  const [a, b] = [{}, {}];
  const before = new Map([
    ['a', a],
    ['b', b],
  ]);
  assert.deepEqual(changedKeys(before, new Map(before)), []);
  assert.deepEqual(changedKeys(before, new Map(before).set('b', {})), ['b']);
  assert.equal(changedKeys(before, new Map(before).set('c', {})), undefined);
  assert.equal(changedKeys(before, new Map([['a', a]])), undefined);
  assert.equal(
    changedKeys(
      before,
      new Map([
        ['a', a],
        ['c', b],
      ]),
    ),
    undefined,
  );
});
