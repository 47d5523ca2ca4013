/** Where a route leads: cluster or clusters by weight, time limit, retries, hashes, rewrites, mirrors. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  RouteActionSchema,
  WeightedCluster_ClusterWeightSchema,
} from '../../gen/envoy/config/route/v3/route_components_pb.ts';
import type { ConsistentHash } from '../../model/destination-rule.ts';
import type { HeaderOperations, RetryPolicy } from '../../model/virtual-service.ts';
import { hashPolicy } from '../clusters/load-balancing.ts';
import { duration } from '../messages.ts';
import type { ResolvedDestination } from '../view/destination.ts';
import { type HeaderMutations, headerMutations, hostOf } from './header-mutations.ts';
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
  /** The host that requests get where nothing says one; undefined: they keep their own. */
  readonly otherwiseHost?: string | undefined;
  /** Of the route; they come before those of its destinations. */
  readonly headers?: HeaderOperations | undefined;
  readonly rest?: Pick<RouteAction, 'prefixRewrite' | 'regexRewrite' | 'requestMirrorPolicies'>;
}

function uniqueHashes(destinations: readonly ResolvedDestination[]): readonly ConsistentHash[] {
  const hashes = destinations.flatMap(({ hash }) => (hash === undefined ? [] : [hash]));
  return [...new Map(hashes.map((hash) => [JSON.stringify(hash.key), hash])).values()];
}

/** Envoy applies the headers of a route after those of its destination: here they come first, so the entry has both. */
function clusterWeight({ cluster, weight, headers }: WeightedDestination, spec: RouteActionSpec): ClusterWeight {
  const host = spec.host === undefined ? (hostOf(headers) ?? spec.otherwiseHost) : undefined;
  return {
    name: cluster,
    weight,
    ...(hasOwnHeaders(spec.destinations) && headerMutations([spec.headers, headers])),
    ...(host !== undefined && { hostRewriteSpecifier: { case: 'hostRewriteLiteral', value: host } }),
  };
}

function clusterSpecifier(spec: RouteActionSpec): NonNullable<RouteAction['clusterSpecifier']> {
  const { destinations } = spec;
  const [only, ...others] = destinations;
  if (only !== undefined && others.length === 0) return { case: 'cluster', value: only.cluster };
  return {
    case: 'weightedClusters',
    value: { clusters: destinations.map((destination) => clusterWeight(destination, spec)) },
  };
}

function hasOwnHeaders(destinations: readonly WeightedDestination[]): boolean {
  return destinations.some(({ headers }) => headers !== undefined);
}

/** What a route does with headers itself; the rest its action does for each destination. */
export function routeHeaders({ destinations, headers }: RouteActionSpec): HeaderMutations {
  const [only, ...others] = destinations;
  if (others.length > 0 && hasOwnHeaders(destinations)) return {};
  return headerMutations([headers, only?.headers]);
}

/**
 * Envoy's own default is 15 s; Istio's is none. A route without a limit keeps to that of gRPC's callers; with one it
 * cannot, as Envoy ignores `timeout` beside `max_stream_duration`.
 */
function timeLimit(timeoutMs: number | undefined): Pick<RouteAction, 'timeout' | 'maxStreamDuration'> {
  if (timeoutMs !== undefined) return { timeout: duration(timeoutMs) };
  return { timeout: duration(0), maxStreamDuration: { grpcTimeoutHeaderMax: duration(0) } };
}

export function routeAction(spec: RouteActionSpec): RouteAction {
  const { destinations, timeoutMs, retries } = spec;
  const host =
    spec.host ?? (destinations.length === 1 ? (hostOf(destinations[0]?.headers) ?? spec.otherwiseHost) : undefined);
  const hashes = uniqueHashes(destinations);
  const policy = retryPolicy(retries, hashes.length > 0);
  return {
    clusterSpecifier: clusterSpecifier(spec),
    ...timeLimit(timeoutMs),
    ...(policy !== undefined && { retryPolicy: policy }),
    hashPolicy: hashes.map(hashPolicy),
    ...(host !== undefined && { hostRewriteSpecifier: { case: 'hostRewriteLiteral', value: host } }),
    ...spec.rest,
  };
}
