/** The route configuration of one port of a service that this host calls. */
import { RouteConfigurationSchema } from '../../gen/envoy/config/route/v3/route_pb.ts';
import type { RetryPolicy } from '../../model/virtual-service.ts';
import type { Resource } from '../../xds/resource.ts';
import { resource } from '../messages.ts';
import { routeConfigName } from '../names.ts';
import type { ResolvedDestination } from '../view/destination.ts';
import { type HttpRoutesSpec, httpRoutes, ROUTE_CONFIG_RULES, type Route } from './http-routes.ts';
import { routeAction } from './route-action.ts';
import { routeMatch } from './route-match.ts';

export interface RouteConfigSpec {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** What the Host of requests must be. */
  readonly domains: readonly string[];
  /** Undefined: everything goes to the service itself. */
  readonly routes: HttpRoutesSpec | undefined;
  /** The service itself. */
  readonly direct: ResolvedDestination;
  /** Retries where no route says anything; undefined: Istio's default. */
  readonly defaultRetries: RetryPolicy | undefined;
}

/** The route of a service that no VirtualService speaks for. */
export function defaultRoute(direct: ResolvedDestination, defaultRetries: RetryPolicy | undefined): Route {
  return {
    name: 'default',
    match: routeMatch(undefined),
    action: {
      case: 'route',
      value: routeAction({ destinations: [{ ...direct, weight: 1 }], timeoutMs: undefined, retries: defaultRetries }),
    },
  };
}

/**
 * One virtual host, as a rule for whatever Host the application sends: the listener stands for the service. With a VirtualService
 * its routes as written, up to the first that takes everything; without, one route to the service.
 */
export function routeConfig({ name, host, port, domains, routes, direct, defaultRetries }: RouteConfigSpec): Resource {
  return resource(name, RouteConfigurationSchema, {
    name,
    virtualHosts: [
      {
        name: routeConfigName(host, port),
        domains: [...domains],
        routes: routes === undefined ? [defaultRoute(direct, defaultRetries)] : [...httpRoutes(routes)],
        includeRequestAttemptCount: true,
      },
    ],
    ...ROUTE_CONFIG_RULES,
  });
}
