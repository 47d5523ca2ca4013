/** HTTP versions of a cluster's connections, with the pool settings that Envoy keeps beside them. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import type { MatchPredicateSchema } from '../../gen/envoy/config/common/matcher/v3/matcher_pb.ts';
import type { Http2ProtocolOptionsSchema } from '../../gen/envoy/config/core/v3/protocol_pb.ts';
import { HttpProtocolOptionsSchema } from '../../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import { StringMatcherSchema } from '../../gen/envoy/type/matcher/v3/string_pb.ts';
import type { ConnectionPool } from '../../model/destination-rule.ts';
import type { MeshConfig } from '../../model/mesh-config.ts';
import { duration, type Fields, optionalDuration, pack } from '../messages.ts';
import type { ProtocolKind } from '../protocol-kind.ts';
import { OFFER_HTTP, OFFER_HTTP1, OFFER_HTTP2, OFFER_TCP } from '../tls/alpn.ts';
import type { ClusterSecurity } from './cluster-security.ts';

/**
 * - `http1`, `http2`: always.
 * - `negotiated`: HTTP/2 if the peer's TLS agrees, else HTTP/1.1.
 * - `preserved`: what the caller speaks; its listener sets the offered ALPN.
 * - `bytes`: not HTTP.
 */
export type HopProtocol = 'http1' | 'http2' | 'negotiated' | 'preserved' | 'bytes';

/**
 * The protocol of connections to a port of `kind`.
 * @param tunnelled whether bytes are led through an HTTP proxy
 */
export function hopProtocol(
  kind: ProtocolKind,
  security: ClusterSecurity,
  pool: ConnectionPool | undefined,
  { h2UpgradePolicy }: Pick<MeshConfig, 'h2UpgradePolicy'>,
  tunnelled: boolean,
): HopProtocol {
  const ofRule = pool?.h2UpgradePolicy ?? 'DEFAULT';
  const upgrade = ofRule === 'DEFAULT' ? h2UpgradePolicy : ofRule;
  if (kind === 'tcp') {
    if (!tunnelled) return 'bytes';
    return upgrade === 'UPGRADE' ? 'http2' : 'http1';
  }
  // Whoever writes it for a port of no protocol says that it is HTTP; the mesh's setting does not.
  if (kind === 'auto' && ofRule === 'UPGRADE') return 'http2';
  if (kind === 'auto' || pool?.useClientProtocol === true) return 'preserved';
  if (kind === 'http2' || upgrade === 'UPGRADE') return 'http2';
  // Envoy refuses negotiation where one of the sockets is plain, as in a migrating service.
  return security === 'mutual' && upgrade !== 'DO_NOT_UPGRADE' ? 'negotiated' : 'http1';
}

const OFFERS: Readonly<Record<HopProtocol, readonly string[]>> = {
  http1: OFFER_HTTP1,
  http2: OFFER_HTTP2,
  negotiated: OFFER_HTTP,
  // For callers whose listener does not set it.
  preserved: OFFER_HTTP1,
  bytes: OFFER_TCP,
};

/** What mesh TLS offers for it. */
export function offeredAlpn(hop: HopProtocol, kind: ProtocolKind): readonly string[] {
  return kind === 'auto' ? OFFER_TCP : OFFERS[hop];
}

/** What TLS to a server that is not the mesh's offers for it. */
export function ownAlpn(hop: HopProtocol): readonly string[] {
  return hop === 'http2' ? ['h2'] : [];
}

const KEY = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** What a cluster says of HTTP beside its pool. */
export interface HttpHop {
  /** Whether servers are asked for, and have to prove, the host that each request names. */
  readonly autoSni?: boolean;
  readonly autoSanValidation?: boolean;
  /** Statuses that outlier detection takes for errors, besides 5xx. */
  readonly errorCodes?: readonly number[];
}

/** An answer with one of these statuses counts as an error; Envoy then takes no others, so that 5xx are named as well. */
function errorMatcher(codes: readonly number[]): MessageInitShape<typeof MatchPredicateSchema> {
  const regex = ['5[0-9][0-9]', ...codes.toSorted((a, b) => a - b)].join('|');
  const stringMatch = create(StringMatcherSchema, { matchPattern: { case: 'safeRegex', value: { regex } } });
  return {
    rule: {
      case: 'httpResponseHeadersMatch',
      value: {
        headers: [{ name: ':status', headerMatchSpecifier: { case: 'stringMatch', value: stringMatch } }],
      },
    },
  };
}

type Http2 = MessageInitShape<typeof Http2ProtocolOptionsSchema>;

/** How long an answer to a ping may take where a rule asks for pings and does not say. */
const PING_TIMEOUT_MS = 10_000;

/** Extended CONNECT carries websockets over HTTP/2. */
function http2Options(pool: ConnectionPool | undefined): Http2 {
  const ping = pool?.http2KeepAlive;
  return {
    allowConnect: true,
    ...(pool?.maxConcurrentStreams !== undefined &&
      pool.maxConcurrentStreams > 0 && { maxConcurrentStreams: pool.maxConcurrentStreams }),
    ...(ping?.intervalMs !== undefined && {
      connectionKeepalive: {
        interval: duration(ping.intervalMs),
        timeout: duration(ping.timeoutMs ?? PING_TIMEOUT_MS),
      },
    }),
  };
}

function commonOptions(
  pool: ConnectionPool | undefined,
): Fields<typeof HttpProtocolOptionsSchema>['commonHttpProtocolOptions'] {
  // As in Istio, what is said of TCP holds for HTTP where nothing is said of HTTP.
  const idleTimeoutMs = pool?.httpIdleTimeoutMs ?? pool?.tcpIdleTimeoutMs;
  const options = {
    ...(idleTimeoutMs !== undefined && { idleTimeout: optionalDuration(idleTimeoutMs) }),
    ...(pool?.maxConnectionDurationMs !== undefined && {
      maxConnectionDuration: optionalDuration(pool.maxConnectionDurationMs),
    }),
    ...(pool?.maxRequestsPerConnection !== undefined &&
      pool.maxRequestsPerConnection > 0 && { maxRequestsPerConnection: pool.maxRequestsPerConnection }),
  };
  return Object.keys(options).length === 0 ? undefined : options;
}

/** The cluster's `typed_extension_protocol_options`: empty where Envoy's defaults are meant. */
export function protocolOptions(
  hop: HopProtocol,
  pool: ConnectionPool | undefined,
  { autoSni = false, autoSanValidation = false, errorCodes = [] }: HttpHop = {},
): Record<string, Any> {
  if (hop === 'bytes') return {};
  const commonHttpProtocolOptions = commonOptions(pool);
  const options = {
    ...(commonHttpProtocolOptions !== undefined && { commonHttpProtocolOptions }),
    ...((autoSni || autoSanValidation) && { upstreamHttpProtocolOptions: { autoSni, autoSanValidation } }),
    ...(errorCodes.length > 0 && { outlierDetection: { errorMatcher: errorMatcher(errorCodes) } }),
  };
  if (hop === 'http1' && Object.keys(options).length === 0) return {};
  return {
    [KEY]: pack(HttpProtocolOptionsSchema, {
      ...options,
      upstreamProtocolOptions: upstreamProtocol(hop, http2Options(pool)),
    }),
  };
}

function upstreamProtocol(
  hop: Exclude<HopProtocol, 'bytes'>,
  http2ProtocolOptions: Http2,
): NonNullable<MessageInitShape<typeof HttpProtocolOptionsSchema>['upstreamProtocolOptions']> {
  if (hop === 'negotiated') return { case: 'autoConfig', value: { httpProtocolOptions: {}, http2ProtocolOptions } };
  if (hop === 'preserved')
    return { case: 'useDownstreamProtocolConfig', value: { httpProtocolOptions: {}, http2ProtocolOptions } };
  const protocolConfig =
    hop === 'http1'
      ? ({ case: 'httpProtocolOptions', value: {} } as const)
      : ({ case: 'http2ProtocolOptions', value: http2ProtocolOptions } as const);
  return { case: 'explicitHttpConfig', value: { protocolConfig } };
}
