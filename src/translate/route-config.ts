/** The route configuration of one port of a service that this host calls. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { RouteActionSchema, RouteSchema } from '../gen/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '../gen/envoy/config/route/v3/route_pb.ts';
import type { ConsistentHash } from '../model/destination-rule.ts';
import type { HttpMatch, HttpRoute, RetryPolicy, VirtualService } from '../model/virtual-service.ts';
import type { Resource } from '../xds/resource.ts';
import type { ResolvedDestination } from './destination.ts';
import { hashPolicy } from './load-balancing.ts';
import { duration, resource } from './messages.ts';
import { routeConfigName } from './names.ts';
import { retryPolicy } from './retry-policy.ts';
import { matchesEverything, routeMatch } from './route-match.ts';

type Route = MessageInitShape<typeof RouteSchema>;
type RouteAction = MessageInitShape<typeof RouteActionSchema>;

export interface RouteConfigSpec {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** Undefined: everything goes to the service itself. */
  readonly virtualService: VirtualService | undefined;
  /** The service itself. */
  readonly direct: ResolvedDestination;
  /** Destinations of the VirtualService, by route and position. */
  readonly destinations: readonly (readonly ResolvedDestination[])[];
}

interface WeightedDestination extends ResolvedDestination {
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

function routeAction(
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

/** Several destinations of weight 0 take no part; a single one takes all, whatever its weight. */
function weighted(route: HttpRoute, resolved: readonly ResolvedDestination[]): readonly WeightedDestination[] {
  const all = resolved.map((destination, i) => ({ ...destination, weight: route.destinations[i]?.weight ?? 0 }));
  return all.length < 2 ? all : all.filter(({ weight }) => weight > 0);
}

function routeName(route: HttpRoute, match: HttpMatch | undefined): string {
  return [route.name, match?.name].filter((part) => part !== undefined && part !== '').join('.');
}

function virtualServiceRoutes(spec: RouteConfigSpec, virtualService: VirtualService): readonly Route[] {
  const routes: Route[] = [];
  for (const [i, route] of virtualService.http.entries()) {
    const destinations = weighted(route, spec.destinations[i] ?? []);
    if (destinations.length === 0) continue;
    const action = routeAction(destinations, route.timeoutMs, route.retries);
    const matches: readonly (HttpMatch | undefined)[] = route.match.length === 0 ? [undefined] : route.match;
    for (const match of matches) {
      if (match?.port !== undefined && match.port !== spec.port) continue;
      routes.push({
        name: routeName(route, match),
        match: routeMatch(match),
        action: { case: 'route', value: action },
      });
      if (matchesEverything(match)) return routes;
    }
  }
  return routes;
}

/**
 * One virtual host for whatever Host the application sends: the listener stands for the service. With a VirtualService
 * its routes as written, up to the first that takes everything; without, one route to the service.
 */
export function routeConfig(spec: RouteConfigSpec): Resource {
  const virtualHost = routeConfigName(spec.host, spec.port);
  const defaultRoute: Route = {
    name: 'default',
    match: routeMatch(undefined),
    action: { case: 'route', value: routeAction([{ ...spec.direct, weight: 1 }], undefined, undefined) },
  };
  return resource(spec.name, RouteConfigurationSchema, {
    name: spec.name,
    virtualHosts: [
      {
        name: virtualHost,
        domains: ['*'],
        routes:
          spec.virtualService === undefined ? [defaultRoute] : [...virtualServiceRoutes(spec, spec.virtualService)],
        includeRequestAttemptCount: true,
      },
    ],
    validateClusters: false,
  });
}
