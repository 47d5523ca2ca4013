/** Filter chains of a gateway's listener: which connections a server takes, and what becomes of them. */

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { TransportSocketSchema } from '../../gen/envoy/config/core/v3/base_pb.ts';
import { TrafficDirection } from '../../gen/envoy/config/core/v3/base_pb.ts';
import { ListenerSchema } from '../../gen/envoy/config/listener/v3/listener_pb.ts';
import type { ConsistentHash } from '../../model/destination-rule.ts';
import type { ServerTls } from '../../model/gateway.ts';
import type { SocketAddress } from '../../model/host.ts';
import type { ForwardedCertificate, MeshConfig, TlsChoice } from '../../model/mesh-config.ts';
import type { SpiffeId } from '../../model/spiffe-id.ts';
import type { Resource } from '../../xds/resource.ts';
import { dynamicDnsSniFilter } from '../clusters/dynamic-dns.ts';
import { ADS } from '../config-source.ts';
import { dynamicPort, mustSayBytes, type WeightedCluster } from '../connections/tcp-routes.ts';
import { GRPC_WEB } from '../http/grpc-web-filter.ts';
import { type AccessLog, listenerLoggers } from '../listeners/access-log.ts';
import type { FilterChain } from '../listeners/listener.ts';
import { PROXY_PROTOCOL, TLS_INSPECTOR } from '../listeners/listener-filters.ts';
import {
  httpConnectionManager,
  markCaller,
  type NetworkFilter,
  offerAlpn,
  tcpProxy,
} from '../listeners/network-filters.ts';
import { duration, resource } from '../messages.ts';
import { listenerName } from '../names.ts';
import { type AppliedLimit, limitFilters } from '../rate-limit/rate-limit-filters.ts';
import { OFFER_TCP } from '../tls/alpn.ts';
import { downstreamTlsSocket } from '../tls/tls-context.ts';
import { type OwnTls, ownTlsSocket } from './gateway-tls.ts';

/** How a server ends TLS: with certificates of its own, or with those of the mesh. */
export type ServerEnd =
  | ({ readonly kind: 'own' } & OwnTls)
  | {
      readonly kind: 'mesh';
      readonly identity: SpiffeId;
      /** Whose identities may call. */
      readonly trustDomains: readonly string[];
      readonly alpn: readonly string[];
      readonly choice: TlsChoice | undefined;
    };

/** One filter chain, as plain data: the same data give the same chain. */
export interface GatewayChain {
  readonly name: string;
  /** Server names that it takes; empty: any, or none. */
  readonly serverNames: readonly string[];
  /** Undefined: TLS is not ended here. */
  readonly end: ServerEnd | undefined;
  readonly carries: GatewayHttp | GatewayBytes;
}

export interface GatewayHttp {
  readonly kind: 'http';
  readonly routeConfig: string;
  readonly grpcWeb: boolean;
  /** In the order of their filters. */
  readonly limits: readonly AppliedLimit[];
}

export interface GatewayBytes {
  readonly kind: 'tcp';
  /** At least one. */
  readonly clusters: readonly { readonly cluster: string; readonly weight: number }[];
  readonly hash: ConsistentHash | undefined;
  /** Whether peers must be told that these are bytes, since their port may take them for HTTP. */
  readonly asBytes: boolean;
  /** The port on which the host is called that a caller asks for by its server name; undefined: clusters know theirs. */
  readonly dynamicPort: number | undefined;
}

/** Where the bytes of a route go. */
export function bytesTo(destinations: readonly WeightedCluster[]): GatewayBytes {
  return {
    kind: 'tcp',
    clusters: destinations.map(({ cluster, weight }) => ({ cluster, weight })),
    hash: destinations[0]?.hash,
    asBytes: mustSayBytes(destinations),
    dynamicPort: dynamicPort(destinations),
  };
}

export interface GatewayListenerSpec {
  readonly listen: SocketAddress;
  readonly chains: readonly GatewayChain[];
  /** Whether chains are chosen by server name. */
  readonly inspectsTls: boolean;
  /** What tells clusters who calls; undefined where all calls of the host are one caller's. */
  readonly caller: string | undefined;
  /** How often names that requests ask for are resolved anew; undefined: no service of the mesh needs that. */
  readonly dynamicDnsMs: number | undefined;
  readonly accessLog: AccessLog | undefined;
  readonly pathNormalization?: MeshConfig['pathNormalization'];
  readonly trustedHops: number | undefined;
  readonly proxyProtocol: boolean;
  readonly forwardedCertificate: ForwardedCertificate | undefined;
}

/** As in Istio. */
const HANDSHAKE_MS = 15_000;

/** Whether callers may show a certificate, which is then verified. */
export function asksForCertificates(end: { readonly tls?: ServerTls | undefined } | undefined): boolean {
  const mode = end?.tls?.mode;
  return mode === 'MUTUAL' || mode === 'OPTIONAL_MUTUAL' || mode === 'ISTIO_MUTUAL';
}

function http(spec: GatewayListenerSpec, carries: GatewayHttp, end: ServerEnd | undefined): NetworkFilter {
  const knowsCaller = end?.kind === 'mesh' || asksForCertificates(end);
  return httpConnectionManager({
    statPrefix: `outbound_${listenerName(spec.listen)}`,
    routes: { case: 'rds', value: { configSource: ADS, routeConfigName: carries.routeConfig } },
    from: 'gateway',
    forwardedCertificate: spec.forwardedCertificate,
    httpFilters: [
      ...limitFilters(carries.limits, knowsCaller ? 'mutual' : 'plain'),
      ...(carries.grpcWeb ? [GRPC_WEB] : []),
    ],
    ...(spec.trustedHops !== undefined && { trustedHops: spec.trustedHops }),
    pathNormalization: spec.pathNormalization,
    dynamicDnsMs: spec.dynamicDnsMs,
    accessLog: spec.accessLog,
  });
}

function tcp(spec: GatewayListenerSpec, bytes: GatewayBytes): readonly NetworkFilter[] {
  const { clusters, hash, asBytes, dynamicPort: port } = bytes;
  const { dynamicDnsMs } = spec;
  return [
    ...(port === undefined || dynamicDnsMs === undefined ? [] : [dynamicDnsSniFilter(dynamicDnsMs, port)]),
    ...(asBytes ? [offerAlpn(OFFER_TCP)] : []),
    tcpProxy({
      statPrefix: clusters[0]?.cluster ?? '',
      cluster: clusters,
      idleTimeoutMs: undefined,
      hash,
      accessLog: spec.accessLog,
    }),
  ];
}

function socketOf(end: ServerEnd): MessageInitShape<typeof TransportSocketSchema> {
  return end.kind === 'own'
    ? ownTlsSocket(end)
    : downstreamTlsSocket(end.identity, end.trustDomains, end.alpn, end.choice);
}

function filterChain(spec: GatewayListenerSpec, chain: GatewayChain): FilterChain {
  const { name, serverNames, end, carries } = chain;
  return {
    name,
    ...(serverNames.length > 0 && { filterChainMatch: { serverNames: [...serverNames] } }),
    filters: [
      ...(spec.caller === undefined ? [] : [markCaller(spec.caller)]),
      ...(carries.kind === 'http' ? [http(spec, carries, end)] : tcp(spec, carries)),
    ],
    ...(end !== undefined && { transportSocket: socketOf(end) }),
    transportSocketConnectTimeout: duration(HANDSHAKE_MS),
  };
}

/** Callers outside that say nothing are not waited for without end: Envoy's own limit of 15 s holds. */
export function gatewayListener(spec: GatewayListenerSpec): Resource {
  const { address, port } = spec.listen;
  const name = listenerName(spec.listen);
  return resource(name, ListenerSchema, {
    name,
    address: {
      address: { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: port } } },
    },
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFilters: [...(spec.proxyProtocol ? [PROXY_PROTOCOL] : []), ...(spec.inspectsTls ? [TLS_INSPECTOR] : [])],
    accessLog: listenerLoggers(spec.accessLog),
    filterChains: spec.chains.map((chain) => filterChain(spec, chain)),
  });
}
