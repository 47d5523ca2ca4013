/** What a listener does with calls of one port of a service, and the listener of an upstream that does it. */

import type { TrafficPolicyBlocks } from '../model/destination-rule.ts';
import type { SocketAddress, SocketPath } from '../model/host.ts';
import type { Resource } from '../xds/resource.ts';
import { OFFER_HTTP1, OFFER_HTTP2 } from './alpn.ts';
import { ADS } from './config-source.ts';
import { type FilterChain, type ListenerChains, listener, PLAIN_HTTP1, PLAIN_HTTP2 } from './listener.ts';
import { consistentHash } from './load-balancing.ts';
import { listenerName } from './names.ts';
import { httpConnectionManager, markCaller, type NetworkFilter, offerAlpn, tcpProxy } from './network-filters.ts';
import type { ProtocolKind } from './protocol-kind.ts';

/** The calls of one port of a service. */
export interface OutboundCalls {
  readonly kind: ProtocolKind;
  /** Where bytes go. */
  readonly cluster: string;
  /** Where requests go. */
  readonly routeConfig: string;
  readonly policy: TrafficPolicyBlocks;
  /** What tells clusters who calls; undefined where all calls of the host are one caller's. */
  readonly caller: string | undefined;
  readonly accessLogFile: string | undefined;
}

function http(calls: OutboundCalls, statPrefix: string): NetworkFilter {
  return httpConnectionManager({
    statPrefix,
    routes: { case: 'rds', value: { configSource: ADS, routeConfigName: calls.routeConfig } },
    from: 'outbound',
    accessLogFile: calls.accessLogFile,
  });
}

function tcp({ cluster, policy, accessLogFile }: OutboundCalls): NetworkFilter {
  return tcpProxy({
    statPrefix: cluster,
    cluster,
    idleTimeoutMs: policy.connectionPool?.tcpIdleTimeoutMs,
    hash: consistentHash(policy.loadBalancer),
    accessLogFile,
  });
}

/**
 * HTTP: requests by the route configuration. TCP: bytes to the service's cluster. AUTO: whichever of them the first
 * bytes say. A service whose rule says `useClientProtocol` is watched for the version in the same way.
 * @param statPrefix of HTTP's statistics
 */
export function outboundChains(calls: OutboundCalls, statPrefix: string): ListenerChains {
  const marks = calls.caller === undefined ? [] : [markCaller(calls.caller)];
  const requests = http(calls, statPrefix);
  const bytes: FilterChain = { name: 'tcp', filters: [...marks, tcp(calls)] };
  // One chain a version of HTTP, because the peer must be offered the version that the caller speaks.
  const preserving: readonly FilterChain[] = [
    {
      name: 'http1',
      filterChainMatch: { transportProtocol: 'raw_buffer', applicationProtocols: PLAIN_HTTP1 },
      filters: [...marks, offerAlpn(OFFER_HTTP1), requests],
    },
    {
      name: 'http2',
      filterChainMatch: { transportProtocol: 'raw_buffer', applicationProtocols: PLAIN_HTTP2 },
      filters: [...marks, offerAlpn(OFFER_HTTP2), requests],
    },
  ];
  if (calls.kind === 'tcp') return { filterChains: [bytes], inspect: { tls: false, http: false } };
  if (calls.kind === 'auto')
    return { filterChains: preserving, defaultFilterChain: bytes, inspect: { tls: true, http: true } };
  if (calls.policy.connectionPool?.useClientProtocol === true)
    return { filterChains: preserving, inspect: { tls: false, http: true } };
  return { filterChains: [{ name: 'http', filters: [...marks, requests] }], inspect: { tls: false, http: false } };
}

/** The listener at an address or Unix socket through which local applications call one port of a service. */
export function outboundListener(address: SocketAddress | SocketPath, calls: OutboundCalls): Resource {
  return listener({
    address,
    direction: 'outbound',
    ...outboundChains(calls, `outbound_${listenerName(address)}`),
  });
}
