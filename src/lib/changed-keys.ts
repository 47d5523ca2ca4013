/** What differs between two states of a map. */

/** The keys whose values are others than before, and those that have come or gone. */
export function differingKeys<K, V extends object>(before: ReadonlyMap<K, V>, after: ReadonlyMap<K, V>): readonly K[] {
  if (before === after) return [];
  const differing: K[] = [];
  for (const [key, value] of after) if (before.get(key) !== value) differing.push(key);
  for (const key of before.keys()) if (!after.has(key)) differing.push(key);
  return differing;
}

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
