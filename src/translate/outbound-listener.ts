/** The loopback listener through which local applications call one port of a service. */

import type { TrafficPolicyBlocks } from '../model/destination-rule.ts';
import type { SocketAddress, SocketPath } from '../model/host.ts';
import type { Resource } from '../xds/resource.ts';
import { OFFER_HTTP1, OFFER_HTTP2 } from './alpn.ts';
import { ADS } from './config-source.ts';
import { type FilterChain, listener, PLAIN_HTTP1, PLAIN_HTTP2 } from './listener.ts';
import { consistentHash } from './load-balancing.ts';
import { listenerName, outboundClusterName, routeConfigName } from './names.ts';
import { httpConnectionManager, type NetworkFilter, offerAlpn, tcpProxy } from './network-filters.ts';
import type { ProtocolKind } from './protocol-kind.ts';

export interface OutboundListenerSpec {
  readonly address: SocketAddress | SocketPath;
  readonly host: string;
  readonly port: number;
  readonly kind: ProtocolKind;
  readonly policy: TrafficPolicyBlocks;
  readonly accessLogFile: string | undefined;
}

function http(spec: OutboundListenerSpec): NetworkFilter {
  return httpConnectionManager({
    statPrefix: `outbound_${listenerName(spec.address)}`,
    routes: { case: 'rds', value: { configSource: ADS, routeConfigName: routeConfigName(spec.host, spec.port) } },
    from: 'outbound',
    accessLogFile: spec.accessLogFile,
  });
}

function tcp(spec: OutboundListenerSpec): NetworkFilter {
  const cluster = outboundClusterName(spec.port, undefined, spec.host);
  return tcpProxy({
    statPrefix: cluster,
    cluster,
    idleTimeoutMs: spec.policy.connectionPool?.tcpIdleTimeoutMs,
    hash: consistentHash(spec.policy.loadBalancer),
    accessLogFile: spec.accessLogFile,
  });
}

/** One chain a version of HTTP, because the peer must be offered the version that the caller speaks. */
function preservingChains(spec: OutboundListenerSpec): readonly FilterChain[] {
  return [
    {
      name: 'http1',
      filterChainMatch: { transportProtocol: 'raw_buffer', applicationProtocols: PLAIN_HTTP1 },
      filters: [offerAlpn(OFFER_HTTP1), http(spec)],
    },
    {
      name: 'http2',
      filterChainMatch: { transportProtocol: 'raw_buffer', applicationProtocols: PLAIN_HTTP2 },
      filters: [offerAlpn(OFFER_HTTP2), http(spec)],
    },
  ];
}

/**
 * HTTP: requests by the route configuration. TCP: bytes to the service's cluster. AUTO: whichever of them the first
 * bytes say. A service whose rule says `useClientProtocol` is watched for the version in the same way.
 */
export function outboundListener(spec: OutboundListenerSpec): Resource {
  const common = { address: spec.address, direction: 'outbound' } as const;
  if (spec.kind === 'tcp')
    return listener({
      ...common,
      filterChains: [{ name: 'tcp', filters: [tcp(spec)] }],
      inspect: { tls: false, http: false },
    });
  if (spec.kind === 'auto')
    return listener({
      ...common,
      filterChains: preservingChains(spec),
      defaultFilterChain: { name: 'tcp', filters: [tcp(spec)] },
      inspect: { tls: true, http: true },
    });
  if (spec.policy.connectionPool?.useClientProtocol === true)
    return listener({ ...common, filterChains: preservingChains(spec), inspect: { tls: false, http: true } });
  return listener({
    ...common,
    filterChains: [{ name: 'http', filters: [http(spec)] }],
    inspect: { tls: false, http: false },
  });
}
