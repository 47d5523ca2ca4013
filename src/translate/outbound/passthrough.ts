/** Captured connections whose destination is nobody's of the mesh: on to where they were going, or closed. */
import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  ClusterSchema,
} from '../../gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { Resource } from '../../xds/resource.ts';
import { dynamicDnsCluster } from '../clusters/dynamic-dns.ts';
import type { AccessLog } from '../listeners/access-log.ts';
import { type NetworkFilter, tcpProxy } from '../listeners/network-filters.ts';
import { duration, resource } from '../messages.ts';
import { statName } from '../names.ts';
import { observeClusterFields } from '../observe/observe-cluster.ts';

/** Istio's names. */
export const PASSTHROUGH_CLUSTER = 'PassthroughCluster';
export const BLACK_HOLE_CLUSTER = 'BlackHoleCluster';

/** Ours: requests to hosts that nobody is, by their names (`ALLOW_ANY_DYNAMIC_DNS`). */
export const DYNAMIC_DNS_CLUSTER = 'DynamicDnsCluster';

/** Bytes to the cluster, as long as both sides like. */
export function passBytes(cluster: string, accessLog: AccessLog | undefined): NetworkFilter {
  return tcpProxy({ statPrefix: cluster, cluster, idleTimeoutMs: 0, hash: undefined, accessLog });
}

/** The cluster of every destination: connections go where their callers wanted them to go. */
export function passthroughCluster(): Resource {
  return resource(PASSTHROUGH_CLUSTER, ClusterSchema, {
    ...observeClusterFields(PASSTHROUGH_CLUSTER),
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST },
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
  });
}

/** The cluster of no destination: connections are closed. */
export function blackHoleCluster(): Resource {
  return resource(BLACK_HOLE_CLUSTER, ClusterSchema, {
    name: BLACK_HOLE_CLUSTER,
    altStatName: statName(BLACK_HOLE_CLUSTER),
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    connectTimeout: duration(1000),
  });
}

/** The cluster of every host that a request names. */
export function dynamicDnsPassthrough(refreshMs: number): Resource {
  return resource(DYNAMIC_DNS_CLUSTER, ClusterSchema, {
    ...observeClusterFields(DYNAMIC_DNS_CLUSTER),
    ...dynamicDnsCluster(refreshMs),
  });
}
