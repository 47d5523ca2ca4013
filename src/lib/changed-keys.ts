/** What differs between two states of a map. */

/** The keys whose values are others than before; undefined where keys have come or gone. */
export function changedKeys<K, V extends object>(
  before: ReadonlyMap<K, V>,
  after: ReadonlyMap<K, V>,
): readonly K[] | undefined {
  if (before.size !== after.size) return undefined;
  const changed: K[] = [];
  for (const [key, value] of after) {
    const old = before.get(key);
    if (old === undefined) return undefined;
    if (old !== value) changed.push(key);
  }
  return changed;
}
