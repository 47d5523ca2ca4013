import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as z from 'zod/mini';
import { normaliseKeys } from './key-spelling.ts';

const schema = z.strictObject({
  perTryTimeout: z.optional(z.string()),
  matchLabels: z.optional(z.record(z.string(), z.string())),
  routes: z.optional(z.array(z.strictObject({ ignoreUriCase: z.optional(z.boolean()) }))),
});

const cases: readonly (readonly [string, unknown, unknown])[] = [
  ['a field in snake case', { per_try_timeout: '1s' }, { perTryTimeout: '1s' }],
  ['a field in camel case', { perTryTimeout: '1s' }, { perTryTimeout: '1s' }],
  ['a field inside of a list', { routes: [{ ignore_uri_case: true }] }, { routes: [{ ignoreUriCase: true }] }],
  ['a null field, as if it were not there', { per_try_timeout: null }, {}],
  ['the keys of a free mapping', { match_labels: { my_label: 'x' } }, { matchLabels: { my_label: 'x' } }],
  ['an unknown key', { not_known: null }, { not_known: null }],
  [
    'both spellings, for the schema to refuse',
    { a: 1, perTryTimeout: '1s', per_try_timeout: '2s' },
    { a: 1, perTryTimeout: '1s', per_try_timeout: '2s' },
  ],
  ['a value of the wrong type', [1], [1]],
];

for (const [what, input, expected] of cases)
  test(`${what} becomes what the schema expects`, () => assert.deepEqual(normaliseKeys(schema, input), expected));

test('a key that would be a prototype stays a key', () => {
  const input: unknown = JSON.parse('{"__proto__": {"perTryTimeout": "1s"}}');
  const output = normaliseKeys(schema, input);
  assert.deepEqual(Object.keys(output as object), ['__proto__']);
  assert.equal((output as { perTryTimeout?: string }).perTryTimeout, undefined);
});
