import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { compileRe2, re2FullMatch, re2Replace } from './re2.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

test('re2FullMatch() matches whole texts', () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['/api/.*', '/api/v1', true],
    ['/api', '/api/v1', false],
    ['a|ab', 'ab', true],
    ['(?i)/API(/.*)?', '/api/x', true],
    ['a(?i)b', 'aB', true],
    ['a(?i)b', 'AB', false],
    ['(?:a(?i)b)c', 'aBC', false],
    ['(?P<name>\\d+)', '42', true],
    ['[[:alpha:]-]+', 'a-b', true],
    ['[^[:digit:]]+', 'a1', false],
    ['[[:^digit:]]+', 'ab', true],
    ['\\Qa.b\\E.', 'a.bx', true],
    ['\\Qa.b\\E.', 'axbx', false],
    ['\\pL+', 'éa', true],
    ['\\P{^Lu}', 'A', true],
    ['\\Aab\\z', 'ab', true],
    ['a{b', 'a{b', true],
    ['\\s', '\u00a0', false],
    ['.', '\n', false],
    ['(?s).', '\n', true],
    ['(?U)a+', 'aa', true],
  ];
  for (const [pattern, text, expected] of cases)
    assert.equal(re2FullMatch(pattern, text), expected, `${pattern} ${text}`);
});

test('what backtracks for ever elsewhere is answered', () => {
  assert.equal(re2FullMatch('(a*)*b', 'a'.repeat(5000)), false);
  assert.equal(re2FullMatch('(a+)+b', `${'a'.repeat(5000)}b`), true);
});

test('a pattern that RE2 refuses matches nothing, and says why', () => {
  assert.equal(re2FullMatch('(?=a)a', 'a'), undefined);
  assert.equal(re2Replace('(a', 'a', ''), undefined);
  assert.deepEqual(compileRe2('(a'), { problem: 'missing closing ): "(a"' });
});

test('re2Replace() puts groups where the substitution names them', () => {
  assert.equal(re2Replace('/(\\w+)/(.*)', '/a/b', '/\\2/\\1'), '/b/a');
  assert.equal(re2Replace('b', 'abcb', '$&'), 'a$&c$&');
  assert.equal(re2Replace('b', 'ab', '\\0\\\\'), 'ab\\');
  assert.equal(re2Replace('(a)|(b)', 'ab', '<\\1|\\2>'), '<a|><|b>');
  assert.equal(re2Replace('a*', 'baaac', 'x'), 'xbxcx');
});

test('any text compiles or has a problem', () => {
  fc.assert(fc.property(fc.string(), (text) => typeof compileRe2(text) === 'object'));
});
