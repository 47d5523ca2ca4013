import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readRegex } from './regex-syntax.ts';

const problemOf = (text: string): string | undefined => {
  const regex = readRegex(text);
  return 'problem' in regex ? regex.problem : undefined;
};

for (const text of [
  '.*',
  '^/api/v[12]/.*$',
  '(?P<id>\\d+)',
  '(?<id>\\d+)',
  '[]a]+',
  'a{,3}',
  '\\p{Greek}\\p{^L}',
  '(a{31}){31}',
])
  test(`Envoy takes ${text}`, () => assert.equal(problemOf(text), undefined));

const REFUSED: readonly (readonly [string, string])[] = [
  ['', 'is empty'],
  ['a'.repeat(1025), 'is longer than 1024 characters'],
  ['a(?=b)', 'is no regular expression of RE2: invalid or unsupported Perl syntax: "(?="'],
  ['(a)\\1', 'is no regular expression of RE2: invalid escape sequence: "\\1"'],
  ['a++', 'is no regular expression of RE2: invalid nested repetition operator: "++"'],
  ['a{1001}', 'is no regular expression of RE2: invalid repeat count: "{1001}"'],
  ['[z-a]', 'is no regular expression of RE2: invalid character class range: "z-a"'],
  ['(?P<a>x)(?P<a>y)', 'is no regular expression of RE2: duplicate capture group name: "a"'],
  [`(${'ab'.repeat(20)}){1000}`, 'is too large with its repetitions written out'],
  [`((${'a'.repeat(50)}){10}b){70}`, 'is too large with its repetitions written out'],
];

for (const [text, problem] of REFUSED)
  test(`Envoy does not take ${text.slice(0, 20)}`, () => assert.equal(problemOf(text), problem));
