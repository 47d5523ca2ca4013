/**
 * How a cluster's connections are secured: by what a rule says, else by what the service is said to be, never by what
 * endpoints say.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ClusterSchema } from '../../gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { TransportSocketSchema } from '../../gen/envoy/config/core/v3/base_pb.ts';
import type { ClientTls } from '../../model/destination-rule.ts';
import type { MeshConfig, TlsChoice } from '../../model/mesh-config.ts';
import type { Service, ServiceTls } from '../../model/service.ts';
import { parseWorkloadSpiffeId, type SpiffeId, workloadSpiffeId } from '../../model/spiffe-id.ts';
import { REFUSED_TLS_SOCKET, upstreamTlsSocket } from '../tls/tls-context.ts';
import { type ClusterCallers, socketsByCaller } from './cluster-callers.ts';
import { RAW_BUFFER } from './proxy-protocol.ts';

/** Key of the endpoint metadata that transport socket matches look at. */
export const SOCKET_MATCH = 'envoy.transport_socket_match';
export const TLS_MODE = 'tlsMode';
export const TLS_MODE_ISTIO = 'istio';

/**
 * What becomes of a service's TLS on this host.
 *
 * - `mutual`: all endpoints by the mesh's mutual TLS.
 * - `matched`: those that offer it by mutual TLS, the others in plain text.
 * - `plain`: plain text.
 * - `own`: TLS with the certificates that a rule names.
 * - `refused`: mutual TLS is demanded and this host cannot: no connection at all.
 */
export type ClusterSecurity = 'mutual' | 'matched' | 'plain' | 'own' | 'refused';

/** Where no rule says anything. */
function clusterSecurity(
  tls: ServiceTls,
  identities: readonly SpiffeId[],
  callers: Pick<ClusterCallers, 'identities'>,
  config: Pick<MeshConfig, 'enableAutoMtls'>,
): 'mutual' | 'matched' | 'plain' | 'refused' {
  if (tls === 'plain') return 'plain';
  // Without a name to verify Envoy would take any certificate of the mesh.
  const able = callers.identities.length > 0 && identities.length > 0;
  if (tls === 'required') return able ? 'mutual' : 'refused';
  return able && config.enableAutoMtls ? 'matched' : 'plain';
}

/** Who may answer as the service: whoever a rule or its ServiceEntry names, else its identities in all trust domains. */
export function expectedNames(
  tls: ClientTls | undefined,
  service: Pick<Service, 'namespace' | 'name' | 'identities' | 'subjectAltNames'>,
  { trustDomain, trustDomainAliases }: Pick<MeshConfig, 'trustDomain' | 'trustDomainAliases'>,
): readonly string[] {
  const named = [tls?.subjectAltNames ?? [], service.subjectAltNames ?? []].find(({ length }) => length > 0);
  if (named !== undefined) return named;
  const { namespace, name } = service;
  // A service of which nothing is said is run by the account of its name.
  const byName =
    tls?.mode === 'ISTIO_MUTUAL' ? workloadSpiffeId({ trustDomain, namespace, serviceAccount: name }) : undefined;
  const ids = service.identities.length > 0 || byName === undefined ? service.identities : [byName];
  const all = ids.flatMap((id) => {
    const parsed = parseWorkloadSpiffeId(id);
    if (parsed?.trustDomain !== trustDomain) return [id];
    return [id, ...trustDomainAliases.flatMap((alias) => workloadSpiffeId({ ...parsed, trustDomain: alias }) ?? [])];
  });
  return [...new Set(all)];
}

/** With what a rule says, which goes before everything else. */
export function securityOf(
  tls: ClientTls | undefined,
  service: Service,
  callers: Pick<ClusterCallers, 'identities'>,
  config: MeshConfig,
): ClusterSecurity {
  if (tls === undefined) return clusterSecurity(service.tls, service.identities, callers, config);
  if (tls.mode === 'DISABLE') return 'plain';
  if (tls.mode !== 'ISTIO_MUTUAL') return 'own';
  return callers.identities.length > 0 && expectedNames(tls, service, config).length > 0 ? 'mutual' : 'refused';
}

type Socket = MessageInitShape<typeof TransportSocketSchema>;

const PLAIN_UNLESS = { filter: SOCKET_MATCH, key: TLS_MODE, value: TLS_MODE_ISTIO, plain: RAW_BUFFER } as const;

/**
 * The transport socket fields of a cluster whose peers are of the mesh.
 * @param expected who may answer
 */
export function securitySockets(
  security: 'mutual' | 'matched' | 'plain',
  expected: readonly string[],
  callers: ClusterCallers,
  sni: string,
  alpn: readonly string[],
  choice?: TlsChoice,
): Pick<
  MessageInitShape<typeof ClusterSchema>,
  'transportSocket' | 'transportSocketMatches' | 'transportSocketMatcher'
> {
  const [caller] = callers.identities;
  if (security === 'plain' || caller === undefined) return {};
  const mutual = (identity: SpiffeId): Socket => upstreamTlsSocket(identity, expected, sni, alpn, choice);
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
