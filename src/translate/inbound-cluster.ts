/** The cluster of an application on this host. */
import { ClusterSchema } from '../gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { InboundPort, Workload } from '../model/host.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import type { Resource } from '../xds/resource.ts';
import { applicationAddress } from './application-address.ts';
import { protocolOptions } from './cluster-protocol.ts';
import { duration, resource } from './messages.ts';
import { statName } from './names.ts';
import { circuitBreakers, clusterMetadata } from './outbound-cluster.ts';
import { type ProtocolKind, protocolKind } from './protocol-kind.ts';

const APPLICATION_HOP = { http: 'http1', http2: 'http2', auto: 'preserved', tcp: 'bytes' } as const satisfies Record<
  ProtocolKind,
  string
>;

export function inboundCluster(name: string, workload: Workload, inbound: InboundPort, config: MeshConfig): Resource {
  return resource(name, ClusterSchema, {
    name,
    altStatName: statName(name),
    ...applicationAddress(name, inbound),
    connectTimeout: duration(config.connectTimeoutMs),
    circuitBreakers: circuitBreakers(undefined),
    typedExtensionProtocolOptions: protocolOptions(APPLICATION_HOP[protocolKind(inbound.protocol)], undefined),
    metadata: clusterMetadata({
      host: workload.serviceHost,
      name: workload.service,
      namespace: workload.namespace,
    }),
  });
}
