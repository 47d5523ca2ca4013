import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import * as z from 'zod/mini';
import { camelCase, checkAgainst, formatPath, parseYamlDocuments } from './yaml-document.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

const route = z.strictObject({ timeout: z.optional(z.string()), weight: z.optional(z.number()) });
const schema = z.strictObject({
  name: z.string(),
  mode: z.optional(z.enum(['STRICT', 'PERMISSIVE'])),
  routes: z.optional(z.array(route)),
  byPort: z.optional(z.record(z.string(), route)),
  either: z.optional(z.union([z.string(), z.strictObject({ file: z.string() })])),
});

function complaints(text: string): readonly string[] {
  const [document] = parseYamlDocuments(text, 'a.yaml');
  assert.ok(document !== undefined);
  const { issues } = checkAgainst(schema, document.value, document);
  return issues.map(({ path, line, message, remedy }) => `${line} ${path}: ${message} | ${remedy ?? ''}`);
}

const bad: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'an unknown key, with the nearest known one',
    'name: a\nroutes:\n  - weight: 1\n  - tiemout: 1s\n',
    ['4 routes[1].tiemout: unknown key "tiemout" | Did you mean "timeout"?'],
  ],
  [
    'an unknown key like no other',
    'name: a\nbyPort:\n  "80":\n    zzz: 1\n',
    ['4 byPort["80"].zzz: unknown key "zzz" | Known keys here: timeout, weight.'],
  ],
  [
    'a mapping whose keys are not indented far enough',
    'name: a\neither:\nfile: x\n',
    [
      '2 either: an empty value is not a string or a mapping | Write a string or a mapping.',
      '3 file: unknown key "file" | It belongs to "either": indent it further than that.',
    ],
  ],
  [
    'a key named like a property of every object',
    'name: a\nroutes:\n  - __proto__: {x: 1}\n',
    ['3 routes[0].__proto__: unknown key "__proto__" | Known keys here: timeout, weight.'],
  ],
  ['a missing key', 'mode: STRICT\n', ['1 name: "name" is missing | Add it, as a string.']],
  ['a key without a value', 'name:\n', ['1 name: an empty value is not a string | Write a string.']],
  ['what is no number', 'name: .inf\n', ['1 name: .inf is not a string | Put it in quotes.']],
  ['a wrong type', 'name: [a]\n', ['1 name: a list is not a string | Write a string.']],
  [
    'a wrong value',
    'name: a\nmode: STRICKT\n',
    ['2 mode: "STRICKT" is not one of the values | Did you mean "STRICT"? Use one of: STRICT, PERMISSIVE.'],
  ],
  [
    'the alternative of a union that got furthest',
    'name: a\neither:\n  fiel: x\n',
    [
      '2 either.file: "file" is missing | Add it, as a string.',
      '3 either.fiel: unknown key "fiel" | Did you mean "file"?',
    ],
  ],
  [
    'none of the alternatives of a union',
    'name: a\neither: null\n',
    ['2 either: an empty value is not a string or a mapping | Write a string or a mapping.'],
  ],
  ['a document that is no mapping', '- a\n', ['1 : the document is a list, not a mapping | Write a mapping.']],
];

for (const [what, text, expected] of bad)
  test(`the check names ${what}`, () => assert.deepEqual(complaints(text), expected));

test('a check that passes gives the value', () => {
  const [document] = parseYamlDocuments('name: a\n', 'a.yaml');
  assert.ok(document !== undefined);
  assert.deepEqual(checkAgainst(schema, document.value, document), { value: { name: 'a' }, issues: [] });
});

test('lines are those of the file, in every document, in either spelling of a key', () => {
  const [first, second] = parseYamlDocuments('# comment\na: 1\n---\n\nb:\n  - per_try_timeout: 1\n', 'a.yaml');
  assert.equal(first?.line, 2);
  assert.equal(second?.line, 5);
  assert.equal(second?.lineOf(['b', 0, 'perTryTimeout']), 6);
  assert.equal(second?.lineOf(['b', 7, 'x']), 5);
  assert.equal(second?.lineOf(['nowhere']), 5);
});

test('empty documents are left out', () => {
  assert.deepEqual(parseYamlDocuments('', 'a.yaml'), []);
  assert.equal(parseYamlDocuments('---\n---\na: 1\n---\n# nothing\n', 'a.yaml').length, 1);
});

const syntax: readonly (readonly [string, string, number, RegExp])[] = [
  ['an unclosed bracket', 'a: 1\nb: [1, 2\n', 3, /end with a \]/],
  ['a duplicate key', 'a: 1\nb: 2\na: 3\n', 3, /^the key a stands here twice$/],
  ['a duplicate key in quotes', '"a b": 1\n"a b": 2\n', 2, /^the key "a b" stands here twice$/],
  ['a template that is no YAML', 'a: 1\nb:\n  {{- range .x }}\n  - {{ . }}\n  {{- end }}\n', 3, /is a template/],
  ['a template that could be YAML', 'a: 1\nb: {{ .Values.name }}\n', 2, /is a template/],
  ['a template elsewhere', 'a: |\n  {{ 1 }}\n\nb: [1, 2\n', 5, /end with a \]/],
  ['a tab for indentation', 'a:\n\tb: 1\n', 2, /Tabs are not allowed/],
  ['an alias without its anchor', 'a: *missing\n', 1, /Unresolved alias/],
];

for (const [what, text, line, message] of syntax)
  test(`a syntax error has its line: ${what}`, () => {
    const issues = parseYamlDocuments(text, 'a.yaml').flatMap((document) => document.issues);
    assert.equal(issues[0]?.line, line);
    assert.match(issues[0].message, message);
    assert.ok(issues[0].remedy !== undefined);
  });

test('a mapping takes what it leaves out from those that it merges', () => {
  const [document] = parseYamlDocuments(
    'base: &base { timeout: 1s, weight: 1 }\nother: &other { weight: 2, name: x }\nroute:\n  <<: [*base, *other]\n  timeout: 2s\n',
    'a.yaml',
  );
  assert.ok(document !== undefined);
  assert.deepEqual(document.issues, []);
  const { route: merged } = document.value as { readonly route: unknown };
  assert.deepEqual(merged, { weight: 1, name: 'x', timeout: '2s' });
});

test('aliases that grow without measure are refused', () => {
  const levels = Array.from({ length: 9 }, (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(',')}]`);
  const [document] = parseYamlDocuments(`l0: &l0 [x,x,x,x,x,x,x,x,x]\n${levels.join('\n')}\n`, 'bomb.yaml');
  assert.equal(document?.value, undefined);
  assert.match(document?.issues[0]?.message ?? '', /alias/i);
});

test('nesting that exhausts the stack is an issue, not a crash', () => {
  const deep = 50_000;
  const issues = parseYamlDocuments('['.repeat(deep) + ']'.repeat(deep), 'deep.yaml').flatMap((d) => d.issues);
  assert.ok(issues.length > 0);
  assert.ok(issues.some(({ message }) => message === 'it is nested too deeply'));
});

test('of very many syntax errors the first are told', () => {
  const [document] = parseYamlDocuments(`${'{a: '.repeat(500)}\n`, 'a.yaml');
  assert.ok(document !== undefined && document.issues.length > 0 && document.issues.length <= 10);
  assert.equal(document.value, undefined);
});

test('whatever the text, parsing and checking give data', () => {
  const pieces = fc.constantFrom(
    'a',
    'name',
    ': ',
    '- ',
    '\n',
    '  ',
    '[',
    ']',
    '{',
    '}',
    '"',
    "'",
    '&x ',
    '*x',
    '|',
    '---\n',
    '!!',
    '#',
    '? ',
    '\t',
    '%',
    '\u0000',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(pieces, { maxLength: 40 }).map((all) => all.join('')),
      ),
      (text) => {
        for (const document of parseYamlDocuments(text, 'a.yaml')) {
          const { issues } = checkAgainst(schema, document.value, document);
          for (const issue of [...issues, ...document.issues]) {
            assert.ok(issue.line >= 1);
            assert.notEqual(issue.message, '');
          }
        }
      },
    ),
  );
});

test('paths and spellings', () => {
  assert.equal(formatPath(['spec', 'http', 0, 'timeout']), 'spec.http[0].timeout');
  assert.equal(formatPath(['headers', 'end-user', 'x.y']), 'headers.end-user["x.y"]');
  assert.equal(camelCase('consecutive_5xx_errors'), 'consecutive5xxErrors');
  assert.equal(camelCase('perTryTimeout'), 'perTryTimeout');
});
