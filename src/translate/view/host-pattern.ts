/** Host patterns of rules: exact names or `*` with a suffix. The most specific one that covers a host holds. */

/** How closely `pattern` names `host`: Infinity for the name itself, the pattern's length for a wildcard; undefined if it does not cover it. */
export function specificity(pattern: string, host: string): number | undefined {
  if (pattern === host) return Number.POSITIVE_INFINITY;
  if (pattern === '*') return 0;
  if (!pattern.startsWith('*.')) return undefined;
  const suffix = pattern.slice(1);
  return host.length > suffix.length && host.endsWith(suffix) ? pattern.length : undefined;
}

/** The best specificity of any pattern for any of the host's names; undefined if none covers it. */
export function bestSpecificity(patterns: readonly string[], hosts: readonly string[]): number | undefined {
  let best: number | undefined;
  for (const pattern of patterns) {
    for (const host of hosts) {
      const found = specificity(pattern, host);
      if (found !== undefined && (best === undefined || found > best)) best = found;
    }
  }
  return best;
}
