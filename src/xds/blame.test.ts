import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blamedNames } from './blame.ts';

test('names stand in a message as whole words', () => {
  const names = ['outbound|80||a.mesh', 'outbound|80||a.mesh2', 'a', 'r', ''];
  assert.deepEqual(blamedNames('Error adding/updating cluster(s) outbound|80||a.mesh: no lb', names), [
    'outbound|80||a.mesh',
  ]);
  assert.deepEqual(blamedNames("cluster 'outbound|80||a.mesh2' is unknown", names), ['outbound|80||a.mesh2']);
  assert.deepEqual(blamedNames('in a. And r, too', names), ['a', 'r']);
  assert.deepEqual(blamedNames('something else', names), []);
  assert.deepEqual(blamedNames('', names), []);
});
