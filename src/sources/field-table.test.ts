import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as z from 'zod/mini';
import { fieldRows } from './field-table.ts';
import { duration, unread } from './field-types.ts';
import { KINDS } from './kinds.ts';
import { refused } from './unsupported-fields.ts';

test('fields inside of lists and mappings, with what is not supported of them', () => {
  const schema = z.strictObject({
    http: z.optional(z.array(z.strictObject({ timeout: z.optional(duration()), mirror: unread }))),
    headers: z.optional(z.record(z.string(), z.strictObject({ exact: z.string() }))),
    mode: z.enum(['A', 'B']),
  });
  const mirror = refused('http[].mirror', 'Remove it.');
  assert.deepEqual(fieldRows({ schema, unsupported: [mirror] }), [
    { path: 'http', form: 'list of mapping', limits: [] },
    { path: 'http[].timeout', form: 'duration', limits: [] },
    { path: 'http[].mirror', form: 'anything', limits: [mirror] },
    { path: 'headers', form: 'mapping to mapping', limits: [] },
    { path: 'headers.*.exact', form: 'text', limits: [] },
    { path: 'mode', form: 'one of A, B', limits: [] },
  ]);
});

for (const [name, kind] of Object.entries(KINDS)) {
  test(`${name}: what nobody reads is said not to be supported`, () => {
    const silent = fieldRows(kind).filter(({ form, limits }) => form === 'anything' && limits.length === 0);
    assert.deepEqual(
      silent.map(({ path }) => path),
      [],
    );
  });

  test(`${name}: every row of what is not supported is about a field that exists`, () => {
    const paths = new Set(fieldRows(kind).flatMap(({ path }) => [path, `${path}[]`]));
    assert.deepEqual(
      kind.unsupported.map(({ path }) => path).filter((path) => !paths.has(path)),
      [],
    );
  });
}
