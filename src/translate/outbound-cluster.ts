/** The cluster of one port (and subset) of a service that this host calls. */
import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf';
import type { CircuitBreakersSchema } from '../gen/envoy/config/cluster/v3/circuit_breaker_pb.ts';
import { ClusterSchema } from '../gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { MetadataSchema } from '../gen/envoy/config/core/v3/base_pb.ts';
import type { ConnectionPool, TrafficPolicyBlocks } from '../model/destination-rule.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import type { Endpoint, Locality, Service, ServicePort } from '../model/service.ts';
import type { Resource } from '../xds/resource.ts';
import type { ClusterCallers } from './cluster-callers.ts';
import { discovery, isChosenByCaller } from './cluster-discovery.ts';
import { hopProtocol, offeredAlpn, protocolOptions } from './cluster-protocol.ts';
import { clusterSecurity, securitySockets } from './cluster-security.ts';
import { dnsRefreshMs } from './dynamic-dns.ts';
import type { LoadAssignmentSpec } from './load-assignment.ts';
import { loadBalancing } from './load-balancing.ts';
import { duration, resource } from './messages.ts';
import { sniName, statName } from './names.ts';
import { outlierDetection } from './outlier.ts';
import { protocolKind } from './protocol-kind.ts';

/** Envoy's own limits (1,024 connections, 3 retries) are no defaults of Istio's: without a rule there are none. */
const NO_LIMIT = 0xff_ff_ff_ff;

export interface OutboundClusterSpec {
  readonly name: string;
  readonly service: Service;
  readonly port: ServicePort;
  readonly subset: string | undefined;
  readonly policy: TrafficPolicyBlocks;
  readonly callers: ClusterCallers;
  readonly locality: Locality;
  readonly config: MeshConfig;
}

function limit(value: number | undefined): number {
  return value === undefined || value <= 0 ? NO_LIMIT : value;
}

/** The one threshold of a cluster, with Istio's limits. */
export function circuitBreakers(pool: ConnectionPool | undefined): MessageInitShape<typeof CircuitBreakersSchema> {
  return {
    thresholds: [
      {
        maxConnections: limit(pool?.maxConnections),
        maxPendingRequests: limit(pool?.http1MaxPendingRequests),
        maxRequests: limit(pool?.http2MaxRequests),
        maxRetries: limit(pool?.maxRetries),
      },
    ],
  };
}

/** What telemetry reads from a cluster, in Istio's form. */
export function clusterMetadata(
  service: { readonly host: string; readonly name: string; readonly namespace: string },
  subset?: string,
): MessageInitShape<typeof MetadataSchema> {
  const istio: JsonObject = {
    services: [{ host: service.host, name: service.name, namespace: service.namespace }],
    ...(subset !== undefined && { subset }),
  };
  return { filterMetadata: { istio } };
}

type ClusterInit = MessageInitShape<typeof ClusterSchema>;

/** A peer that has acknowledged nothing for so long is gone; the kernel alone would wait a quarter of an hour. */
const SILENT_PEER_MS = 10_000;
/** An idle connection is looked at this often, so that none to a machine that has lost its power is used again. */
const KEEPALIVE_MS = { timeMs: 15_000, intervalMs: 5000 };
/** `TCP_USER_TIMEOUT` of Linux, which Envoy has no field for. */
const USER_TIMEOUT: Pick<ClusterInit, 'upstreamBindConfig'> = {
  upstreamBindConfig: {
    socketOptions: [{ level: 6n, name: 18n, value: { case: 'intValue', value: BigInt(SILENT_PEER_MS) } }],
  },
};

/** How connections to peers that answer no more come to their end. */
function deadPeers(
  pool: ConnectionPool | undefined,
): Pick<ClusterInit, 'upstreamConnectionOptions' | 'upstreamBindConfig'> {
  const probes = pool?.tcpKeepalive?.probes;
  const timeMs = pool?.tcpKeepalive?.timeMs ?? KEEPALIVE_MS.timeMs;
  const intervalMs = pool?.tcpKeepalive?.intervalMs ?? KEEPALIVE_MS.intervalMs;
  return {
    ...USER_TIMEOUT,
    upstreamConnectionOptions: {
      tcpKeepalive: {
        ...(probes !== undefined && { keepaliveProbes: probes }),
        keepaliveTime: Math.ceil(timeMs / 1000),
        keepaliveInterval: Math.ceil(intervalMs / 1000),
      },
    },
  };
}

/** How the endpoints of the cluster are to be encoded. */
export function loadAssignmentSpec(spec: OutboundClusterSpec): LoadAssignmentSpec {
  const { service, port, policy, callers, config, locality } = spec;
  return {
    cluster: spec.name,
    servicePort: port.number,
    marksTls: clusterSecurity(service.tls, service.identities, callers, config) === 'matched',
    // Without outlier detection Envoy would not learn that the nearest endpoints fail.
    failoverFrom: policy.outlierDetection === undefined || locality.region === '' ? undefined : locality,
  };
}

/**
 * The cluster, or undefined where the service demands mutual TLS and nobody who calls it has an identity: then there must be
 * no way to it.
 * @param dnsEndpoints the endpoints of a service that is resolved by DNS; of others they come by EDS
 */
export function outboundCluster(spec: OutboundClusterSpec, dnsEndpoints: readonly Endpoint[]): Resource | undefined {
  const { name, service, port, subset, policy, callers, config } = spec;
  const security = clusterSecurity(service.tls, service.identities, callers, config);
  if (security === 'refused') return undefined;
  const kind = protocolKind(port.protocol);
  const pool = policy.connectionPool;
  const hop = hopProtocol(kind, security, pool);
  const sni = sniName(port.number, subset, service.host);
  return resource(name, ClusterSchema, {
    name,
    altStatName: statName(name),
    ...discovery({
      resolution: service.resolution,
      port,
      assignment: loadAssignmentSpec(spec),
      dnsEndpoints,
      dnsRefreshMs: dnsRefreshMs(config),
    }),
    connectTimeout: duration(pool?.connectTimeoutMs ?? config.connectTimeoutMs),
    ...(!isChosenByCaller(service.resolution) && loadBalancing(policy.loadBalancer)),
    circuitBreakers: circuitBreakers(pool),
    ...(policy.outlierDetection !== undefined && { outlierDetection: outlierDetection(policy.outlierDetection) }),
    commonLbConfig: { healthyPanicThreshold: { value: policy.outlierDetection?.minHealthPercent ?? 0 } },
    typedExtensionProtocolOptions: protocolOptions(hop, pool),
    ...securitySockets(security, service, callers, sni, offeredAlpn(hop, kind)),
    ...deadPeers(pool),
    metadata: clusterMetadata(service, subset),
  });
}
