/** The cluster of an application on this host. */
import { ClusterSchema } from '../../gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { ConnectionPool } from '../../model/destination-rule.ts';
import type { MeshConfig } from '../../model/mesh-config.ts';
import type { Resource } from '../../xds/resource.ts';
import { circuitBreakers } from '../clusters/circuit-breakers.ts';
import { clusterMetadata } from '../clusters/cluster-metadata.ts';
import { protocolOptions } from '../clusters/cluster-protocol.ts';
import { inboundStatName } from '../clusters/stat-names.ts';
import { duration, type Fields, resource } from '../messages.ts';
import { type ProtocolKind, protocolKind } from '../protocol-kind.ts';
import { applicationAddress } from './application-address.ts';
import type { Inbound } from './inbound-ports.ts';

const APPLICATION_HOP = { http: 'http1', http2: 'http2', auto: 'preserved', tcp: 'bytes' } as const satisfies Record<
  ProtocolKind,
  string
>;

function keepalive(pool: ConnectionPool | undefined): Pick<Fields<typeof ClusterSchema>, 'upstreamConnectionOptions'> {
  const { probes, timeMs, intervalMs } = pool?.tcpKeepalive ?? {};
  if (pool?.tcpKeepalive === undefined) return {};
  return {
    upstreamConnectionOptions: {
      tcpKeepalive: {
        ...(probes !== undefined && { keepaliveProbes: probes }),
        ...(timeMs !== undefined && { keepaliveTime: Math.ceil(timeMs / 1000) }),
        ...(intervalMs !== undefined && { keepaliveInterval: Math.ceil(intervalMs / 1000) }),
      },
    },
  };
}

/** @param portName what the service calls its port; empty: nothing */
export function inboundCluster(
  name: string,
  { workload, taken: inbound, pool }: Inbound,
  config: MeshConfig,
  portName: string,
): Resource {
  const service = { host: workload.serviceHost, name: workload.service, namespace: workload.namespace };
  const { application } = inbound;
  return resource(name, ClusterSchema, {
    name,
    altStatName: inboundStatName({
      name,
      service,
      port: { number: inbound.listen.port, name: portName },
      targetPort: 'port' in application ? application.port : undefined,
      config,
    }),
    ...applicationAddress(name, inbound),
    connectTimeout: duration(pool?.connectTimeoutMs ?? config.connectTimeoutMs),
    circuitBreakers: circuitBreakers(pool),
    typedExtensionProtocolOptions: protocolOptions(APPLICATION_HOP[protocolKind(inbound.protocol)], pool),
    ...keepalive(pool),
    metadata: clusterMetadata(service),
  });
}
