/** What one server of a Gateway becomes: filter chains and route configurations, in the names that Istio gives them. */
import type { GatewayRole, Host } from '../../model/host.ts';
import type { Mesh } from '../../model/mesh.ts';
import type { GatewayRateLimit } from '../../model/rate-limit.ts';
import type { VirtualService } from '../../model/virtual-service.ts';
import {
  type ConnectionRoute,
  type TcpRoutesSpec,
  tcpDestinations,
  tcpRoutes,
  tlsRoutes,
} from '../connections/tcp-routes.ts';
import { type HttpRoutesSpec, hasHttpRoutes, httpDestinations, httpRoutes } from '../http/http-routes.ts';
import type { Memo } from '../memo.ts';
import { listenerName, ofClient, sniName } from '../names.ts';
import { limitsAtServers } from '../rate-limit/gateway-rate-limits.ts';
import type { AppliedLimit } from '../rate-limit/rate-limit-filters.ts';
import type { Calling } from '../view/calling.ts';
import type { ResolvedDestination, Target } from '../view/destination.ts';
import type { MeshView } from '../view/mesh-view.ts';
import { bytesTo, type GatewayChain, type GatewayHttp, type ServerEnd } from './gateway-chains.ts';
import type { RuledRoutes, RuledServer } from './gateway-routes.ts';
import { type BoundRule, boundRules, within } from './gateway-rules.ts';
import type { BoundServer, GatewayPort } from './gateway-servers.ts';
import { type ServerFiles, serverFiles } from './server-files.ts';

/** What a gateway's translation has in common. */
export interface GatewayContext {
  readonly mesh: Mesh;
  readonly host: Host;
  readonly role: GatewayRole;
  readonly calling: Calling;
  readonly view: MeshView;
  /** That stand at this gateway. */
  readonly rateLimits: readonly GatewayRateLimit[];
  /** Ends the names of a further gateway of the host. */
  readonly suffix: string | undefined;
  /** What VirtualServices said at servers the last time. */
  readonly planned: Memo<PlannedRule | undefined>;
  /** Has a cluster made for what a route leads to. */
  readonly need: (destination: ResolvedDestination) => void;
  /** Has a cluster made that passes bytes as they are; returns its name. */
  readonly needPlain: (target: Target) => string;
  /** Has Envoy get the certificates; returns the names of their secrets. */
  readonly secrets: (files: ServerFiles) => {
    readonly certificates: readonly string[];
    readonly roots: string | undefined;
  };
}

/** What a VirtualService says at a server, and where it leads. */
export interface PlannedRule extends RuledRoutes {
  readonly destinations: readonly ResolvedDestination[];
}

/** A route configuration that is to be made. */
export interface PlannedRoutes {
  readonly name: string;
  readonly servers: readonly RuledServer[];
  readonly limits: readonly AppliedLimit[];
  /** What decides it, besides the port's servers and limits. */
  readonly inputs: readonly unknown[];
}

export interface PortPlan {
  readonly chains: readonly GatewayChain[];
  readonly routes: readonly PlannedRoutes[];
}

const CHOOSE_HTTP = ['h2', 'http/1.1'];
const MESH_BYTES = ['istio-peer-exchange', 'istio', 'h2', 'http/1.1'];

function rulesOf({ mesh, role }: GatewayContext, bound: BoundServer): readonly BoundRule[] {
  return boundRules(mesh.virtualServices, bound, role.namespace);
}

/** What a VirtualService says at a server, to be asked for its routes. */
export function gatewaySpec(
  of: Pick<GatewayContext, 'mesh' | 'view'>,
  { gateway, server }: BoundServer,
  virtualService: VirtualService,
): HttpRoutesSpec & TcpRoutesSpec {
  const port = server.port.number;
  const { view, mesh } = of;
  return {
    virtualService,
    gateway,
    port,
    client: view.client,
    isTls: server.port.protocol === 'HTTPS',
    resolve: (destination) => view.destination(destination, port),
    defaultRetries: mesh.config.defaultHttpRetryPolicy,
  };
}

/** A VirtualService at an HTTP server, with all that it leads to; undefined where it says nothing there. */
function plannedRule(
  of: GatewayContext,
  name: string,
  bound: BoundServer,
  virtualService: VirtualService,
): PlannedRule | undefined {
  const { mesh, host, role, view, planned } = of;
  const { namespace, name: own } = virtualService.meta;
  const { services, destinationRules, config } = mesh;
  const given = [virtualService, bound, services, destinationRules, config, host, role, view];
  return planned.get(
    `${role.namespace}/${role.name} ${name} ${bound.gateway} ${bound.server.port.name} ${namespace}/${own}`,
    given,
    () => {
      const [rule] = boundRules([virtualService], bound, role.namespace);
      if (rule === undefined) return undefined;
      const spec = gatewaySpec(of, bound, rule.virtualService);
      if (!hasHttpRoutes(spec)) return undefined;
      const destinations = httpDestinations(spec);
      const led = destinations.flatMap(({ cluster, hash }) => [cluster, hash]);
      const inputs = [bound.server, virtualService, role, config, ...led];
      return { rule, destinations, inputs, routes: () => httpRoutes(spec) };
    },
  );
}

function planRoutes(of: GatewayContext, name: string, port: number, servers: readonly BoundServer[]): PlannedRoutes {
  const ruled = servers.map(
    (bound): RuledServer => ({
      bound,
      rules: of.mesh.virtualServices.flatMap((virtualService) => {
        const led = plannedRule(of, name, bound, virtualService);
        for (const destination of led?.destinations ?? []) of.need(destination);
        return led ?? [];
      }),
    }),
  );
  const inputs = ruled.flatMap(({ rules }) => rules.flatMap((rule) => rule.inputs));
  const limits = limitsAtServers(of.rateLimits, of.role, port, servers);
  return { name: of.suffix === undefined ? name : ofClient(name, of.suffix), servers: ruled, limits, inputs };
}

/** `http.8080`, with the address where a server names one. */
function httpRoutesName({ number, listen }: GatewayPort, { address }: GatewayRole): string {
  return listen.address === address ? `http.${number}` : `http.${number}.${listen.address}`;
}

function httpsRoutesName({ gateway, server }: BoundServer): string {
  const [namespace = '', name = ''] = gateway.split('/');
  const end = server.bind === undefined ? '' : `.${server.bind}`;
  return `https.${server.port.number}.${server.port.name}.${name}.${namespace}${end}`;
}

/** How the server ends TLS; undefined where the host has nothing to end it with. */
function endOf(of: GatewayContext, { server }: BoundServer): ServerEnd | undefined {
  const { tls } = server;
  if (tls === undefined) return undefined;
  const isHttp = server.port.protocol === 'HTTPS';
  if (tls.mode === 'ISTIO_MUTUAL') {
    const { identity } = of.role;
    const { trustDomain, trustDomainAliases, meshMtls } = of.mesh.config;
    if (identity === undefined) return undefined;
    const alpn = isHttp ? CHOOSE_HTTP : MESH_BYTES;
    return { kind: 'mesh', identity, trustDomains: [trustDomain, ...trustDomainAliases], alpn, choice: meshMtls };
  }
  const files = serverFiles(tls, of.host);
  if (files === undefined) return undefined;
  const { tlsDefaults: defaults } = of.mesh.config;
  return { kind: 'own', tls, defaults, ...of.secrets(files), alpn: isHttp ? CHOOSE_HTTP : [] };
}

/** What the chains of a server are called, further ones with a number behind: `default/public/https/1`. */
export function chainName({ gateway, server }: BoundServer): string {
  return `${gateway}/${server.port.name}`;
}

/** Server names of hosts: none in particular where any will do. */
function serverNamesOf({ hosts }: BoundServer): readonly string[] {
  const names = [...new Set(hosts.map(({ host }) => host))];
  return names.includes('*') ? [] : names;
}

function needAll(of: GatewayContext, bound: BoundServer, rules: readonly BoundRule[]): void {
  for (const rule of rules)
    for (const one of tcpDestinations(gatewaySpec(of, bound, rule.virtualService))) of.need(one);
}

/** The route of all bytes of a server: the first that counts. */
function firstTcpRoute(of: GatewayContext, bound: BoundServer): ConnectionRoute | undefined {
  const rules = rulesOf(of, bound);
  needAll(of, bound, rules);
  return rules.flatMap((rule) => tcpRoutes(gatewaySpec(of, bound, rule.virtualService)))[0];
}

/** Chains by server name, of bytes whose TLS the destination ends. */
function passthroughChains(of: GatewayContext, bound: BoundServer): readonly GatewayChain[] {
  const rules = rulesOf(of, bound);
  needAll(of, bound, rules);
  return rules.flatMap((rule) =>
    tlsRoutes(gatewaySpec(of, bound, rule.virtualService)).flatMap(({ serverNames, destinations }): GatewayChain[] => {
      const offered = within(bound.hosts, rule.virtualService.meta.namespace, serverNames);
      if (offered.length === 0) return [];
      const names = offered.includes('*') ? [] : offered;
      return [{ name: chainName(bound), serverNames: names, end: undefined, carries: bytesTo(destinations) }];
    }),
  );
}

/** Chains for calls between sidecars: the server name that a mesh client asks for says where it wants to go. */
function autoPassthroughChains(of: GatewayContext, bound: BoundServer): readonly GatewayChain[] {
  const offered = [...of.mesh.services.values()].filter(
    (service) =>
      service.tls !== 'plain' &&
      of.view.service(service.host) !== undefined &&
      within(bound.hosts, service.namespace, [service.host]).includes(service.host),
  );
  return offered.flatMap((service) =>
    service.ports.map(
      (port): GatewayChain => ({
        name: chainName(bound),
        serverNames: [sniName(port.number, undefined, service.host)],
        end: undefined,
        carries: {
          kind: 'tcp',
          clusters: [{ cluster: of.needPlain({ service, port, subset: undefined }), weight: 1 }],
          hash: undefined,
          asBytes: false,
          dynamicPort: undefined,
        },
      }),
    ),
  );
}

function carriesHttp({ name: routeConfig, limits }: PlannedRoutes, grpcWeb: boolean): GatewayHttp {
  return { kind: 'http', routeConfig, grpcWeb, limits };
}

/** Chains of one server, and the route configuration that they name. */
function planServer(of: GatewayContext, bound: BoundServer): PortPlan {
  const { server } = bound;
  if (server.tls?.mode === 'PASSTHROUGH') return { chains: passthroughChains(of, bound), routes: [] };
  if (server.tls?.mode === 'AUTO_PASSTHROUGH') return { chains: autoPassthroughChains(of, bound), routes: [] };
  const end = endOf(of, bound);
  if (server.tls !== undefined && end === undefined) return { chains: [], routes: [] };
  const chain = { name: chainName(bound), serverNames: server.tls === undefined ? [] : serverNamesOf(bound), end };
  if (server.port.protocol === 'HTTPS') {
    const routes = planRoutes(of, httpsRoutesName(bound), server.port.number, [bound]);
    return { chains: [{ ...chain, carries: carriesHttp(routes, false) }], routes: [routes] };
  }
  const route = firstTcpRoute(of, bound);
  if (route === undefined) return { chains: [], routes: [] };
  return { chains: [{ ...chain, carries: bytesTo(route.destinations) }], routes: [] };
}

/**
 * Clients of the mesh that no rule gives another server name ask for `outbound_.443_._.<the gateway's service>`, whichever
 * host they want: for them the routes of all servers of ISTIO_MUTUAL are joined, as those of plain HTTP are.
 */
function planMeshClients(of: GatewayContext, port: GatewayPort): PortPlan {
  const servers = port.servers.filter(
    ({ server }) => server.tls?.mode === 'ISTIO_MUTUAL' && server.port.protocol === 'HTTPS',
  );
  const [first] = servers;
  const end = first === undefined ? undefined : endOf(of, first);
  if (end === undefined || servers.some((bound) => serverNamesOf(bound).length === 0))
    return { chains: [], routes: [] };
  const routes = planRoutes(of, `https.${port.number}.mesh`, port.number, servers);
  const carries = carriesHttp(routes, false);
  const serverNames = [`*.${of.role.serviceHost}`];
  return { chains: [{ name: 'mesh', serverNames, end, carries }], routes: [routes] };
}

/** With one chain at most for a server name, each of a name of its own: Envoy refuses a listener with two. */
function distinct(chains: readonly GatewayChain[]): readonly GatewayChain[] {
  const taken = new Set<string>();
  const named = new Map<string, number>();
  return chains.flatMap((chain) => {
    const names = chain.serverNames.length === 0 ? [''] : chain.serverNames;
    const free = [...new Set(names)].filter((name) => !taken.has(name));
    if (free.length === 0) return [];
    for (const name of free) taken.add(name);
    const count = named.get(chain.name) ?? 0;
    named.set(chain.name, count + 1);
    const name = count === 0 ? chain.name : `${chain.name}/${count}`;
    return [{ ...chain, name, serverNames: chain.serverNames.length === 0 ? [] : free }];
  });
}

/** Everything that a port of the gateway becomes; without chains nothing listens there. */
export function planPort(of: GatewayContext, port: GatewayPort): PortPlan {
  if (port.kind === 'http') {
    const routes = planRoutes(of, httpRoutesName(port, of.role), port.number, port.servers);
    // The servers of a port cannot be told apart before the request has been read.
    const grpcWeb = port.servers.some(({ server }) => server.port.protocol === 'GRPC-WEB');
    const carries = carriesHttp(routes, grpcWeb);
    return {
      chains: [{ name: listenerName(port.listen), serverNames: [], end: undefined, carries }],
      routes: [routes],
    };
  }
  const plans = [...port.servers.map((bound) => planServer(of, bound)), planMeshClients(of, port)];
  return { chains: distinct(plans.flatMap(({ chains }) => chains)), routes: plans.flatMap(({ routes }) => routes) };
}
