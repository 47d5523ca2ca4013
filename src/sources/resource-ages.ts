/**
 * The age of resources that have no creation time. Istio lets the older of two conflicting resources win; files know no
 * age, so the order of files by name, then of documents within a file, stands in for it.
 */

/** Ages of resources with a creation time begin here: one without is older than any with, as in Istio. */
const TIMED = 1e9;

export interface Aged {
  /** Milliseconds since 1970, or undefined. */
  readonly createdMs: number | undefined;
  /** The age that it had in the version before. */
  readonly previousAge: number | undefined;
}

/**
 * Ages in the given order: only their order has a meaning. A resource keeps its age wherever the order allows, so that
 * one new file does not make all resources behind it new.
 */
export function assignAges(ordered: readonly Aged[]): readonly number[] {
  const timed = (item: Aged): number | undefined =>
    item.createdMs === undefined ? undefined : TIMED + Math.max(0, item.createdMs);
  const kept = ordered.map((item) =>
    item.createdMs === undefined && (item.previousAge ?? TIMED) < TIMED ? item.previousAge : undefined,
  );
  if (kept.every((age) => age === undefined)) return ordered.map((item, i) => timed(item) ?? i + 1);
  const ages: number[] = [];
  let last = 0;
  let exhausted = false;
  for (const [i, item] of ordered.entries()) {
    const created = timed(item);
    if (created !== undefined) {
      ages.push(created);
      continue;
    }
    let age = kept[i];
    if (age === undefined || age <= last) {
      const next = kept.find((other, j) => j > i && other !== undefined && other > last);
      age = next === undefined ? Math.floor(last) + 1 : (last + next) / 2;
      // Halving the same gap some fifty times leaves no number between.
      if (age <= last || age === next) exhausted = true;
    }
    ages.push(age);
    last = age;
  }
  return exhausted ? ordered.map((item, i) => timed(item) ?? i + 1) : ages;
}
