/** Translated resources as plain JSON: Envoy's field names, extensions resolved, one order of keys. */
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { isObject, resourceJson } from '../envoy-api/resource-json.ts';
import type { Resource, Resources } from '../xds/resource.ts';

/** `@type` first, then by name. */
function sortKeys(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (!isObject(value)) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => {
    if (a === '@type') return -1;
    if (b === '@type') return 1;
    return a < b ? -1 : 1;
  });
  return Object.fromEntries(entries.map(([key, child]) => [key, sortKeys(child)]));
}

/** One resource, its keys in one order. */
export function sortedResourceJson(typeUrl: string, { value }: Resource): JsonObject {
  const sorted = sortKeys({ '@type': typeUrl, ...resourceJson(typeUrl, value) });
  if (!isObject(sorted)) throw new Error(`${typeUrl} is no message`);
  return sorted;
}

/** The same as text: equal for resources that say the same. */
export function resourceText(typeUrl: string, resource: Resource): string {
  return JSON.stringify(sortedResourceJson(typeUrl, resource));
}

/** All resources of the types whose URL ends in one of `kinds` (such as `Cluster`), sorted by type and name. */
export function resourcesJson(resources: Resources, kinds?: readonly string[]): readonly JsonObject[] {
  return [...resources]
    .filter(([typeUrl]) => kinds === undefined || kinds.some((kind) => typeUrl.endsWith(`.${kind}`)))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([typeUrl, byName]) => [...byName.values()].map((resource) => sortedResourceJson(typeUrl, resource)));
}
