/** Which routes hold for which destinations: Envoy chooses by address before it looks at anything else. */
import { holdsRange, type IpRange, ipRange, rangeKey } from './ip-range.ts';
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

function countsIn(route: ConnectionRoute, range: IpRange | undefined): boolean {
  if (route.destinationSubnets.length === 0) return true;
  return range !== undefined && rangesOf(route.destinationSubnets).some((subnet) => holdsRange(subnet, range));
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
    return { addresses: text === undefined ? [] : [text], routes: routes.filter((route) => countsIn(route, range)) };
  });
}
