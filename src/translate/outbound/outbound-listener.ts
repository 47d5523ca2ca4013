/** What a listener does with calls of one port of a service, and the listener of an upstream that does it. */

import type { SocketAddress, SocketPath } from '../../model/host.ts';
import type { MeshConfig } from '../../model/mesh-config.ts';
import type { Resource } from '../../xds/resource.ts';
import { dynamicDnsSniFilter } from '../clusters/dynamic-dns.ts';
import { consistentHash } from '../clusters/load-balancing.ts';
import type { EffectivePolicy } from '../clusters/traffic-policy.ts';
import { ADS } from '../config-source.ts';
import { connectionChains } from '../connections/connection-chains.ts';
import { connectionParts } from '../connections/connection-parts.ts';
import { type ConnectionRoute, dynamicPort, mustSayBytes, type WeightedCluster } from '../connections/tcp-routes.ts';
import { GRPC_WEB } from '../http/grpc-web-filter.ts';
import type { AccessLog } from '../listeners/access-log.ts';
import { type FilterChain, type ListenerChains, listener, PLAIN_HTTP1, PLAIN_HTTP2 } from '../listeners/listener.ts';
import {
  httpConnectionManager,
  markCaller,
  type NetworkFilter,
  offerAlpn,
  tcpProxy,
} from '../listeners/network-filters.ts';
import { listenerName } from '../names.ts';
import type { ProtocolKind } from '../protocol-kind.ts';
import { OFFER_HTTP1, OFFER_HTTP2, OFFER_TCP } from '../tls/alpn.ts';

/** The calls of one port of a service. */
export interface OutboundCalls {
  readonly kind: ProtocolKind;
  /** Whether browsers' form of gRPC is taken; absent: it is not. */
  readonly grpcWeb?: boolean;
  /** Where bytes go that no route takes; undefined: they are closed. */
  readonly cluster: string | undefined;
  /** Where connections go by their server name or destination, before `cluster`. */
  readonly routes: readonly ConnectionRoute[];
  /** Where requests go. */
  readonly routeConfig: string;
  readonly policy: EffectivePolicy;
  /** What tells clusters who calls; undefined where all calls of the host are one caller's. */
  readonly caller: string | undefined;
  /** How often names that requests ask for are resolved anew; undefined: no service of the mesh needs that. */
  readonly dynamicDnsMs: number | undefined;
  /** For how long a caller that says nothing may keep the protocol open; absent: for ever. */
  readonly detectionTimeoutMs?: MeshConfig['protocolDetectionTimeoutMs'];
  readonly pathNormalization?: MeshConfig['pathNormalization'];
  readonly accessLog: AccessLog | undefined;
}

/** What a listener with such calls is rebuilt for. */
export function callInputs(calls: OutboundCalls): readonly unknown[] {
  return [
    calls.routeConfig,
    calls.kind,
    calls.grpcWeb,
    calls.cluster,
    calls.routes,
    calls.policy,
    calls.caller,
    calls.dynamicDnsMs,
    calls.pathNormalization,
    calls.detectionTimeoutMs,
    calls.accessLog,
  ];
}

function http(calls: OutboundCalls, statPrefix: string): NetworkFilter {
  return httpConnectionManager({
    statPrefix,
    routes: { case: 'rds', value: { configSource: ADS, routeConfigName: calls.routeConfig } },
    from: 'outbound',
    httpFilters: calls.grpcWeb === true ? [GRPC_WEB] : [],
    dynamicDnsMs: calls.dynamicDnsMs,
    pathNormalization: calls.pathNormalization,
    accessLog: calls.accessLog,
  });
}

/** The filters of connections that go to these clusters. */
export function bytesFilters(
  { policy, caller, dynamicDnsMs, accessLog }: Omit<OutboundCalls, 'kind' | 'cluster' | 'routes' | 'routeConfig'>,
  destinations: string | readonly WeightedCluster[],
): readonly NetworkFilter[] {
  const routed = typeof destinations === 'string' ? [] : destinations;
  const port = dynamicPort(routed);
  const { connectionPool: pool, loadBalancer, tunnel } = routed[0]?.policy ?? policy;
  return [
    ...(caller === undefined ? [] : [markCaller(caller)]),
    ...(port === undefined || dynamicDnsMs === undefined ? [] : [dynamicDnsSniFilter(dynamicDnsMs, port)]),
    ...(mustSayBytes(routed) ? [offerAlpn(OFFER_TCP)] : []),
    tcpProxy({
      statPrefix: typeof destinations === 'string' ? destinations : (routed[0]?.cluster ?? ''),
      cluster: destinations,
      idleTimeoutMs: pool?.tcpIdleTimeoutMs,
      maxDurationMs: pool?.maxConnectionDurationMs,
      hash: consistentHash(loadBalancer),
      tunnel,
      accessLog,
    }),
  ];
}

/**
 * HTTP: requests by the route configuration. TCP: bytes to the service's cluster. AUTO: whichever of them the first
 * bytes say. A service whose rule says `useClientProtocol` is watched for the version in the same way.
 * @param statPrefix of HTTP's statistics
 * @param routes those of `calls` that count for the destination
 */
export function outboundChains(
  calls: OutboundCalls,
  statPrefix: string,
  routes: readonly ConnectionRoute[],
): ListenerChains {
  const marks = calls.caller === undefined ? [] : [markCaller(calls.caller)];
  const requests = http(calls, statPrefix);
  const rest = calls.cluster === undefined ? undefined : bytesFilters(calls, calls.cluster);
  const bytes = connectionChains(routes, (destinations) => bytesFilters(calls, destinations), rest);
  const upgrades = calls.policy.connectionPool?.h2UpgradePolicy === 'UPGRADE';
  // One chain a version of HTTP, because the peer must be offered the version that the caller speaks.
  const preserving: readonly FilterChain[] = [
    {
      name: 'http1',
      filterChainMatch: { transportProtocol: 'raw_buffer', applicationProtocols: PLAIN_HTTP1 },
      filters: [...marks, offerAlpn(upgrades ? OFFER_HTTP2 : OFFER_HTTP1), requests],
    },
    {
      name: 'http2',
      filterChainMatch: { transportProtocol: 'raw_buffer', applicationProtocols: PLAIN_HTTP2 },
      filters: [...marks, offerAlpn(OFFER_HTTP2), requests],
    },
  ];
  if (calls.kind === 'tcp') {
    const { filterChains, defaultFilterChain: only, inspect } = bytes;
    return filterChains.length > 0 || only === undefined ? bytes : { filterChains: [only], inspect };
  }
  if (calls.kind === 'auto')
    return {
      filterChains: [...preserving, ...bytes.filterChains],
      defaultFilterChain: bytes.defaultFilterChain,
      inspect: { tls: true, http: true },
    };
  if (calls.policy.connectionPool?.useClientProtocol === true)
    return { filterChains: preserving, inspect: { tls: false, http: true } };
  return { filterChains: [{ name: 'http', filters: [...marks, requests] }], inspect: { tls: false, http: false } };
}

/** The listener at an address or Unix socket through which local applications call one port of a service. */
export function outboundListener(address: SocketAddress | SocketPath, calls: OutboundCalls): Resource {
  const [part] = 'path' in address ? [] : connectionParts([address.address], calls.routes);
  const routes = part?.routes ?? calls.routes.filter(({ destinationSubnets }) => destinationSubnets.length === 0);
  return listener({
    address,
    direction: 'outbound',
    accessLog: calls.accessLog,
    detectionTimeoutMs: calls.detectionTimeoutMs,
    ...outboundChains(calls, `outbound_${listenerName(address)}`, routes),
  });
}
