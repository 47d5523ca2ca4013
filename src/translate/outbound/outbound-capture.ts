/** The listener at which one caller's captured connections arrive, as Istio's `virtualOutbound`. */
import type { Caller, SocketAddress } from '../../model/host.ts';
import type { MeshConfig } from '../../model/mesh-config.ts';
import type { Resource } from '../../xds/resource.ts';
import type { AccessLog } from '../listeners/access-log.ts';
import { captureListener, type FilterChain } from '../listeners/listener.ts';
import { HTTP_INSPECTOR, ORIGINAL_DESTINATION, onPorts, TLS_INSPECTOR } from '../listeners/listener-filters.ts';
import type { NetworkFilter } from '../listeners/network-filters.ts';
import { type CapturedChains, capturedChains, inspectedPorts, unservedChains } from './captured-chains.ts';
import { BLACK_HOLE_CLUSTER, passBytes } from './passthrough.ts';

const NO_INSPECTION = { tls: false, http: false } as const;

/** `virtualOutbound_15001`. */
export function outboundCaptureName(capturePort: number): string {
  return `virtualOutbound_${capturePort}`;
}

/** Where the connections of a caller arrive. */
export function captureAddresses(
  { capturePort, everywhere = false }: Pick<Caller, 'capturePort' | 'everywhere'>,
  withoutIpv6: boolean,
): readonly SocketAddress[] {
  const [ipv4, ipv6] = everywhere ? ['0.0.0.0', '::'] : ['127.0.0.1', '::1'];
  return [ipv4, ...(withoutIpv6 ? [] : [ipv6])].map((address) => ({ address, port: capturePort }));
}

export interface OutboundCaptureSpec {
  readonly name: string;
  readonly addresses: readonly SocketAddress[];
  /** By destination; no two of them are for the same one. */
  readonly captured: readonly CapturedChains[];
  /** All addresses of services by name. What is not served there is closed: these addresses lead nowhere else. */
  readonly names: readonly string[];
  /** What becomes of connections to anywhere else. */
  readonly rest: readonly NetworkFilter[];
  readonly accessLog: AccessLog | undefined;
  /** For how long a caller that says nothing may keep the protocol open; absent: for ever. */
  readonly detectionTimeoutMs?: MeshConfig['protocolDetectionTimeoutMs'];
}

/**
 * Connections to services by their rules, all others as the policy for them says. Who connects to the
 * listener itself is not captured: without an end of its own such a connection would go round for ever.
 */
export function outboundCaptureListener(spec: OutboundCaptureSpec): Resource {
  const { name, addresses, captured, names, rest, accessLog } = spec;
  const nowhere = [passBytes(BLACK_HOLE_CLUSTER, accessLog)];
  const itself: FilterChain = { name: 'blackhole', filters: nowhere };
  const port = addresses[0]?.port ?? 0;
  const own = capturedChains(
    'virtualOutbound',
    {
      port,
      addresses: addresses.some(({ address }) => address === '0.0.0.0') ? [] : addresses.map(({ address }) => address),
    },
    { filterChains: [itself], inspect: NO_INSPECTION },
  );
  return captureListener({
    name,
    addresses,
    direction: 'outbound',
    accessLog,
    filterChains: [
      ...own.filterChains,
      ...captured.flatMap(({ filterChains }) => filterChains),
      ...unservedChains('virtualOutbound-unserved', names, [own, ...captured], nowhere),
    ],
    defaultFilterChain: {
      name: 'virtualOutbound-catchall-tcp',
      filters: [...rest],
    },
    listenerFilters: [
      ORIGINAL_DESTINATION,
      ...onPorts(TLS_INSPECTOR, inspectedPorts(captured, 'tls')),
      ...onPorts(HTTP_INSPECTOR, inspectedPorts(captured, 'http')),
    ],
    detectionTimeoutMs: spec.detectionTimeoutMs,
    transparent: false,
    // A host may have switched IPv6 off, and a bridge may come later: no reason to have no listener at all.
    freebind: true,
  });
}
