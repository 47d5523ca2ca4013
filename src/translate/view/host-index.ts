/** Rules by the hosts that they name, so that a choice for one host does not look at all of them. */

/** Made once for a list of rules. */
export class HostIndex<T> {
  readonly #rules: readonly T[];
  /** Positions, ascending, by host and by the suffix of wildcards: `.example.com` of `*.example.com`, empty of `*`. */
  readonly #exact = new Map<string, number[]>();
  readonly #suffixes = new Map<string, number[]>();

  /** @param hostsOf the host patterns of a rule */
  constructor(rules: readonly T[], hostsOf: (rule: T) => readonly string[]) {
    this.#rules = rules;
    for (const [i, rule] of rules.entries())
      for (const host of hostsOf(rule)) {
        const wildcard = host.startsWith('*');
        const [map, key] = wildcard ? [this.#suffixes, host.slice(1)] : [this.#exact, host];
        const positions = map.get(key);
        if (positions === undefined) map.set(key, [i]);
        else if (positions.at(-1) !== i) positions.push(i);
      }
  }

  /** The rules that have a pattern for any of the hosts, in their order; a wildcard is also taken for its own host. */
  candidates(hosts: readonly string[]): readonly T[] {
    const found: number[] = [];
    for (const host of hosts) {
      found.push(...(this.#exact.get(host) ?? []));
      if (this.#suffixes.size === 0) continue;
      found.push(...(this.#suffixes.get('') ?? []));
      if (host.startsWith('*')) found.push(...(this.#suffixes.get(host.slice(1)) ?? []));
      for (let dot = host.indexOf('.', 1); dot > 0; dot = host.indexOf('.', dot + 1))
        found.push(...(this.#suffixes.get(host.slice(dot)) ?? []));
    }
    const [only] = found;
    if (only === undefined) return [];
    const positions = found.length === 1 ? found : [...new Set(found)].toSorted((a, b) => a - b);
    return positions.flatMap((i) => this.#rules[i] ?? []);
  }
}

/** Indexes by list: an unchanged list keeps its index, a list that nobody holds takes its own along. */
export function hostIndexes<T extends object>(
  hostsOf: (rule: T) => readonly string[],
): (rules: readonly T[]) => HostIndex<T> {
  const indexes = new WeakMap<readonly T[], HostIndex<T>>();
  return (rules) => {
    let index = indexes.get(rules);
    if (index === undefined) {
      index = new HostIndex(rules, hostsOf);
      indexes.set(rules, index);
    }
    return index;
  };
}
