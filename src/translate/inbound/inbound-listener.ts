/** What becomes of connections that peers make to a workload of this host: the filter chains before it. */
import type { Workload } from '../../model/host.ts';
import type { MeshConfig } from '../../model/mesh-config.ts';
import type { MtlsMode } from '../../model/peer-authentication.ts';
import { ADS } from '../config-source.ts';
import { type OwnTls, ownTlsSocket } from '../gateway/gateway-tls.ts';
import { grpcWebFilters } from '../http/grpc-web-filter.ts';
import { accessLogOf } from '../listeners/access-log.ts';
import type { FilterChain, ListenerChains } from '../listeners/listener.ts';
import { httpConnectionManager, type NetworkFilter, tcpProxy } from '../listeners/network-filters.ts';
import { duration } from '../messages.ts';
import { listenerName } from '../names.ts';
import { protocolKind } from '../protocol-kind.ts';
import { type AppliedLimit, limitFilters } from '../rate-limit/rate-limit-filters.ts';
import { CHOOSE_HTTP } from '../tls/alpn.ts';
import { downstreamTlsSocket } from '../tls/tls-context.ts';
import { type ChainPlan, inboundPlan, ownTlsPlan } from './inbound-chains.ts';
import type { TakenPort } from './inbound-ports.ts';
import { inboundRoutes } from './inbound-routes.ts';

/** A caller that does not finish its handshake is dropped. */
const HANDSHAKE_TIMEOUT_MS = 15_000;

export interface InboundSpec {
  readonly workload: Workload;
  readonly inbound: TakenPort;
  readonly cluster: string;
  readonly mode: MtlsMode;
  readonly config: MeshConfig;
  /** With some, the routes come as a resource of their own. */
  readonly limits: readonly AppliedLimit[];
  /** Of bytes; undefined: Envoy's default. */
  readonly tcpIdleTimeoutMs: number | undefined;
  /** The port's own certificates; undefined: the mesh's, by `mode`. */
  readonly ownTls: Omit<OwnTls, 'alpn' | 'defaults'> | undefined;
}

function networkFilter(spec: InboundSpec, chain: ChainPlan): NetworkFilter {
  const { cluster, inbound, config, limits } = spec;
  const statPrefix = `inbound_${listenerName(inbound.listen)}`;
  const from = chain.mutualTls === undefined ? 'plain' : 'mutual';
  if (chain.carries === 'tcp')
    return tcpProxy({
      statPrefix: cluster,
      cluster,
      idleTimeoutMs: spec.tcpIdleTimeoutMs,
      hash: undefined,
      accessLog: accessLogOf(config),
    });
  return httpConnectionManager({
    statPrefix,
    routes:
      limits.length === 0
        ? {
            case: 'routeConfig',
            value: inboundRoutes({ cluster, port: inbound.listen.port, protocol: inbound.protocol, limits }),
          }
        : { case: 'rds', value: { configSource: ADS, routeConfigName: cluster } },
    httpFilters: [...limitFilters(limits, from), ...grpcWebFilters([inbound.protocol])],
    from,
    pathNormalization: config.pathNormalization,
    accessLog: accessLogOf(config),
  });
}

function filterChain(spec: InboundSpec, chain: ChainPlan): FilterChain {
  const { transport, alpn } = chain.match;
  const { trustDomain, trustDomainAliases, meshMtls, tlsDefaults } = spec.config;
  return {
    name: chain.name,
    ...((transport !== undefined || alpn !== undefined) && {
      filterChainMatch: { transportProtocol: transport ?? '', applicationProtocols: [...(alpn ?? [])] },
    }),
    filters: [networkFilter(spec, chain)],
    ...(chain.ownTls === true &&
      spec.ownTls !== undefined && {
        transportSocket: ownTlsSocket({
          ...spec.ownTls,
          defaults: tlsDefaults,
          alpn: chain.carries === 'http' ? CHOOSE_HTTP : [],
        }),
        transportSocketConnectTimeout: duration(HANDSHAKE_TIMEOUT_MS),
      }),
    ...(chain.mutualTls !== undefined && {
      transportSocket: downstreamTlsSocket(
        spec.workload.identity,
        [trustDomain, ...trustDomainAliases],
        chain.mutualTls,
        meshMtls,
      ),
      transportSocketConnectTimeout: duration(HANDSHAKE_TIMEOUT_MS),
    }),
  };
}

/** What becomes of a peer's connections to the workload's port. */
export function inboundChains(spec: InboundSpec): ListenerChains {
  const kind = protocolKind(spec.inbound.protocol);
  const { chains, inspect } =
    spec.ownTls === undefined ? inboundPlan(spec.mode, kind) : ownTlsPlan(kind === 'tcp' ? 'tcp' : 'http');
  return { filterChains: chains.map((chain) => filterChain(spec, chain)), inspect };
}
