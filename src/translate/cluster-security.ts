/** How a cluster's connections are secured: from what the service is said to be, never from what endpoints say. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ClusterSchema } from '../gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { TransportSocketSchema } from '../gen/envoy/config/core/v3/base_pb.ts';
import { RawBufferSchema } from '../gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import type { Service, ServiceTls } from '../model/service.ts';
import type { SpiffeId } from '../model/spiffe-id.ts';
import { type ClusterCallers, socketsByCaller } from './cluster-callers.ts';
import { pack } from './messages.ts';
import { REFUSED_TLS_SOCKET, upstreamTlsSocket } from './tls-context.ts';

/** Key of the endpoint metadata that transport socket matches look at. */
export const SOCKET_MATCH = 'envoy.transport_socket_match';
export const TLS_MODE = 'tlsMode';
export const TLS_MODE_ISTIO = 'istio';

/**
 * What becomes of a service's TLS on this host.
 *
 * - `mutual`: all endpoints by mutual TLS.
 * - `matched`: those that offer it by mutual TLS, the others in plain text.
 * - `plain`: plain text.
 * - `refused`: the service demands mutual TLS and this host cannot: no connection at all.
 */
export type ClusterSecurity = 'mutual' | 'matched' | 'plain' | 'refused';

export function clusterSecurity(
  tls: ServiceTls,
  identities: readonly SpiffeId[],
  callers: Pick<ClusterCallers, 'identities'>,
  config: Pick<MeshConfig, 'enableAutoMtls'>,
): ClusterSecurity {
  if (tls === 'plain') return 'plain';
  // Without a name to verify Envoy would take any certificate of the mesh.
  const able = callers.identities.length > 0 && identities.length > 0;
  if (tls === 'required') return able ? 'mutual' : 'refused';
  return able && config.enableAutoMtls ? 'matched' : 'plain';
}

type Socket = MessageInitShape<typeof TransportSocketSchema>;

const RAW_BUFFER: Socket = {
  name: 'envoy.transport_sockets.raw_buffer',
  configType: { case: 'typedConfig', value: pack(RawBufferSchema, {}) },
};

const PLAIN_UNLESS = { filter: SOCKET_MATCH, key: TLS_MODE, value: TLS_MODE_ISTIO, plain: RAW_BUFFER } as const;

/** The transport socket fields of a cluster. */
export function securitySockets(
  security: 'mutual' | 'matched' | 'plain',
  service: Service,
  callers: ClusterCallers,
  sni: string,
  alpn: readonly string[],
): Pick<
  MessageInitShape<typeof ClusterSchema>,
  'transportSocket' | 'transportSocketMatches' | 'transportSocketMatcher'
> {
  const [caller] = callers.identities;
  if (security === 'plain' || caller === undefined) return {};
  const mutual = (identity: SpiffeId): Socket => upstreamTlsSocket(identity, service.identities, sni, alpn);
  if (callers.apart)
    return socketsByCaller(callers, mutual, REFUSED_TLS_SOCKET, security === 'mutual' ? undefined : PLAIN_UNLESS);
  if (security === 'mutual') return { transportSocket: mutual(caller) };
  return {
    transportSocketMatches: [
      { name: 'tlsMode-istio', match: { [TLS_MODE]: TLS_MODE_ISTIO }, transportSocket: mutual(caller) },
      { name: 'tlsMode-disabled', match: {}, transportSocket: RAW_BUFFER },
    ],
  };
}
