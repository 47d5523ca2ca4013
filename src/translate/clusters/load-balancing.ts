/** Load balancing of a cluster, and the hash policies that consistent hashing needs on routes. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  Cluster_LbPolicy,
  type Cluster_SlowStartConfigSchema,
  type ClusterSchema,
} from '../../gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { RouteAction_HashPolicySchema } from '../../gen/envoy/config/route/v3/route_components_pb.ts';
import type { ConsistentHash, LoadBalancer, Warmup } from '../../model/destination-rule.ts';
import { duration } from '../messages.ts';

/** Istio's default of `ringHash.minimumRingSize`. */
const MINIMUM_RING_SIZE = 1024;

type Balancing = Pick<MessageInitShape<typeof ClusterSchema>, 'lbPolicy' | 'lbConfig'>;

function slowStart(warmup: Warmup): MessageInitShape<typeof Cluster_SlowStartConfigSchema> {
  return {
    slowStartWindow: duration(warmup.durationMs),
    // Envoy wants the name of a runtime key; nobody sets it.
    aggression: { defaultValue: warmup.aggression, runtimeKey: 'trysail.warmup.aggression' },
    minWeightPercent: { value: warmup.minimumPercent },
  };
}

function hashed({ algorithm }: ConsistentHash): Balancing {
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

/**
 * The fields of a cluster; LEAST_REQUEST without a rule. PASSTHROUGH, where the cluster can do it, is not balanced, and the
 * default elsewhere.
 */
export function loadBalancing(loadBalancer: LoadBalancer | undefined): Balancing {
  if (loadBalancer?.kind === 'consistentHash') return hashed(loadBalancer.hash);
  const warmup = loadBalancer?.warmup;
  const simple = loadBalancer?.simple ?? 'LEAST_REQUEST';
  if (simple === 'RANDOM') return { lbPolicy: Cluster_LbPolicy.RANDOM };
  if (simple === 'ROUND_ROBIN')
    return {
      lbPolicy: Cluster_LbPolicy.ROUND_ROBIN,
      ...(warmup !== undefined && {
        lbConfig: { case: 'roundRobinLbConfig', value: { slowStartConfig: slowStart(warmup) } },
      }),
    };
  return {
    lbPolicy: Cluster_LbPolicy.LEAST_REQUEST,
    ...(warmup !== undefined && {
      lbConfig: { case: 'leastRequestLbConfig', value: { slowStartConfig: slowStart(warmup) } },
    }),
  };
}

/** What consistent hashing hashes, as a route says it. */
export function hashPolicy(hash: ConsistentHash): MessageInitShape<typeof RouteAction_HashPolicySchema> {
  const { key } = hash;
  if (key.kind === 'header') return { policySpecifier: { case: 'header', value: { headerName: key.name } } };
  if (key.kind === 'sourceIp') return { policySpecifier: { case: 'connectionProperties', value: { sourceIp: true } } };
  if (key.kind === 'queryParameter') return { policySpecifier: { case: 'queryParameter', value: { name: key.name } } };
  const { name, path = '', ttlMs, attributes = [] } = key;
  const ttl = ttlMs === undefined ? {} : { ttl: duration(ttlMs) };
  return {
    policySpecifier: {
      case: 'cookie',
      value: { name, path, ...ttl, attributes: attributes.map((attribute) => ({ ...attribute })) },
    },
  };
}

/** The hash of a load balancer, if it is consistent. */
export function consistentHash(loadBalancer: LoadBalancer | undefined): ConsistentHash | undefined {
  return loadBalancer?.kind === 'consistentHash' ? loadBalancer.hash : undefined;
}
