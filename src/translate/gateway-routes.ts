/** The route configuration of HTTP at a gateway: a virtual host for each host that its servers and VirtualServices share. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  VirtualHost_TlsRequirementType,
  type VirtualHostSchema,
} from '../gen/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '../gen/envoy/config/route/v3/route_pb.ts';
import type { Resource } from '../xds/resource.ts';
import type { BoundRule } from './gateway-rules.ts';
import type { BoundServer } from './gateway-servers.ts';
import { isCatchAll, ROUTE_CONFIG_RULES, type Route } from './http-routes.ts';
import { resource } from './messages.ts';

/** A server with the rules that are bound to it. */
export interface RuledServer {
  readonly bound: BoundServer;
  readonly rules: readonly { readonly rule: BoundRule; readonly routes: () => readonly Route[] }[];
}

export interface GatewayRoutesSpec {
  readonly name: string;
  /** As Gateways name it. */
  readonly port: number;
  readonly servers: readonly RuledServer[];
}

interface Host {
  readonly routes: Route[];
  onlyTls: boolean;
}

function hostsOf(servers: readonly RuledServer[]): ReadonlyMap<string, Host> {
  const hosts = new Map<string, Host>();
  const of = (name: string): Host => {
    const known = hosts.get(name) ?? { routes: [], onlyTls: false };
    hosts.set(name, known);
    return known;
  };
  for (const { bound, rules } of servers) {
    const onlyTls = bound.server.tls?.httpsRedirect === true;
    for (const { rule, routes: make } of rules) {
      const routes = make();
      if (routes.length === 0) continue;
      for (const name of rule.hosts) {
        const host = of(name);
        host.routes.push(...routes);
        host.onlyTls ||= onlyTls;
      }
    }
    if (onlyTls) for (const { host } of bound.hosts) of(host).onlyTls = true;
  }
  return hosts;
}

/**
 * Routes of several VirtualServices for one host follow each other, oldest first; those that take everything come last.
 * Without any host every request is answered 404. The port in a request's Host does not matter.
 */
export function gatewayRoutes({ name, port, servers }: GatewayRoutesSpec): Resource {
  const virtualHosts = [...hostsOf(servers)].map(
    ([host, { routes, onlyTls }]): MessageInitShape<typeof VirtualHostSchema> => ({
      name: `${host}:${port}`,
      domains: [host],
      routes: [...routes.filter((route) => !isCatchAll(route)), ...routes.filter(isCatchAll)],
      includeRequestAttemptCount: true,
      ...(onlyTls && { requireTls: VirtualHost_TlsRequirementType.ALL }),
    }),
  );
  return resource(name, RouteConfigurationSchema, {
    name,
    virtualHosts: virtualHosts.length === 0 ? [{ name: `blackhole:${port}`, domains: ['*'] }] : virtualHosts,
    ...ROUTE_CONFIG_RULES,
    ignorePortInHostMatching: true,
  });
}
