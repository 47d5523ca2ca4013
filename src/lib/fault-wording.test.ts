import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as z from 'zod/mini';
import { shownValue } from './shown-value.ts';
import { checkAgainst, parseYamlDocuments } from './yaml-document.ts';

const schema = z.strictObject({
  text: z.optional(z.string()),
  number: z.optional(z.number()),
  flag: z.optional(z.boolean()),
  list: z.optional(z.array(z.number())),
  map: z.optional(z.record(z.string(), z.string())),
  section: z.optional(z.strictObject({ name: z.string() })),
  mode: z.optional(z.enum(['STRICT', 'PERMISSIVE'])),
  either: z.optional(z.union([z.string(), z.number()])),
});

const LONG = 'word '.repeat(100);

/** What is written, and what is said of it. */
const WRONG: readonly (readonly [yaml: string, message: string, remedy: string])[] = [
  ['number: "80"', '"80" (a string) is not a number', 'Write it without quotes: 80.'],
  ['number: "-1.5"', '"-1.5" (a string) is not a number', 'Write it without quotes: -1.5.'],
  ['number: many', '"many" (a string) is not a number', 'Write a number.'],
  ['number: true', 'true (a boolean) is not a number', 'Write a number.'],
  ['number: .inf', '.inf is not a number', 'Write a number.'],
  ['number: .nan', '.nan is not a number', 'Write a number.'],
  ['number: [80]', 'a list is not a number', 'Write a number.'],
  ['number: {a: 80}', 'a mapping is not a number', 'Write a number.'],
  ['number:', 'an empty value is not a number', 'Write a number.'],
  ['text: 80', '80 (a number) is not a string', 'Put it in quotes.'],
  ['text: false', 'false (a boolean) is not a string', 'Put it in quotes.'],
  ['text: [secret]', 'a list is not a string', 'Write a string.'],
  ['text: {secret: 1}', 'a mapping is not a string', 'Write a string.'],
  ['flag: "true"', '"true" (a string) is not a boolean', 'Write true or false, without quotes.'],
  ['flag: yes', '"yes" (a string) is not a boolean', 'Write true or false, without quotes.'],
  ['flag: 1', '1 (a number) is not a boolean', 'Write true or false.'],
  ['list: 80', '80 (a number) is not a list', 'Write a list, such as [80].'],
  ['list: a', '"a" (a string) is not a list', 'Write a list, such as ["a"].'],
  ['list: {a: 1}', 'a mapping is not a list', 'Write a list.'],
  ['list: ["1"]', '"1" (a string) is not a number', 'Write it without quotes: 1.'],
  ['map: [a]', 'a list is not a mapping', 'Write a mapping.'],
  ['map: {a: 1}', '1 (a number) is not a string', 'Put it in quotes.'],
  ['section: name', '"name" (a string) is not a mapping', 'Write a mapping.'],
  ['section: {}', '"name" is missing', 'Add it, as a string.'],
  ['section: {name: a, nmae: b}', 'unknown key "nmae"', 'Did you mean "name"?'],
  ['mode: strict', '"strict" is not one of the values', 'Did you mean "STRICT"? Use one of: STRICT, PERMISSIVE.'],
  ['mode: 1', '1 is not one of the values', 'Use one of: STRICT, PERMISSIVE.'],
  ['mode: {STRICT: 1}', 'a mapping is not one of the values', 'Use one of: STRICT, PERMISSIVE.'],
  ['either: true', 'true (a boolean) is not a string or a number', 'Write a string or a number.'],
  ['either: [a]', 'a list is not a string or a number', 'Write a string or a number.'],
  [`number: ${LONG}`, `${shownValue(LONG.trim())} (a string) is not a number`, 'Write a number.'],
  [`list: ${LONG}`, `${shownValue(LONG.trim())} (a string) is not a list`, 'Write a list.'],
  ['number: "a\\nb"', '"a\\nb" (a string) is not a number', 'Write a number.'],
  ['hello', 'the document is "hello" (a string), not a mapping', 'Write a mapping.'],
  ['[1]', 'the document is a list, not a mapping', 'Write a mapping.'],
  ['80', 'the document is 80 (a number), not a mapping', 'Write a mapping.'],
];

for (const [yaml, message, remedy] of WRONG)
  test(`${yaml.slice(0, 40)}: the complaint names the value, the rule and the remedy`, () => {
    const [document] = parseYamlDocuments(`${yaml}\n`, 'a.yaml');
    assert.ok(document !== undefined);
    const { issues } = checkAgainst(schema, document.value, document);
    assert.deepEqual(
      issues.map((issue) => [issue.message, issue.remedy]),
      [[message, remedy]],
    );
  });

test('a value is shown short, on one line, and never what may be a secret', () => {
  assert.equal(shownValue(LONG).length, 80);
  assert.equal(shownValue('a\nb\u001b[31m'), '"a\\nb\\u001b[31m"');
  assert.equal(shownValue('http://admin:hunter2@consul:8500/'), '"http://…@consul:8500/"');
  for (const secret of [
    '12345678-9abc-def0-1234-56789abcdef0',
    '-----BEGIN PRIVATE KEY-----\nMHcCAQEEIE',
    `prefix-1.${'eyJjYSI6WyIxMC4w'.repeat(4)}`,
  ])
    assert.equal(shownValue(secret), 'a text that may be a secret');
  for (const name of ['a-long-name-of-a-service-that-has-many-words-and-more', '127.0.0.1:8500', 'x'.repeat(60)])
    assert.equal(shownValue(name), JSON.stringify(name));
});

test('what is shown of a very long text takes no time', () => {
  assert.equal(shownValue('a1'.repeat(5_000_000)), 'a text that may be a secret');
});
