/** The route configuration of one port of a service that this host calls. */
import type { VirtualHostSchema } from '../../gen/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '../../gen/envoy/config/route/v3/route_pb.ts';
import type { RetryPolicy } from '../../model/virtual-service.ts';
import type { Resource } from '../../xds/resource.ts';
import { type Fields, resource } from '../messages.ts';
import { loopbackVirtualHostName, routeConfigName } from '../names.ts';
import type { ResolvedDestination } from '../view/destination.ts';
import { LOOPBACK_DOMAINS } from './host-domains.ts';
import { type HttpRoutesSpec, httpRoutes, ROUTE_CONFIG_RULES, type Route } from './http-routes.ts';
import { routeAction } from './route-action.ts';
import { routeMatch } from './route-match.ts';

type VirtualHost = Fields<typeof VirtualHostSchema>;

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
  /** The Host that requests get which name an address of this host; undefined: they keep their own. */
  readonly loopbackHost: string | undefined;
}

/** The route of a service that no VirtualService speaks for. */
export function defaultRoute(
  direct: ResolvedDestination,
  defaultRetries: RetryPolicy | undefined,
  otherwiseHost?: string,
): Route {
  return {
    name: 'default',
    match: routeMatch(undefined),
    action: {
      case: 'route',
      value: routeAction({
        destinations: [{ ...direct, weight: 1 }],
        timeoutMs: undefined,
        retries: defaultRetries,
        otherwiseHost,
      }),
    },
  };
}

/**
 * One virtual host, as a rule for whatever Host the application sends: the listener stands for the service. With a VirtualService
 * its routes as written, up to the first that takes everything; without, one route to the service. With `loopbackHost` one
 * more of the same, for the Host of applications that write the address of the listener.
 */
export function routeConfig(spec: RouteConfigSpec): Resource {
  const { name, host, port, domains, routes, direct, defaultRetries, loopbackHost } = spec;
  const virtualHost = (hostName: string, own: readonly string[], otherwiseHost: string | undefined): VirtualHost => ({
    name: hostName,
    domains: [...own],
    routes:
      routes === undefined
        ? [defaultRoute(direct, defaultRetries, otherwiseHost)]
        : [...httpRoutes({ ...routes, otherwiseHost })],
    includeRequestAttemptCount: true,
  });
  return resource(name, RouteConfigurationSchema, {
    name,
    virtualHosts: [
      virtualHost(routeConfigName(host, port), domains, undefined),
      ...(loopbackHost === undefined
        ? []
        : [virtualHost(loopbackVirtualHostName(routeConfigName(host, port)), LOOPBACK_DOMAINS, loopbackHost)]),
    ],
    ...ROUTE_CONFIG_RULES,
  });
}
