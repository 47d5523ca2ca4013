import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { regexProblem } from './regex-syntax.ts';

const ACCEPTED = [
  '.*',
  '^/api/v[12]/.*$',
  '(?i)chrome.*',
  '(?P<id>\\d+)',
  '(?<id>\\d+)',
  '(?:a|b)+?',
  '(?i:a)b',
  '[[:alpha:]_]+',
  '[]a]+',
  '[^]a]',
  '\\pL\\PN',
  'a{2,3}',
  'a{2}?',
  'a{,3}',
  'a{x}',
  '\\.\\-\\/',
  '\\x41\\z',
  'a|',
  '\\Q(*\\E+',
  '\\p{Greek}\\p{^L}\\x{41}',
  '[+--]',
  '[a-]',
  '(a{31}){31}',
];

for (const text of ACCEPTED) test(`RE2 takes ${text}`, () => assert.equal(regexProblem(text), undefined));

const REFUSED: readonly (readonly [string, RegExp])[] = [
  ['', /is empty/],
  ['a(?=b)', /lookahead/],
  ['a(?!b)', /lookahead/],
  ['(?<=a)b', /lookbehind/],
  ['(?<!a)b', /lookbehind/],
  ['(?>a)', /atomic group/],
  ['(?#comment)', /unknown kind of group/],
  ['(a)\\1', /back-reference/],
  ['(?P<x>a)\\k<x>', /back-reference/],
  ['a\\Z', /\\Z/],
  ['[\\1]', /back-reference/],
  ['*a', /repeats nothing/],
  ['(+a)', /repeats nothing/],
  ['a**', /repeats a repetition/],
  ['a++', /repeats a repetition/],
  ['a{1001}', /more than 1000/],
  ['a{1,2000}', /more than 1000/],
  ['a{3,2}', /from more to fewer/],
  ['(a', /"\(" that is never closed/],
  ['a)', /"\)" that opens nowhere/],
  ['[a', /"\[" that is never closed/],
  ['a\\', /ends in a backslash/],
  ['a'.repeat(1025), /longer than 1024/],
  ['[z-a]', /a range that does not rise, in "\[z-a"/],
  ['[a-\\d]', /a range that does not rise/],
  ['[[:foo:]]', /a class between "\[:" and ":\]"/],
  ['[\\b]', /\\b, which RE2 does not have there/],
  ['\\p{Nonsense}', /without a Unicode class/],
  ['\\x4', /without its two hexadecimal digits/],
  ['\\x{110000}', /which is no character/],
  ['(a{33}){33}', /more than 1000/],
  ['(a{600,}){2}', /more than 1000/],
  [`(${'ab'.repeat(20)}){1000}`, /too large with its repetitions written out/],
  [`((${'a'.repeat(50)}){10}b){70}`, /too large with its repetitions written out/],
];

for (const [text, problem] of REFUSED)
  test(`RE2 refuses ${text.slice(0, 20)}`, () => assert.match(regexProblem(text) ?? 'nothing', problem));

test('any text has an answer, and plain words are accepted', () => {
  fc.assert(fc.property(fc.string(), (text) => ['string', 'undefined'].includes(typeof regexProblem(text))));
  fc.assert(fc.property(fc.stringMatching(/^[\w/.-]{1,50}$/), (text) => regexProblem(text) === undefined));
});
