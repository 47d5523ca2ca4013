import assert from 'node:assert/strict';
import { test } from 'node:test';
import type * as z from 'zod/mini';
import { shownValue } from '../lib/shown-value.ts';
import { checkAgainst, formatPath, type YamlIssue } from '../lib/yaml-document.ts';
import { normaliseKeys } from './key-spelling.ts';
import { KINDS } from './kinds.ts';
import { meshConfigSchema } from './mesh-config-schema.ts';

/** Must never be quoted: it stands inside of a list or a mapping. */
const INSIDE = 'content-of-a-collection';
const WRONG: readonly unknown[] = ['#wrong?', 12_345.5, -7, true, null, [INSIDE], { [INSIDE]: INSIDE }];

type Steps = readonly (string | number)[];

/** Where something can stand, once each; elements as `[0]`, the values of free mappings at `some-key`. */
function* places(schema: z.core.$ZodType, at: Steps): Generator<Steps> {
  if (at.length > 0) yield at;
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case 'optional':
    case 'readonly':
      for (const inner of places(def.innerType, at)) if (inner !== at) yield inner;
      return;
    case 'array':
      yield* places(def.element, [...at, 0]);
      return;
    case 'record':
      yield* places(def.valueType, [...at, 'some-key']);
      return;
    case 'object':
      for (const [key, child] of Object.entries(def.shape)) yield* places(child, [...at, key]);
      return;
    default:
  }
}

function nest(steps: Steps, value: unknown): unknown {
  return steps
    .toReversed()
    .reduce<unknown>((inner, step) => (typeof step === 'number' ? [inner] : { [step]: inner }), value);
}

function complaints(schema: z.core.$ZodType, steps: Steps, value: unknown): readonly YamlIssue[] {
  const checked = checkAgainst(schema, normaliseKeys(schema, nest(steps, value)), { lineOf: () => 1 });
  return checked.issues;
}

const SCHEMAS: Readonly<Record<string, z.core.$ZodType>> = {
  ...Object.fromEntries(Object.entries(KINDS).map(([name, kind]) => [name, kind.schema])),
  'meshconfig.yaml': meshConfigSchema,
};

for (const [name, schema] of Object.entries(SCHEMAS))
  test(`${name}: a wrong value at any place is named, with a remedy`, () => {
    let refused = 0;
    for (const steps of places(schema, []))
      for (const value of WRONG) {
        const path = formatPath(steps);
        for (const issue of complaints(schema, steps, value)) {
          const said = `${path} ← ${JSON.stringify(value)}: ${issue.message} | ${issue.remedy ?? ''}`;
          assert.ok(issue.remedy !== undefined && /[.?]$/.test(issue.remedy), said);
          assert.ok(issue.message !== '' && issue.message.length < 300, said);
          if (issue.path !== path) continue;
          refused += 1;
          // A field that is null is one that is not there.
          const named = value === null && issue.message.endsWith(' is missing');
          assert.ok(named || issue.message.includes(shownValue(value)), said);
          assert.ok(!issue.message.includes(INSIDE), said);
        }
      }
    assert.ok(refused > 3, `${refused} refused`);
  });
