/** Filter chains for connections whose bytes go where their server name or destination says. */
import type { FilterChain, ListenerChains } from '../listeners/listener.ts';
import type { NetworkFilter } from '../listeners/network-filters.ts';
import type { ConnectionRoute, WeightedCluster } from './tcp-routes.ts';

/** `*` as a server name is any, which Envoy says by none. */
function isAnyName(name: string): boolean {
  return name === '*';
}

/**
 * A chain for each route, and one for what no route takes. Of server names Envoy takes the most specific, as Istio does;
 * of routes with the same name the first holds, and the first without names takes all the rest.
 * @param filters of connections that go to these clusters
 * @param rest where connections go that no route takes; undefined: they are closed, or whatever the listener does with others
 */
export function connectionChains(
  routes: readonly ConnectionRoute[],
  filters: (destinations: readonly WeightedCluster[]) => readonly NetworkFilter[],
  rest: readonly NetworkFilter[] | undefined,
): ListenerChains {
  const taken = new Set<string>();
  const filterChains: FilterChain[] = [];
  for (const { serverNames, destinations } of routes) {
    const names = serverNames.map((name) => name.toLowerCase());
    if (names.length === 0 || names.some(isAnyName)) {
      const all: FilterChain = { name: 'tcp', filters: [...filters(destinations)] };
      return { filterChains, defaultFilterChain: all, inspect: { tls: filterChains.length > 0, http: false } };
    }
    const own = [...new Set(names)].filter((name) => !taken.has(name));
    if (own.length === 0) continue;
    for (const name of own) taken.add(name);
    filterChains.push({
      name: `tls-${own[0] ?? ''}`,
      filterChainMatch: { serverNames: own },
      filters: [...filters(destinations)],
    });
  }
  return {
    filterChains,
    ...(rest !== undefined && { defaultFilterChain: { name: 'tcp', filters: [...rest] } }),
    inspect: { tls: filterChains.length > 0, http: false },
  };
}
