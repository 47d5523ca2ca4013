import assert from 'node:assert/strict';
import { test } from 'node:test';
import { re2FullMatch, re2Replace } from './re2.ts';

test('re2FullMatch() matches whole texts, and what RE2 writes otherwise', () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['/api/.*', '/api/v1', true],
    ['/api', '/api/v1', false],
    ['a|ab', 'ab', true],
    ['(?i)/API(/.*)?', '/api/x', true],
    ['a(?i)b', 'aB', true],
    ['a(?i)b', 'AB', false],
    ['(?:a(?i)b)c', 'aBc', true],
    ['(?:a(?i)b)c', 'aBC', false],
    ['(?P<name>\\d+)', '42', true],
    ['[[:alpha:]]+', 'abc', true],
    ['[[:alpha:]-]+', 'a-b', true],
    ['[^[:digit:]]+', 'a1', false],
    ['\\Qa.b\\E.', 'a.bx', true],
    ['\\Qa.b\\E.', 'axbx', false],
    ['\\pL+', 'éa', true],
    ['\\p{Greek}+', 'αβ', true],
    ['\\P{^Lu}', 'A', true],
    ['\\x41\\x{42}', 'AB', true],
    ['\\Aab\\z', 'ab', true],
    ['a{2}', 'aa', true],
    ['a{b', 'a{b', true],
    ['[]a]+', ']a', true],
    ['\\s', '\u00a0', false],
    ['.', '\n', false],
    ['(?s).', '\n', true],
    ['a\\/b\\-c', 'a/b-c', true],
  ];
  for (const [pattern, text, expected] of cases)
    assert.equal(re2FullMatch(pattern, text), expected, `${pattern} ${text}`);
});

test('re2FullMatch() says when it cannot tell, and does not hang where JavaScript would', () => {
  assert.equal(re2FullMatch('(?U)a+', 'aa'), undefined);
  assert.equal(re2FullMatch('(a+)+$b', `${'a'.repeat(40)}c`), undefined);
});

test('re2Replace() puts groups where the substitution names them', () => {
  assert.equal(re2Replace('/(\\w+)/(.*)', '/a/b', '/\\2/\\1'), '/b/a');
  assert.equal(re2Replace('b', 'abcb', '$&'), 'a$&c$&');
  assert.equal(re2Replace('b', 'ab', '\\0\\\\'), 'ab\\');
});

test('many that backtrack for ever are given up together, and others are matched all the same', () => {
  const text = 'a'.repeat(40);
  const before = process.cpuUsage();
  for (let i = 0; i < 20; i++) assert.equal(re2FullMatch('(a*)*b', `${text}${i}`), undefined);
  // Half a second for each would be 10 s of the processor, whatever else runs on it.
  assert.ok(process.cpuUsage(before).user < 6_000_000);
  assert.equal(re2FullMatch('a+0', `${text}0`), true);
});
