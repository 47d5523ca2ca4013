/** Patching a list of things: what is removed and merged, then what is added and where. */
import type { EnvoyPatch } from '../../model/envoy-filter.ts';

/** What the things of a list are to patches. */
export interface ListOf<T> {
  /** Whether the patch is for this one of the list; without a condition it is for each. */
  readonly selects: (patch: EnvoyPatch, item: T) => boolean;
  /** Whether the patch names one of the list, beside which it is put. */
  readonly namesOne: (patch: EnvoyPatch) => boolean;
  readonly merge: (patch: EnvoyPatch, item: T) => T;
  readonly make: (patch: EnvoyPatch) => T;
}

function insertAt<T>(list: readonly T[], index: number, item: T): readonly T[] {
  return [...list.slice(0, index), item, ...list.slice(index)];
}

function grown<T>(list: readonly T[], patch: EnvoyPatch, of: ListOf<T>): readonly T[] {
  const { operation } = patch;
  if (operation === 'ADD') return [...list, of.make(patch)];
  if (operation === 'INSERT_FIRST') return [of.make(patch), ...list];
  if (operation !== 'INSERT_BEFORE' && operation !== 'INSERT_AFTER' && operation !== 'REPLACE') return list;
  if (!of.namesOne(patch)) {
    // Beside nothing: in front of all, or after all. In place of nothing: nothing happens.
    if (operation === 'REPLACE') return list;
    return operation === 'INSERT_BEFORE' ? [of.make(patch), ...list] : [...list, of.make(patch)];
  }
  const index = list.findIndex((item) => of.selects(patch, item));
  if (index < 0) return list;
  if (operation === 'REPLACE') return list.with(index, of.make(patch));
  return insertAt(list, operation === 'INSERT_BEFORE' ? index : index + 1, of.make(patch));
}

/** @param mustName whether REMOVE without a name removes nothing, as of filters */
export function patchList<T>(
  list: readonly T[],
  patches: readonly EnvoyPatch[],
  of: ListOf<T>,
  mustName: boolean,
): readonly T[] {
  let result = list;
  for (const patch of patches) {
    if (patch.operation === 'REMOVE' && (!mustName || of.namesOne(patch)))
      result = result.filter((item) => !of.selects(patch, item));
    if (patch.operation === 'MERGE' || patch.operation === 'MERGE_AND_REPLACE_LIST')
      result = result.map((item) => (of.selects(patch, item) ? of.merge(patch, item) : item));
  }
  for (const patch of patches) result = grown(result, patch, of);
  return result;
}
