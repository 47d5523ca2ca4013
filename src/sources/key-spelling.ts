/** Protobuf's two spellings of a field (`perTryTimeout`, `per_try_timeout`) and its two kinds of absence, made one. */
import type * as z from 'zod/mini';
import { camelCase } from '../lib/yaml-document.ts';

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * A copy of `value` in which keys that the schema knows in camel case are written so, and fields that are null are left
 * out. The keys of free mappings (labels, headers) stay as they are; so does a field that is given in both spellings,
 * for the schema to refuse.
 */
export function normaliseKeys(schema: z.core.$ZodType, value: unknown): unknown {
  const def = (schema as z.core.$ZodTypes)._zod.def;
  switch (def.type) {
    case 'optional':
    case 'readonly':
      return normaliseKeys(def.innerType, value);
    case 'array':
      return Array.isArray(value) ? value.map((element) => normaliseKeys(def.element, element)) : value;
    case 'record':
      if (!isMapping(value)) return value;
      return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, normaliseKeys(def.valueType, v)]));
    case 'object': {
      if (!isMapping(value)) return value;
      const entries = Object.entries(value).flatMap(([key, member]) => {
        const camel = camelCase(key);
        const known = !Object.hasOwn(def.shape, key) && !Object.hasOwn(value, camel) ? camel : key;
        const child = Object.hasOwn(def.shape, known) ? def.shape[known] : undefined;
        if (child === undefined) return [[key, member] as const];
        return member === null ? [] : [[known, normaliseKeys(child, member)] as const];
      });
      return Object.fromEntries(entries);
    }
    default:
      return value;
  }
}
