/** Where a route leads: cluster or clusters by weight, time limit, retries, hashes. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { RouteActionSchema } from '../gen/envoy/config/route/v3/route_components_pb.ts';
import type { ConsistentHash } from '../model/destination-rule.ts';
import type { RetryPolicy } from '../model/virtual-service.ts';
import type { ResolvedDestination } from './destination.ts';
import { hashPolicy } from './load-balancing.ts';
import { duration } from './messages.ts';
import { retryPolicy } from './retry-policy.ts';

export type RouteAction = MessageInitShape<typeof RouteActionSchema>;

export interface WeightedDestination extends ResolvedDestination {
  readonly weight: number;
}

function uniqueHashes(destinations: readonly ResolvedDestination[]): readonly ConsistentHash[] {
  const hashes = destinations.flatMap(({ hash }) => (hash === undefined ? [] : [hash]));
  return [...new Map(hashes.map((hash) => [JSON.stringify(hash.key), hash])).values()];
}

function clusterSpecifier(destinations: readonly WeightedDestination[]): NonNullable<RouteAction['clusterSpecifier']> {
  const [only, ...others] = destinations;
  if (only !== undefined && others.length === 0) return { case: 'cluster', value: only.cluster };
  return {
    case: 'weightedClusters',
    value: { clusters: destinations.map(({ cluster, weight }) => ({ name: cluster, weight })) },
  };
}

/** @param retries undefined: Istio's default */
export function routeAction(
  destinations: readonly WeightedDestination[],
  timeoutMs: number | undefined,
  retries: RetryPolicy | undefined,
): RouteAction {
  const hashes = uniqueHashes(destinations);
  const policy = retryPolicy(retries, hashes.length > 0);
  // Envoy's own default is 15 s; Istio's is none.
  const timeout = duration(timeoutMs ?? 0);
  return {
    clusterSpecifier: clusterSpecifier(destinations),
    timeout,
    maxStreamDuration: { grpcTimeoutHeaderMax: timeout },
    ...(policy !== undefined && { retryPolicy: policy }),
    hashPolicy: hashes.map(hashPolicy),
  };
}
