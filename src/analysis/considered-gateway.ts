/** The routes of VirtualServices at the servers of a gateway, as they were considered for one request or connection. */
import type { JsonObject } from '@bufbuild/protobuf';
import type { ConsideredRoute, ExplainedDestination, IgnoredVirtualService } from '../model/explanation.ts';
import type { GatewayRole } from '../model/host.ts';
import { describeObject } from '../model/resource-meta.ts';
import type { TcpMatch, VirtualService } from '../model/virtual-service.ts';
import { chainName, gatewaySpec } from '../translate/gateway/gateway-plan.ts';
import { boundRules, within } from '../translate/gateway/gateway-rules.ts';
import type { BoundServer, GatewayPort } from '../translate/gateway/gateway-servers.ts';
import { gatewaysOf } from '../translate/http/client-conditions.ts';
import { type HttpRoutesSpec, hasHttpRoutes, httpRoutes, isCatchAll } from '../translate/http/http-routes.ts';
import { specificity } from '../translate/view/host-pattern.ts';
import { isVisible } from '../translate/view/visibility.ts';
import type { CalledRequest } from './called-request.ts';
import { type Consideration, consider, considerUnmapped, describeVirtualService, place } from './considered.ts';
import { considerRoutes } from './considered-connections.ts';
import type { Answer, Translated } from './explained-answer.ts';
import { objectsAt, textsAt } from './json-access.ts';
import { routeMisfit } from './route-matcher.ts';

interface AtGateway extends Translated {
  readonly role: GatewayRole;
  readonly request: CalledRequest;
}

const covers = (pattern: string, name: string): boolean => specificity(pattern, name) !== undefined;

/** The servers that a filter chain stands for. */
export function serversOfChain(
  { kind, servers }: GatewayPort,
  chain: string,
  sni: string | undefined,
): readonly BoundServer[] {
  if (kind !== 'tls') return servers;
  const isMesh = chain === 'mesh';
  const named = servers.filter((bound) =>
    isMesh
      ? bound.server.tls?.mode === 'ISTIO_MUTUAL' && bound.server.port.protocol === 'HTTPS'
      : chain === chainName(bound) || chain.startsWith(`${chainName(bound)}/`),
  );
  if (named.length < 2 || isMesh) return named;
  // Servers of one name in one Gateway.
  const asked = named.filter(({ hosts }) => hosts.some(({ host }) => sni !== undefined && covers(host, sni)));
  return asked.length === 0 ? named : asked;
}

/** The Gateway that sends requests for the host to HTTPS. */
export function redirectingServer(
  { mesh }: Translated,
  servers: readonly BoundServer[],
  authority: string,
): { readonly gateway: string; readonly source: string } | undefined {
  const name = authority.replace(/:\d+$/, '').toLowerCase();
  const found = servers.find(
    ({ server, hosts }) => server.tls?.httpsRedirect === true && hosts.some(({ host }) => covers(host, name)),
  );
  const written = mesh.gateways.find(({ meta }) => `${meta.namespace}/${meta.name}` === found?.gateway);
  return written === undefined
    ? undefined
    : { gateway: describeObject(written.meta), source: place(written.meta.source) };
}

export interface RequestConsideration {
  readonly virtualService: string | undefined;
  /** Name of the route that was taken, and its place. */
  readonly name: string | undefined;
  readonly source: string | undefined;
  readonly considered: readonly ConsideredRoute[];
}

/** The VirtualServices of a virtual host, in the order in which a gateway joins them. */
function speakingFor(at: AtGateway, servers: readonly BoundServer[], domain: string): readonly HttpRoutesSpec[] {
  return servers.flatMap((bound) =>
    boundRules(at.mesh.virtualServices, bound, at.role.namespace)
      .filter(({ hosts }) => hosts.includes(domain))
      .map(({ virtualService }) => gatewaySpec(at, bound, virtualService))
      .filter(hasHttpRoutes),
  );
}

/** @param path as `routedPath` has it */
export function requestAtServers(
  at: AtGateway,
  servers: readonly BoundServer[],
  virtualHost: JsonObject,
  path: string,
): RequestConsideration {
  const { request } = at;
  const envoyRoutes = objectsAt(virtualHost, 'routes');
  const specs = speakingFor(at, servers, textsAt(virtualHost, 'domains')[0] ?? '');
  const made = specs.flatMap((spec) => httpRoutes(spec).map((route) => ({ spec, takesAll: isCatchAll(route) })));
  // As translation joins them: those that take every request come last.
  const owners = [...made.filter(({ takesAll }) => !takesAll), ...made.filter(({ takesAll }) => takesAll)];
  const [only] = specs;
  const one = specs.length === 1 && only !== undefined ? describeVirtualService(only.virtualService) : undefined;
  // An EnvoyFilter may have added or removed routes: then nobody can say which came from where.
  if (owners.length !== envoyRoutes.length)
    return {
      virtualService: one,
      name: undefined,
      source: undefined,
      considered: considerUnmapped(envoyRoutes, request, path),
    };
  const takenAt = envoyRoutes.findIndex((route) => routeMisfit(route, request, path) === undefined);
  const taker = owners[takenAt]?.spec;
  let taken: Consideration['taken'];
  const considered = specs.flatMap((spec) => {
    const own = envoyRoutes.filter((_, i) => owners[i]?.spec === spec);
    const found = consider(spec, own, request, path);
    if (spec === taker) {
      ({ taken } = found);
      return found.considered;
    }
    return found.considered.map((route): ConsideredRoute => {
      if (route.result !== 'taken' || taker === undefined) return route;
      const by = describeVirtualService(taker.virtualService);
      return { ...route, result: 'unreached', reason: `a route of ${by} before it takes this request` };
    });
  });
  return {
    virtualService: taker === undefined ? one : describeVirtualService(taker.virtualService),
    name: taken?.name,
    source: taken?.source,
    considered,
  };
}

/** A gateway looks at no address that a connection goes to: it is its own. */
function withoutSubnets(virtualService: VirtualService): VirtualService {
  const anywhere = <T extends { readonly match: readonly TcpMatch[] }>(route: T): T => ({
    ...route,
    match: route.match.map((match) => ({ ...match, destinationSubnets: [] })),
  });
  const { tls, tcp } = virtualService;
  return {
    ...virtualService,
    ...(tls !== undefined && { tls: tls.map(anywhere) }),
    ...(tcp !== undefined && { tcp: tcp.map(anywhere) }),
  };
}

/** The TLS or TCP route that leads a connection where it goes. */
export function connectionAtServers(
  at: AtGateway,
  servers: readonly BoundServer[],
  destinations: readonly ExplainedDestination[],
): Partial<Answer> {
  const clusters = destinations.map(({ cluster }) => cluster);
  const called = { address: '', sni: at.request.sni };
  let taker: { readonly virtualService: string; readonly taken: ConsideredRoute } | undefined;
  const considered: ConsideredRoute[] = [];
  for (const bound of servers) {
    const isTls = bound.server.tls?.mode === 'PASSTHROUGH';
    for (const { virtualService } of boundRules(at.mesh.virtualServices, bound, at.role.namespace)) {
      const { tls = [], tcp = [], ...rest } = withoutSubnets(virtualService);
      // Where TLS is not ended only TLS routes count, and elsewhere none of them.
      const spec = gatewaySpec(at, bound, { ...rest, ...(isTls ? { tls } : { tcp }) });
      const routes = considerRoutes(spec, isTls, called, taker === undefined ? clusters : undefined);
      considered.push(...routes);
      const taken = routes.find(({ result }) => result === 'taken');
      if (taken !== undefined) taker = { virtualService: describeVirtualService(virtualService), taken };
    }
  }
  return taker === undefined
    ? { considered }
    : { virtualService: taker.virtualService, route: taker.taken.route, source: taker.taken.source, considered };
}

/** VirtualServices for the host that have no say at the port, each with the reason. */
export function ignoredAtServers(
  { mesh, role, request }: AtGateway,
  servers: readonly BoundServer[],
  holds: string | undefined,
): readonly IgnoredVirtualService[] {
  const name = (request.headers.get(':authority') ?? request.host).replace(/:\d+$/, '').toLowerCase();
  const gateways = new Set(servers.map(({ gateway }) => gateway));
  return mesh.virtualServices.flatMap((virtualService): IgnoredVirtualService[] => {
    const { meta, hosts, exportTo } = virtualService;
    const said = describeObject(meta);
    const named = hosts.filter((host) => covers(host.toLowerCase(), name));
    if (said === holds || named.length === 0) return [];
    const wanted = gatewaysOf(virtualService);
    const own = servers.filter(({ gateway }) => wanted.includes(gateway));
    const isElsewhere = !wanted.some((gateway) => gateways.has(gateway));
    if (isElsewhere && named.every((host) => host === '*')) return [];
    const reason = isElsewhere
      ? `it is for ${wanted.join(', ')}, and this port has ${[...gateways].join(', ')}`
      : !isVisible(exportTo, meta.namespace, role.namespace)
        ? `it is not exported to namespace ${role.namespace}`
        : own.every((bound) => within(bound.hosts, meta.namespace, named).length === 0)
          ? `no server of ${own.map(({ gateway }) => gateway).join(', ')} offers ${named.join(', ')} to namespace ${meta.namespace}`
          : undefined;
    return reason === undefined ? [] : [{ virtualService: said, source: place(meta.source), reason }];
  });
}
