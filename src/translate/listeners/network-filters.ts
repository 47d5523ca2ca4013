/** The network filters of our listeners: HTTP connection manager, TCP proxy, and what tells clusters of the caller. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { FilterSchema } from '../../gen/envoy/config/listener/v3/listener_components_pb.ts';
import {
  FilterStateValue_SharedWithUpstream,
  type FilterStateValueSchema,
} from '../../gen/envoy/extensions/filters/common/set_filter_state/v3/value_pb.ts';
import {
  HttpConnectionManager_ForwardClientCertDetails,
  HttpConnectionManager_PathWithEscapedSlashesAction,
  HttpConnectionManager_ServerHeaderTransformation,
  HttpConnectionManagerSchema,
} from '../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { ConfigSchema as SetFilterStateSchema } from '../../gen/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state_pb.ts';
import {
  type TcpProxy_TunnelingConfigSchema,
  TcpProxySchema,
} from '../../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts';
import type { ConsistentHash, Tunnel } from '../../model/destination-rule.ts';
import type { ForwardedCertificate, MeshConfig } from '../../model/mesh-config.ts';
import { CALLER_STATE } from '../clusters/cluster-callers.ts';
import { dynamicDnsHttpFilter } from '../clusters/dynamic-dns.ts';
import { type HttpFilter, httpFilters } from '../http/http-filters.ts';
import { duration, pack } from '../messages.ts';
import { statName } from '../names.ts';
import { type AccessLog, accessLoggers } from './access-log.ts';

export type NetworkFilter = MessageInitShape<typeof FilterSchema>;
type HttpConnectionManager = MessageInitShape<typeof HttpConnectionManagerSchema>;

export interface HttpSpec {
  readonly statPrefix: string;
  readonly routes: NonNullable<HttpConnectionManager['routeSpecifier']>;
  /**
   * - `outbound`: from an application; the server header of the peer passes.
   * - `mutual`: from a verified peer, whose identity is added to `x-forwarded-client-cert`.
   * - `plain`: from anyone; that header is removed, so that nobody can claim an identity.
   * - `gateway`: from anyone outside; that header is replaced, and the address of the caller is the connection's.
   */
  readonly from: 'outbound' | 'mutual' | 'plain' | 'gateway';
  /** At a gateway: how many proxies before it are trusted to have written `x-forwarded-for`; absent: none. */
  readonly trustedHops?: number;
  /** At a gateway: what becomes of `x-forwarded-client-cert`; absent: it is replaced. */
  readonly forwardedCertificate?: ForwardedCertificate | undefined;
  /** What becomes of paths before they are matched; absent: as RFC 3986 normalises. */
  readonly pathNormalization?: MeshConfig['pathNormalization'];
  readonly accessLog: AccessLog | undefined;
  /** Come first, in this order; absent: none. */
  readonly httpFilters?: readonly HttpFilter[];
  /** How often names that requests ask for are resolved anew; absent: no cluster needs that. */
  readonly dynamicDnsMs?: number | undefined;
}

function directionFields({
  from,
  forwardedCertificate = 'SANITIZE_SET',
}: Pick<HttpSpec, 'from' | 'forwardedCertificate'>): Pick<
  HttpConnectionManager,
  'serverName' | 'serverHeaderTransformation' | 'forwardClientCertDetails' | 'setCurrentClientCertDetails'
> {
  if (from === 'outbound')
    return { serverHeaderTransformation: HttpConnectionManager_ServerHeaderTransformation.PASS_THROUGH };
  const serverName = 'istio-envoy';
  if (from === 'plain')
    return { serverName, forwardClientCertDetails: HttpConnectionManager_ForwardClientCertDetails.SANITIZE };
  if (from === 'gateway')
    return {
      serverName,
      forwardClientCertDetails: HttpConnectionManager_ForwardClientCertDetails[forwardedCertificate],
      setCurrentClientCertDetails: { subject: true, cert: true, dns: true, uri: true },
    };
  return {
    serverName,
    forwardClientCertDetails: HttpConnectionManager_ForwardClientCertDetails.APPEND_FORWARD,
    setCurrentClientCertDetails: { subject: true, dns: true, uri: true },
  };
}

/** Paths before they are matched. https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#MeshConfig-ProxyPathNormalization */
function pathNormalization(
  kind: MeshConfig['pathNormalization'],
): Pick<HttpConnectionManager, 'normalizePath' | 'mergeSlashes' | 'pathWithEscapedSlashesAction'> {
  if (kind === 'NONE') return { normalizePath: false };
  return {
    normalizePath: true,
    ...((kind === 'MERGE_SLASHES' || kind === 'DECODE_AND_MERGE_SLASHES') && { mergeSlashes: true }),
    ...(kind === 'DECODE_AND_MERGE_SLASHES' && {
      pathWithEscapedSlashesAction: HttpConnectionManager_PathWithEscapedSlashesAction.UNESCAPE_AND_FORWARD,
    }),
  };
}

/** How long a caller outside may take for the headers of a request. Envoy's advice for edges. */
const EDGE_HEADERS_MS = 10_000;
/** How long a request or an upgraded connection of a caller outside may be silent: as long as a connection without any. */
const EDGE_IDLE_MS = 3_600_000;

/**
 * What callers outside may hold of Envoy: they come in any number, and nobody knows them.
 * https://www.envoyproxy.io/docs/envoy/latest/configuration/best_practices/edge
 */
const EDGE = {
  requestHeadersTimeout: duration(EDGE_HEADERS_MS),
  streamIdleTimeout: duration(EDGE_IDLE_MS),
  http2ProtocolOptions: {
    allowConnect: true,
    maxConcurrentStreams: 100,
    initialStreamWindowSize: 262_144,
    initialConnectionWindowSize: 1_048_576,
  },
} as const satisfies Partial<HttpConnectionManager>;
const INSIDE = {
  streamIdleTimeout: duration(0),
  // Applications of old, and proxies that speak no more than that to their servers.
  httpProtocolOptions: { acceptHttp10: true },
  http2ProtocolOptions: { allowConnect: true },
} as const satisfies Partial<HttpConnectionManager>;

/**
 * Websockets pass in both versions of HTTP; streams inside of the mesh may idle; the addresses are those of the applications'
 * own hops; whether a body is wanted (`Expect: 100-continue`) is for the service to say.
 */
export function httpConnectionManager(spec: HttpSpec): NetworkFilter {
  const { dynamicDnsMs } = spec;
  const config: HttpConnectionManager = {
    statPrefix: statName(spec.statPrefix),
    routeSpecifier: spec.routes,
    httpFilters: [
      ...httpFilters(spec.httpFilters, dynamicDnsMs === undefined ? [] : [dynamicDnsHttpFilter(dynamicDnsMs)]),
    ],
    ...directionFields(spec),
    useRemoteAddress: spec.from === 'gateway',
    ...(spec.trustedHops !== undefined && { xffNumTrustedHops: spec.trustedHops }),
    ...pathNormalization(spec.pathNormalization),
    ...(spec.from === 'gateway' ? EDGE : INSIDE),
    proxy100Continue: true,
    upgradeConfigs: [{ upgradeType: 'websocket' }],
    accessLog: accessLoggers(spec.accessLog),
  };
  return {
    name: 'envoy.filters.network.http_connection_manager',
    configType: { case: 'typedConfig', value: pack(HttpConnectionManagerSchema, config) },
  };
}

export interface TcpSpec {
  readonly statPrefix: string;
  /** One, or several with their shares. */
  readonly cluster: string | readonly { readonly cluster: string; readonly weight: number }[];
  /** Undefined: Envoy's default of an hour. */
  readonly idleTimeoutMs: number | undefined;
  /** After how long a connection ends whatever it does; absent: never. */
  readonly maxDurationMs?: number | undefined;
  /** The HTTP proxy's way to the destination; absent: directly. */
  readonly tunnel?: Tunnel | undefined;
  readonly hash: ConsistentHash | undefined;
  readonly accessLog: AccessLog | undefined;
}

function clusterSpecifier(
  clusters: TcpSpec['cluster'],
): NonNullable<MessageInitShape<typeof TcpProxySchema>['clusterSpecifier']> {
  if (typeof clusters === 'string') return { case: 'cluster', value: clusters };
  const [only, ...others] = clusters;
  if (only !== undefined && others.length === 0) return { case: 'cluster', value: only.cluster };
  return {
    case: 'weightedClusters',
    value: { clusters: clusters.map(({ cluster, weight }) => ({ name: cluster, weight })) },
  };
}

function tunneling({
  protocol,
  targetHost,
  targetPort,
}: Tunnel): MessageInitShape<typeof TcpProxy_TunnelingConfigSchema> {
  const host = targetHost.includes(':') ? `[${targetHost}]` : targetHost;
  return { hostname: `${host}:${targetPort}`, usePost: protocol === 'POST' };
}

/** Bytes can be hashed by source address alone. */
export function tcpProxy(spec: TcpSpec): NetworkFilter {
  const bySource = spec.hash?.key.kind === 'sourceIp';
  return {
    name: 'envoy.filters.network.tcp_proxy',
    configType: {
      case: 'typedConfig',
      value: pack(TcpProxySchema, {
        statPrefix: statName(spec.statPrefix),
        clusterSpecifier: clusterSpecifier(spec.cluster),
        ...(spec.idleTimeoutMs !== undefined && { idleTimeout: duration(spec.idleTimeoutMs) }),
        ...(spec.maxDurationMs !== undefined && { maxDownstreamConnectionDuration: duration(spec.maxDurationMs) }),
        ...(spec.tunnel !== undefined && { tunnelingConfig: tunneling(spec.tunnel) }),
        ...(bySource && { hashPolicy: [{ policySpecifier: { case: 'sourceIp', value: {} } }] }),
        accessLog: accessLoggers(spec.accessLog),
      }),
    },
  };
}

/** Sets one object of the connection's filter state, shared with the upstream connections that serve it. */
function setFilterState(value: MessageInitShape<typeof FilterStateValueSchema>): NetworkFilter {
  return {
    name: 'envoy.filters.network.set_filter_state',
    configType: {
      case: 'typedConfig',
      value: pack(SetFilterStateSchema, {
        onNewConnection: [{ ...value, sharedWithUpstream: FilterStateValue_SharedWithUpstream.ONCE }],
      }),
    },
  };
}

function text(inlineString: string): NonNullable<MessageInitShape<typeof FilterStateValueSchema>['value']> {
  const format = {
    case: 'textFormatSource',
    value: { specifier: { case: 'inlineString', value: inlineString } },
  } as const;
  return { case: 'formatString', value: { format } };
}

/**
 * Tells clusters who calls. The mark is hashable: connections to upstreams are pooled by it, so that no caller's
 * request goes over a connection that bears another's certificate.
 * https://www.envoyproxy.io/docs/envoy/latest/configuration/advanced/well_known_filter_state
 */
export function markCaller(caller: string): NetworkFilter {
  return setFilterState({
    key: { case: 'objectKey', value: CALLER_STATE },
    factoryKey: 'envoy.hashable_string',
    value: text(caller),
  });
}

/**
 * Makes the connections to upstreams that serve this connection offer `alpn`, whatever their cluster says.
 * https://www.envoyproxy.io/docs/envoy/latest/configuration/advanced/well_known_filter_state
 */
export function offerAlpn(alpn: readonly string[]): NetworkFilter {
  return setFilterState({
    key: { case: 'objectKey', value: 'envoy.network.application_protocols' },
    value: text(alpn.join(',')),
  });
}
