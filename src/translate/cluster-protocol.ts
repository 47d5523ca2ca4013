/** HTTP versions of a cluster's connections, with the pool settings that Envoy keeps beside them. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import type { Http2ProtocolOptionsSchema } from '../gen/envoy/config/core/v3/protocol_pb.ts';
import { HttpProtocolOptionsSchema } from '../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import type { ConnectionPool } from '../model/destination-rule.ts';
import { OFFER_HTTP, OFFER_HTTP1, OFFER_HTTP2, OFFER_TCP } from './alpn.ts';
import type { ClusterSecurity } from './cluster-security.ts';
import { optionalDuration, pack } from './messages.ts';
import type { ProtocolKind } from './protocol-kind.ts';

/**
 * - `http1`, `http2`: always.
 * - `negotiated`: HTTP/2 if the peer's TLS agrees, else HTTP/1.1.
 * - `preserved`: what the caller speaks; its listener sets the offered ALPN.
 * - `bytes`: not HTTP.
 */
export type HopProtocol = 'http1' | 'http2' | 'negotiated' | 'preserved' | 'bytes';

/** The protocol of connections to a port of `kind`. */
export function hopProtocol(
  kind: ProtocolKind,
  security: ClusterSecurity,
  pool: ConnectionPool | undefined,
): HopProtocol {
  if (kind === 'tcp') return 'bytes';
  if (kind === 'auto' || pool?.useClientProtocol === true) return 'preserved';
  if (kind === 'http2' || pool?.h2UpgradePolicy === 'UPGRADE') return 'http2';
  // Envoy refuses negotiation where one of the sockets is plain, as in a migrating service.
  return security === 'mutual' && pool?.h2UpgradePolicy !== 'DO_NOT_UPGRADE' ? 'negotiated' : 'http1';
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

const KEY = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** The cluster's `typed_extension_protocol_options`: empty where Envoy's defaults are meant. */
export function protocolOptions(hop: HopProtocol, pool: ConnectionPool | undefined): Record<string, Any> {
  if (hop === 'bytes') return {};
  const commonHttpProtocolOptions = {
    ...(pool?.httpIdleTimeoutMs !== undefined && { idleTimeout: optionalDuration(pool.httpIdleTimeoutMs) }),
    ...(pool?.maxConnectionDurationMs !== undefined && {
      maxConnectionDuration: optionalDuration(pool.maxConnectionDurationMs),
    }),
    ...(pool?.maxRequestsPerConnection !== undefined &&
      pool.maxRequestsPerConnection > 0 && { maxRequestsPerConnection: pool.maxRequestsPerConnection }),
  };
  const hasCommon = Object.keys(commonHttpProtocolOptions).length > 0;
  if (hop === 'http1' && !hasCommon) return {};
  // Extended CONNECT carries websockets over HTTP/2.
  const http2ProtocolOptions: MessageInitShape<typeof Http2ProtocolOptionsSchema> = {
    allowConnect: true,
    ...(pool?.maxConcurrentStreams !== undefined &&
      pool.maxConcurrentStreams > 0 && { maxConcurrentStreams: pool.maxConcurrentStreams }),
  };
  return {
    [KEY]: pack(HttpProtocolOptionsSchema, {
      ...(hasCommon && { commonHttpProtocolOptions }),
      upstreamProtocolOptions: upstreamProtocol(hop, http2ProtocolOptions),
    }),
  };
}

function upstreamProtocol(
  hop: Exclude<HopProtocol, 'bytes'>,
  http2ProtocolOptions: MessageInitShape<typeof Http2ProtocolOptionsSchema>,
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
