import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sharedList, sharedMap } from './sharing.ts';

test('a list with the same elements is the old one, any other the new one', () => {
  const [a, b] = [{}, {}];
  const old = [a, b];
  assert.equal(sharedList(old, [a, b]), old);
  for (const next of [[b, a], [a], [a, b, a], [a, {}]]) assert.equal(sharedList(old, next), next);
  assert.deepEqual(sharedList(undefined, []), []);
});

test('a map with the same values is the old one, any other the new one', () => {
  const value = {};
  const old = new Map([['k', value]]);
  assert.equal(sharedMap(old, new Map([['k', value]])), old);
  for (const next of [new Map(), new Map([['k', {}]]), new Map([['l', value]])])
    assert.equal(sharedMap(old, next), next);
  const absent = new Map<string, undefined>([['k', undefined]]);
  assert.equal(sharedMap(new Map([['l', undefined]]), absent), absent);
});
