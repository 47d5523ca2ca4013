/** Structural sharing: the old list or map wherever the new one has the same elements. */

export function sharedList<T>(previous: readonly T[] | undefined, next: readonly T[]): readonly T[] {
  const same = previous?.length === next.length && next.every((element, i) => element === previous[i]);
  return same ? previous : next;
}

/** The old value where the new one says the same as JSON. */
export function sharedValue<T>(previous: T | undefined, next: T): T {
  if (previous === undefined || previous === next) return next;
  return JSON.stringify(previous) === JSON.stringify(next) ? previous : next;
}

/** As `sharedList`, for elements that are made anew each time: those that say the same as JSON count as the same. */
export function sharedData<T>(previous: readonly T[] | undefined, next: readonly T[]): readonly T[] {
  const same =
    previous?.length === next.length && next.every((one, i) => sharedValue(previous[i], one) === previous[i]);
  return same ? previous : next;
}

export function sharedMap<K, V>(previous: ReadonlyMap<K, V> | undefined, next: ReadonlyMap<K, V>): ReadonlyMap<K, V> {
  if (previous?.size !== next.size) return next;
  for (const [key, value] of next) if (previous.get(key) !== value || !previous.has(key)) return next;
  return previous;
}
