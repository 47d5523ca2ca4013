/** The HTTP routes of a VirtualService as one client's requests to one port at one gateway meet them. */
import type { RouteSchema } from '../../gen/envoy/config/route/v3/route_components_pb.ts';
import type {
  HttpMatch,
  HttpRoute,
  RetryPolicy,
  RouteDestination,
  VirtualService,
} from '../../model/virtual-service.ts';
import type { Fields } from '../messages.ts';
import type { Client } from '../view/calling.ts';
import type { ResolvedDestination } from '../view/destination.ts';
import { gatewaysOf, httpSourceHolds } from './client-conditions.ts';
import { corsConfig } from './cors-filter.ts';
import { faultConfig } from './fault-filter.ts';
import { type HeaderMutations, headerMutations, hostOf } from './header-mutations.ts';
import { CORS_FILTER, FAULT_FILTER } from './http-filters.ts';
import { mirrorPolicies } from './mirror-policies.ts';
import { directResponseAction, redirectAction } from './redirect-action.ts';
import { pathRewrite } from './rewrite-action.ts';
import { type RouteActionSpec, routeAction, routeHeaders, type WeightedDestination } from './route-action.ts';
import { matchesEverything, routeMatch } from './route-match.ts';

/** An Envoy route that is not made yet. */
export type Route = Fields<typeof RouteSchema>;

/** What a route configuration must say for `httpRoutes` to mean what VirtualServices say. */
export const ROUTE_CONFIG_RULES = {
  // A destination that nobody knows is answered 503.
  validateClusters: false,
  maxDirectResponseBodySizeBytes: 1024 * 1024,
} as const;

/** Where requests arrive, and whose they are: what decides which routes count. */
export interface HttpRoutesScope {
  readonly virtualService: VirtualService;
  /** `mesh`, or a gateway as `namespace/name`. */
  readonly gateway: string;
  /** The port that was called: of the service, or of the gateway's server. */
  readonly port: number;
  readonly client: Client;
}

export interface HttpRoutesSpec extends HttpRoutesScope {
  readonly resolve: (destination: Pick<RouteDestination, 'host' | 'subset' | 'port'>) => ResolvedDestination;
  /** Whether requests come over TLS there, for redirects that name no scheme; absent: they do not. */
  readonly isTls?: boolean;
  /** Retries of routes that say nothing of them; undefined: Istio's default. */
  readonly defaultRetries?: RetryPolicy | undefined;
  /** The host that requests get where no rule says one; absent: they keep their own. */
  readonly otherwiseHost?: string | undefined;
}

/** A route with those of its matches that count there; `undefined` stands for everything. */
interface CountingRoute {
  readonly route: HttpRoute;
  readonly matches: readonly (HttpMatch | undefined)[];
}

const EVERYTHING: readonly undefined[] = [undefined];

function countingRoutes({ virtualService, gateway, port, client }: HttpRoutesScope): readonly CountingRoute[] {
  if (!gatewaysOf(virtualService).includes(gateway)) return [];
  return virtualService.http.flatMap((route) => {
    const matches =
      route.match.length === 0
        ? EVERYTHING
        : route.match.filter((match) => (match.port ?? port) === port && httpSourceHolds(match, gateway, client));
    return matches.length === 0 ? [] : [{ route, matches }];
  });
}

/** Whether any route counts there; if not, the service's other VirtualServices, or none, decide. */
export function hasHttpRoutes(scope: HttpRoutesScope): boolean {
  return countingRoutes(scope).length > 0;
}

/** Several destinations of weight 0 take no part; a single one takes all, whatever its weight. */
function weighted(route: HttpRoute, resolve: HttpRoutesSpec['resolve']): readonly WeightedDestination[] {
  const all = route.destinations.map((destination) => ({
    ...resolve(destination),
    weight: destination.weight,
    headers: destination.headers,
  }));
  return all.length < 2 ? all : all.filter(({ weight }) => weight > 0);
}

function routeName(route: HttpRoute, match: HttpMatch | undefined): string {
  return [route.name, match?.name].filter((part) => part !== undefined && part !== '').join('.');
}

/** What answers the requests of a route, and what becomes of headers; undefined: it leads nowhere. */
function answerOf(route: HttpRoute, spec: HttpRoutesSpec): (HeaderMutations & Pick<Route, 'action'>) | undefined {
  const { redirect, directResponse, rewrite, headers, mirrors = [] } = route;
  const ownHeaders = headerMutations([headers]);
  if (redirect !== undefined) {
    const value = redirectAction(redirect, spec.port, spec.isTls === true);
    return { ...ownHeaders, action: { case: 'redirect', value } };
  }
  if (directResponse !== undefined)
    return { ...ownHeaders, action: { case: 'directResponse', value: directResponseAction(directResponse) } };
  const destinations = weighted(route, spec.resolve);
  if (destinations.length === 0) return undefined;
  const requestMirrorPolicies = mirrorPolicies(mirrors, spec.resolve);
  const action: RouteActionSpec = {
    destinations,
    timeoutMs: route.timeoutMs,
    retries: route.retries ?? spec.defaultRetries,
    host: rewrite?.authority ?? hostOf(headers),
    otherwiseHost: spec.otherwiseHost,
    headers,
    rest: { ...pathRewrite(rewrite), ...(requestMirrorPolicies.length > 0 && { requestMirrorPolicies }) },
  };
  return { ...routeHeaders(action), action: { case: 'route', value: routeAction(action) } };
}

function filterConfigs({ fault, cors }: HttpRoute): Partial<Pick<Route, 'typedPerFilterConfig'>> {
  if (fault === undefined && cors === undefined) return {};
  return {
    typedPerFilterConfig: {
      ...(cors !== undefined && { [CORS_FILTER]: corsConfig(cors) }),
      ...(fault !== undefined && { [FAULT_FILTER]: faultConfig(fault) }),
    },
  };
}

/**
 * Envoy's routes: as written, first match wins, up to the first that takes every request. Matches whose port, gateway or
 * source does not hold are left out, and with the last of them their route.
 */
export function httpRoutes(spec: HttpRoutesSpec): readonly Route[] {
  const routes: Route[] = [];
  for (const { route, matches } of countingRoutes(spec)) {
    const answer = answerOf(route, spec);
    if (answer === undefined) continue;
    const common = { ...answer, ...filterConfigs(route) };
    for (const match of matches) {
      routes.push({
        name: routeName(route, match),
        match: routeMatch(match),
        ...common,
        ...(match?.statPrefix !== undefined && { statPrefix: match.statPrefix }),
      });
      if (matchesEverything(match)) return routes;
    }
  }
  return routes;
}

/** Whether a route that `httpRoutes` made takes every request. */
export function isCatchAll({ match }: Route): boolean {
  const path = match?.pathSpecifier;
  const anyPath =
    (path?.case === 'prefix' && path.value === '/') || (path?.case === 'safeRegex' && path.value.regex === '.*');
  return anyPath && (match?.headers ?? []).length === 0 && (match?.queryParameters ?? []).length === 0;
}

/** Whatever the routes that count there lead to: weights of 0 and mirrors too. All of them need a cluster. */
export function httpDestinations(spec: HttpRoutesSpec): readonly ResolvedDestination[] {
  return countingRoutes(spec).flatMap(({ route: { destinations, mirrors = [] } }) =>
    [...destinations, ...mirrors.map(({ destination }) => destination)].map(spec.resolve),
  );
}
