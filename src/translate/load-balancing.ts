/** Load balancing of a cluster, and the hash policies that consistent hashing needs on routes. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Cluster_LbPolicy, type ClusterSchema } from '../gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { RouteAction_HashPolicySchema } from '../gen/envoy/config/route/v3/route_components_pb.ts';
import type { ConsistentHash, LoadBalancer } from '../model/destination-rule.ts';
import { duration } from './messages.ts';

/** Istio's default of `ringHash.minimumRingSize`. */
const MINIMUM_RING_SIZE = 1024;

const SIMPLE = {
  ROUND_ROBIN: Cluster_LbPolicy.ROUND_ROBIN,
  LEAST_REQUEST: Cluster_LbPolicy.LEAST_REQUEST,
  RANDOM: Cluster_LbPolicy.RANDOM,
  PASSTHROUGH: Cluster_LbPolicy.CLUSTER_PROVIDED,
} as const;

export function loadBalancing(
  loadBalancer: LoadBalancer | undefined,
): Pick<MessageInitShape<typeof ClusterSchema>, 'lbPolicy' | 'lbConfig'> {
  if (loadBalancer === undefined) return { lbPolicy: Cluster_LbPolicy.LEAST_REQUEST };
  if (loadBalancer.kind === 'simple') return { lbPolicy: SIMPLE[loadBalancer.simple] };
  const { algorithm } = loadBalancer.hash;
  if (algorithm.kind === 'ringHash') {
    const minimumRingSize = BigInt(algorithm.minimumRingSize ?? MINIMUM_RING_SIZE);
    return {
      lbPolicy: Cluster_LbPolicy.RING_HASH,
      lbConfig: { case: 'ringHashLbConfig', value: { minimumRingSize } },
    };
  }
  return {
    lbPolicy: Cluster_LbPolicy.MAGLEV,
    ...(algorithm.tableSize !== undefined && {
      lbConfig: { case: 'maglevLbConfig', value: { tableSize: BigInt(algorithm.tableSize) } },
    }),
  };
}

/** What consistent hashing hashes, as a route says it. */
export function hashPolicy(hash: ConsistentHash): MessageInitShape<typeof RouteAction_HashPolicySchema> {
  const { key } = hash;
  if (key.kind === 'header') return { policySpecifier: { case: 'header', value: { headerName: key.name } } };
  if (key.kind === 'sourceIp') return { policySpecifier: { case: 'connectionProperties', value: { sourceIp: true } } };
  if (key.kind === 'queryParameter') return { policySpecifier: { case: 'queryParameter', value: { name: key.name } } };
  const { name, path = '', ttlMs } = key;
  const ttl = ttlMs === undefined ? {} : { ttl: duration(ttlMs) };
  return { policySpecifier: { case: 'cookie', value: { name, path, ...ttl } } };
}

/** The hash of a load balancer, if it is consistent. */
export function consistentHash(loadBalancer: LoadBalancer | undefined): ConsistentHash | undefined {
  return loadBalancer?.kind === 'consistentHash' ? loadBalancer.hash : undefined;
}
