import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearest } from './nearest.ts';

const KNOWN = ['timeout', 'retries', 'route', 'match'];

const words: readonly (readonly [string, string | undefined])[] = [
  ['timeuot', 'timeout'],
  ['Timeout', 'timeout'],
  ['retires', 'retries'],
  ['routes', 'route'],
  ['x', undefined],
  ['completely', undefined],
  ['', undefined],
];

for (const [word, expected] of words)
  test(`the nearest to "${word}" is ${expected ?? 'none'}`, () => assert.equal(nearest(word, KNOWN), expected));

test('of two equally near words the first is taken; of none, none', () => {
  assert.equal(nearest('ac', ['ab', 'ad']), 'ab');
  assert.equal(nearest('ac', []), undefined);
});
