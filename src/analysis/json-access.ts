/** Reading in JSON whose shape is known from elsewhere: what is missing is undefined, or empty. */
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { isObject } from '../envoy-api/resource-json.ts';

/** The value at a path of keys, or undefined where there is none. */
export function at(value: JsonValue | undefined, ...path: readonly string[]): JsonValue | undefined {
  let found = value;
  for (const key of path) found = isObject(found) ? found[key] : undefined;
  return found;
}

/** The text at a path; numbers are written out. Empty where there is neither. */
export function textAt(value: JsonValue | undefined, ...path: readonly string[]): string {
  const found = at(value, ...path);
  return typeof found === 'string' ? found : typeof found === 'number' ? String(found) : '';
}

/** The objects of a list at a path. */
export function objectsAt(value: JsonValue | undefined, ...path: readonly string[]): readonly JsonObject[] {
  const found = at(value, ...path);
  return Array.isArray(found) ? found.filter(isObject) : [];
}

/** The strings of a list at a path. */
export function textsAt(value: JsonValue | undefined, ...path: readonly string[]): readonly string[] {
  const found = at(value, ...path);
  return Array.isArray(found) ? found.filter((one): one is string => typeof one === 'string') : [];
}
