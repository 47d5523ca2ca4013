/** Filter chains of connections to one destination, for a listener at which many destinations arrive. */
import type { CidrRangeSchema } from '../../gen/envoy/config/core/v3/address_pb.ts';
import type { FilterChainMatchSchema } from '../../gen/envoy/config/listener/v3/listener_components_pb.ts';
import { ipRange } from '../ip-range.ts';
import type { FilterChain, Inspection, ListenerChains } from '../listeners/listener.ts';
import type { Fields } from '../messages.ts';

/** A destination as its callers dial it. */
export interface Destination {
  readonly port: number;
  /** Addresses or CIDR ranges; empty: any. */
  readonly addresses: readonly string[];
}

/** What becomes of the connections to one destination. */
export interface CapturedChains extends Destination {
  readonly filterChains: readonly FilterChain[];
  readonly inspect: Inspection;
}

function addressRange(text: string): Fields<typeof CidrRangeSchema> {
  const { address = text, bits = text.includes(':') ? 128 : 32 } = ipRange(text) ?? {};
  return { addressPrefix: address, prefixLen: bits };
}

function destinationMatch({ port, addresses }: Destination): Fields<typeof FilterChainMatchSchema> {
  return {
    destinationPort: port,
    prefixRanges: addresses.map(addressRange),
  };
}

/**
 * The chains of a listener of its own as those of one destination among others. Envoy does not come back from a match of
 * one kind to try a wider one of another: what a listener does by default needs a chain wherever the others have led.
 * https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/listener/v3/listener_components.proto#config-listener-v3-filterchainmatch
 * @param name begins the names of the chains
 */
export function capturedChains(name: string, destination: Destination, chains: ListenerChains): CapturedChains {
  const match = destinationMatch(destination);
  const { filterChains, defaultFilterChain: rest, inspect } = chains;
  const withRaw = filterChains.some(({ filterChainMatch }) => filterChainMatch?.transportProtocol === 'raw_buffer');
  const defaults: readonly FilterChain[] =
    rest === undefined
      ? []
      : [
          ...(withRaw ? [{ ...rest, filterChainMatch: { transportProtocol: 'raw_buffer' } }] : []),
          { ...rest, name: withRaw ? `${rest.name ?? ''}-tls` : (rest.name ?? '') },
        ];
  return {
    ...destination,
    filterChains: [...filterChains, ...defaults].map((chain) => ({
      ...chain,
      name: `${name}-${chain.name ?? ''}`,
      filterChainMatch: { ...chain.filterChainMatch, ...match },
    })),
    inspect,
  };
}

/**
 * Chains for what nobody serves of some addresses: every other port, and of the ports that are served at one of them the
 * other addresses.
 * @param captured all that is served, at these and other addresses
 */
export function unservedChains(
  name: string,
  addresses: readonly string[],
  captured: readonly Destination[],
  filters: NonNullable<FilterChain['filters']>,
): readonly FilterChain[] {
  if (addresses.length === 0) return [];
  const served = Map.groupBy(captured, ({ port }) => port);
  const ofPorts = [...served].flatMap(([port, destinations]): FilterChain[] => {
    const here = new Set(destinations.flatMap((destination) => destination.addresses));
    const others = addresses.filter((address) => !here.has(address));
    if (others.length === 0) return [];
    return [{ name: `${name}-${port}`, filterChainMatch: destinationMatch({ port, addresses: others }), filters }];
  });
  return [...ofPorts, { name, filterChainMatch: { prefixRanges: addresses.map(addressRange) }, filters }];
}

/** The ports on which an inspector is needed. */
export function inspectedPorts(captured: readonly CapturedChains[], what: keyof Inspection): readonly number[] {
  return captured.flatMap(({ port, inspect }) => (inspect[what] ? [port] : []));
}
