import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lineDiff } from './line-diff.ts';

const numbered = (first: number, last: number): string =>
  Array.from({ length: last - first + 1 }, (_, i) => `line ${first + i}\n`).join('');

test('lines that are the same are left out but for three around a difference', () => {
  const before = numbered(1, 30);
  const after = before.replace('line 5\n', 'five\n').replace('line 20\n', '');
  const around = (first: number, changed: readonly string[], next: number): readonly string[] => [
    ...[0, 1, 2].map((n) => `  line ${first + n}`),
    ...changed,
    ...[0, 1, 2].map((n) => `  line ${next + n}`),
  ];
  assert.deepEqual(lineDiff(before, after), [
    ...around(2, ['- line 5', '+ five'], 6),
    '  …',
    ...around(17, ['- line 20'], 21),
  ]);
});

test('a text that comes or goes is shown whole, equal texts not at all', () => {
  assert.deepEqual(lineDiff(undefined, 'a\n\nb\n'), ['+ a', '+ ', '+ b']);
  assert.deepEqual(lineDiff('a\n', undefined), ['- a']);
  assert.deepEqual(lineDiff('a\nb\n', 'a\nb\n'), []);
});

test('whether the last line is ended makes no difference', () => {
  assert.deepEqual(lineDiff('a\nb', 'a\nb\n'), []);
  assert.deepEqual(lineDiff('a', 'a\nb'), ['  a', '+ b']);
});

test('long texts with nothing in common are shown whole', () => {
  const lines = lineDiff(numbered(1, 3000), numbered(4001, 7000));
  assert.deepEqual([lines.length, lines[0], lines[3000]], [6000, '- line 1', '+ line 4001']);
});
