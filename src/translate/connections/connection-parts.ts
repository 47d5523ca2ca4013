/** Which routes hold for which destinations: Envoy chooses by address before it looks at anything else. */
import { holdsRange, type IpRange, ipRange, rangeKey } from '../ip-range.ts';
import type { ConnectionRoute } from './tcp-routes.ts';

/** Some of the addresses of a destination, with the routes that count there. */
export interface ConnectionPart {
  /** Addresses or CIDR ranges; empty: any. */
  readonly addresses: readonly string[];
  readonly routes: readonly ConnectionRoute[];
}

function rangesOf(texts: readonly string[]): readonly IpRange[] {
  return texts.flatMap((text) => ipRange(text) ?? []);
}

/** How many bits of `range` a route's subnets name; -1 where it names none, undefined where it does not count there. */
function closeness(route: ConnectionRoute, range: IpRange | undefined): number | undefined {
  if (route.destinationSubnets.length === 0) return -1;
  const holding = rangesOf(route.destinationSubnets).filter(
    (subnet) => range !== undefined && holdsRange(subnet, range),
  );
  return holding.length === 0 ? undefined : Math.max(...holding.map(({ bits }) => bits));
}

/** The routes that count for a range: those of smaller subnets first, as Envoy and so Istio choose, else as written. */
function routesIn(routes: readonly ConnectionRoute[], range: IpRange | undefined): readonly ConnectionRoute[] {
  const counting = routes.flatMap((route) => {
    const close = closeness(route, range);
    return close === undefined ? [] : [{ route, close }];
  });
  return counting.toSorted((a, b) => b.close - a.close).map(({ route }) => route);
}

/**
 * Divides the addresses of a destination by the subnets that its routes name. Of several ranges that hold an address Envoy
 * takes the smallest, and does not come back: so each part has all routes that count in it, those of larger ranges too,
 * and no connection is stranded where the smallest range has no answer for it.
 * @param addresses addresses or CIDR ranges of the destination; empty: any
 */
export function connectionParts(
  addresses: readonly string[],
  routes: readonly ConnectionRoute[],
): readonly ConnectionPart[] {
  const subnets = routes.flatMap(({ destinationSubnets }) => destinationSubnets);
  if (subnets.length === 0) return [{ addresses, routes }];
  const whole: readonly (string | undefined)[] = addresses.length === 0 ? [undefined] : addresses;
  const texts = new Map<string, string | undefined>();
  for (const address of whole) {
    const outer = address === undefined ? undefined : ipRange(address);
    texts.set(outer === undefined ? '' : rangeKey(outer), address);
    for (const subnet of subnets) {
      const inner = ipRange(subnet);
      if (inner === undefined || (outer !== undefined && !holdsRange(outer, inner))) continue;
      if (!texts.has(rangeKey(inner))) texts.set(rangeKey(inner), subnet);
    }
  }
  return [...texts.values()].map((text) => {
    const range = text === undefined ? undefined : ipRange(text);
    return { addresses: text === undefined ? [] : [text], routes: routesIn(routes, range) };
  });
}
