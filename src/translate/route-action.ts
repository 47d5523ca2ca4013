/** Where a route leads: cluster or clusters by weight, time limit, retries, hashes, rewrites, mirrors. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  RouteActionSchema,
  WeightedCluster_ClusterWeightSchema,
} from '../gen/envoy/config/route/v3/route_components_pb.ts';
import type { ConsistentHash } from '../model/destination-rule.ts';
import type { HeaderOperations, RetryPolicy } from '../model/virtual-service.ts';
import type { ResolvedDestination } from './destination.ts';
import { headerMutations, hostOf } from './header-mutations.ts';
import { hashPolicy } from './load-balancing.ts';
import { duration } from './messages.ts';
import { retryPolicy } from './retry-policy.ts';

export type RouteAction = Exclude<MessageInitShape<typeof RouteActionSchema>, { $typeName: string }>;
type ClusterWeight = MessageInitShape<typeof WeightedCluster_ClusterWeightSchema>;

export interface WeightedDestination extends ResolvedDestination {
  readonly weight: number;
  readonly headers?: HeaderOperations | undefined;
}

export interface RouteActionSpec {
  /** Not empty. */
  readonly destinations: readonly WeightedDestination[];
  /** Undefined: none. */
  readonly timeoutMs: number | undefined;
  /** Undefined: Istio's default. */
  readonly retries: RetryPolicy | undefined;
  /** The host that requests get, whatever their destinations say; undefined: as those say. */
  readonly host?: string | undefined;
  readonly rest?: Pick<RouteAction, 'prefixRewrite' | 'regexRewrite' | 'requestMirrorPolicies'>;
}

function uniqueHashes(destinations: readonly ResolvedDestination[]): readonly ConsistentHash[] {
  const hashes = destinations.flatMap(({ hash }) => (hash === undefined ? [] : [hash]));
  return [...new Map(hashes.map((hash) => [JSON.stringify(hash.key), hash])).values()];
}

function clusterWeight(
  { cluster, weight, headers }: WeightedDestination,
  routeHost: string | undefined,
): ClusterWeight {
  if (headers === undefined) return { name: cluster, weight };
  const host = routeHost === undefined ? hostOf(headers) : undefined;
  return {
    name: cluster,
    weight,
    ...headerMutations(headers),
    ...(host !== undefined && { hostRewriteSpecifier: { case: 'hostRewriteLiteral', value: host } }),
  };
}

function clusterSpecifier({ destinations, host }: RouteActionSpec): NonNullable<RouteAction['clusterSpecifier']> {
  const [only, ...others] = destinations;
  if (only !== undefined && others.length === 0 && only.headers === undefined)
    return { case: 'cluster', value: only.cluster };
  return {
    case: 'weightedClusters',
    value: { clusters: destinations.map((destination) => clusterWeight(destination, host)) },
  };
}

export function routeAction(spec: RouteActionSpec): RouteAction {
  const { destinations, timeoutMs, retries, host } = spec;
  const hashes = uniqueHashes(destinations);
  const policy = retryPolicy(retries, hashes.length > 0);
  // Envoy's own default is 15 s; Istio's is none.
  const timeout = duration(timeoutMs ?? 0);
  return {
    clusterSpecifier: clusterSpecifier(spec),
    timeout,
    maxStreamDuration: { grpcTimeoutHeaderMax: timeout },
    ...(policy !== undefined && { retryPolicy: policy }),
    hashPolicy: hashes.map(hashPolicy),
    ...(host !== undefined && { hostRewriteSpecifier: { case: 'hostRewriteLiteral', value: host } }),
    ...spec.rest,
  };
}
