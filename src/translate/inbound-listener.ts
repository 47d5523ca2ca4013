/** What becomes of connections that peers make to a workload of this host: the filter chains before it. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { RouteConfigurationSchema } from '../gen/envoy/config/route/v3/route_pb.ts';
import type { InboundPort, Workload } from '../model/host.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import type { MtlsMode } from '../model/peer-authentication.ts';
import type { Protocol } from '../model/service.ts';
import { type ChainPlan, inboundPlan } from './inbound-chains.ts';
import type { FilterChain, ListenerChains } from './listener.ts';
import { duration } from './messages.ts';
import { listenerName } from './names.ts';
import { httpConnectionManager, type NetworkFilter, tcpProxy } from './network-filters.ts';
import { protocolKind } from './protocol-kind.ts';
import { INBOUND_RETRY } from './retry-policy.ts';
import { downstreamTlsSocket } from './tls-context.ts';

/** A caller that does not finish its handshake is dropped. */
const HANDSHAKE_TIMEOUT_MS = 15_000;

export interface InboundSpec {
  readonly workload: Workload;
  readonly inbound: InboundPort;
  readonly cluster: string;
  readonly mode: MtlsMode;
  readonly config: MeshConfig;
}

function routes(cluster: string, port: number, protocol: Protocol): MessageInitShape<typeof RouteConfigurationSchema> {
  const timeout = duration(0);
  return {
    name: cluster,
    virtualHosts: [
      {
        name: `inbound|http|${port}`,
        domains: ['*'],
        routes: [
          {
            name: 'default',
            match: { pathSpecifier: { case: 'prefix', value: '/' } },
            action: {
              case: 'route',
              value: {
                clusterSpecifier: { case: 'cluster', value: cluster },
                timeout,
                maxStreamDuration: { maxStreamDuration: timeout, grpcTimeoutHeaderMax: timeout },
                ...(protocol !== 'GRPC' && { retryPolicy: INBOUND_RETRY }),
              },
            },
          },
        ],
      },
    ],
    validateClusters: false,
  };
}

function networkFilter(spec: InboundSpec, chain: ChainPlan): NetworkFilter {
  const { cluster, inbound, config } = spec;
  const statPrefix = `inbound_${listenerName(inbound.listen)}`;
  if (chain.carries === 'tcp')
    return tcpProxy({
      statPrefix: cluster,
      cluster,
      idleTimeoutMs: undefined,
      hash: undefined,
      accessLogFile: config.accessLogFile,
    });
  return httpConnectionManager({
    statPrefix,
    routes: { case: 'routeConfig', value: routes(cluster, inbound.listen.port, inbound.protocol) },
    from: chain.mutualTls === undefined ? 'plain' : 'mutual',
    accessLogFile: config.accessLogFile,
  });
}

function filterChain(spec: InboundSpec, chain: ChainPlan): FilterChain {
  const { transport, alpn } = chain.match;
  const { trustDomain, trustDomainAliases } = spec.config;
  return {
    name: chain.name,
    ...((transport !== undefined || alpn !== undefined) && {
      filterChainMatch: { transportProtocol: transport ?? '', applicationProtocols: [...(alpn ?? [])] },
    }),
    filters: [networkFilter(spec, chain)],
    ...(chain.mutualTls !== undefined && {
      transportSocket: downstreamTlsSocket(
        spec.workload.identity,
        [trustDomain, ...trustDomainAliases],
        chain.mutualTls,
      ),
      transportSocketConnectTimeout: duration(HANDSHAKE_TIMEOUT_MS),
    }),
  };
}

/** What becomes of a peer's connections to the workload's port. */
export function inboundChains(spec: InboundSpec): ListenerChains {
  const { chains, inspect } = inboundPlan(spec.mode, protocolKind(spec.inbound.protocol));
  return { filterChains: chains.map((chain) => filterChain(spec, chain)), inspect };
}

/** The listener at the port itself. */
