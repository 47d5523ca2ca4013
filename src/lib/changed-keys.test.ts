import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changedKeys, differingKeys } from './changed-keys.ts';

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

test('the keys of other values with those that have come or gone', () => {
  const [a, b] = [{}, {}];
  const before = new Map([
    ['a', a],
    ['b', b],
  ]);
  const after = new Map([
    ['a', b],
    ['c', b],
  ]);
  assert.deepEqual(differingKeys(before, after), ['a', 'c', 'b']);
  assert.deepEqual(differingKeys(before, new Map(before)), []);
});
