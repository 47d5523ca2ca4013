/**
 * Captured calls beyond this host's own names: services that configuration describes, found by address, Host or server
 * name, and what becomes of calls to all others.
 */
import type { Caller } from '../../model/host.ts';
import { serviceOfHost } from '../../model/host-names.ts';
import type { Mesh } from '../../model/mesh.ts';
import type { Service } from '../../model/service.ts';
import { dynamicDnsOf } from '../clusters/dynamic-dns.ts';
import { NO_BLOCKS } from '../clusters/traffic-policy.ts';
import { ADS } from '../config-source.ts';
import { connectionChains } from '../connections/connection-chains.ts';
import { connectionParts } from '../connections/connection-parts.ts';
import type { ConnectionRoute } from '../connections/tcp-routes.ts';
import { dnsNames } from '../dns/dns-names.ts';
import { type HttpRoutesSpec, httpRoutes } from '../http/http-routes.ts';
import { defaultRoute } from '../http/route-config.ts';
import { claimedDomains, encodeVirtualHost, sharedRouteConfig, type UnknownHosts } from '../http/shared-routes.ts';
import { ipRange, rangeKey } from '../ip-range.ts';
import { type FilterChain, type ListenerChains, PLAIN_HTTP1, PLAIN_HTTP2 } from '../listeners/listener.ts';
import { httpConnectionManager, markCaller } from '../listeners/network-filters.ts';
import { Memo } from '../memo.ts';
import { listenerName, routeConfigName } from '../names.ts';
import type { CapturedChains, Destination } from '../outbound/captured-chains.ts';
import { bytesFilters, callInputs, type OutboundCalls, outboundChains } from '../outbound/outbound-listener.ts';
import type { ResourceUnits } from '../resource-units.ts';
import type { Client } from '../view/calling.ts';
import type { ResolvedDestination, Target } from '../view/destination.ts';
import { specificity } from '../view/host-pattern.ts';
import type { MeshView } from '../view/mesh-view.ts';
import { type EgressPort, egressPorts } from './egress-ports.ts';

/** One caller's translation, with what the outbound side does for it. */
export interface Egress {
  readonly units: ResourceUnits;
  readonly mesh: Mesh;
  readonly caller: Caller;
  readonly view: MeshView;
  /** The caller's mark for clusters; undefined where all calls are one caller's. */
  readonly mark: string | undefined;
  /** Addresses of services by name, which are nobody else's. */
  readonly names: readonly string[];
  /** Hosts of services by name. */
  readonly named: ReadonlySet<string>;
  readonly unknown: UnknownHosts;
  /** What `make` returned the last time, unless rules have changed for this host or what was needed then; undefined: any. */
  readonly part: <T>(key: string, host: string | undefined, make: () => T) => T;
  /** Has the clusters of these destinations made. */
  readonly need: (destinations: readonly ResolvedDestination[]) => void;
  /** Says that the caller may come to a target. */
  readonly add: (target: Target) => void;
  /** What becomes of a port of a service that has the address for itself. */
  readonly calls: (target: Target) => OutboundCalls;
  readonly chains: (
    name: string,
    destination: Destination,
    inputs: readonly unknown[],
    make: () => ListenerChains,
  ) => readonly CapturedChains[];
}

/** A virtual host of a shared port before it is made. */
interface HostDraft {
  readonly host: string;
  readonly names: readonly string[];
  readonly addresses: readonly string[];
  /** Undefined: a name of a VirtualService alone. */
  readonly direct: ResolvedDestination | undefined;
  readonly routes: HttpRoutesSpec | undefined;
  readonly destinations: readonly ResolvedDestination[];
}

/** A port and a range of one listener, which Envoy takes once. */
function place(port: number, address: string | undefined): string {
  const range = address === undefined ? undefined : ipRange(address);
  return `${port} ${range === undefined ? 'any' : rangeKey(range)}`;
}

/** The names by which a client may call a service, those that count most first. */
function namesOf(service: Service, { config }: Mesh, { namespace }: Client): readonly string[] {
  const { host, aliases } = service;
  const named = serviceOfHost(config, host);
  const short = named === undefined ? [] : [`${named.name}.${named.namespace}`];
  const bare = named !== undefined && named.namespace === namespace ? [named.name] : [];
  return [...new Set([host, ...aliases, ...dnsNames(host, service, config), ...short, ...bare])];
}

/** The port on which names count that only a VirtualService knows. */
const HTTP_PORT = 80;

export class EgressSide {
  readonly #hosts = new Memo<Uint8Array>();
  readonly #names = new Memo<readonly string[]>();
  /** The names of the route configurations that were made. */
  #routeConfigs = new Set<string>();

  /** Begins a translation of everything. */
  begin(): void {
    this.#routeConfigs = new Set();
  }

  /** Begins a translation with all that was made before: has what many services share looked at again. */
  resume(units: ResourceUnits): void {
    for (const name of this.#routeConfigs) units.delete('routeConfigs', name);
  }

  /** The chains of all services that the caller finds by what it calls, first what counts first. */
  make(of: Egress): readonly CapturedChains[] {
    const { mesh, view, names } = of;
    const own = new Set(names.map((address) => place(0, address)));
    const taken = new Set<string>();
    const free = (port: number, addresses: readonly string[]): readonly string[] =>
      addresses.filter((address) => {
        const key = place(port, address);
        if (taken.has(key) || own.has(place(0, address))) return false;
        taken.add(key);
        return true;
      });
    const called = egressPorts(mesh.services.values(), of.named, (service, { number }) => view.calls(service, number));
    return called.flatMap((port) => {
      // Who connects there is not captured.
      if (port.port === of.caller.capturePort) return [];
      const addressed = port.addressed.flatMap(({ addresses, ...target }) => {
        const { host } = target.service;
        const calls = of.part(`${port.port} address ${host}`, host, () => of.calls(target));
        return connectionParts(addresses, calls.routes).flatMap((part) => {
          const [first, ...others] = free(port.port, part.addresses);
          if (first === undefined) return [];
          const destination = { port: port.port, addresses: [first, ...others] };
          const name = listenerName({ address: first, port: port.port });
          return of.chains(name, destination, callInputs(calls), () =>
            outboundChains(calls, `outbound_${name}`, part.routes),
          );
        });
      });
      return [...addressed, ...this.#shared(of, port, (addresses) => free(port.port, addresses))];
    });
  }

  /** Ends a translation: what nobody asked for is forgotten. */
  sweep(): void {
    this.#hosts.sweep();
    this.#names.sweep();
  }

  /** The chains of connections to a port, wherever they go. */
  #shared(
    of: Egress,
    port: EgressPort,
    free: (addresses: readonly string[]) => readonly string[],
  ): readonly CapturedChains[] {
    const { view, mesh, mark } = of;
    const routeConfig = port.http.length === 0 ? undefined : this.#routes(of, port);
    const [first] = port.rest;
    const routes: ConnectionRoute[] = [];
    for (const target of [...port.tls, ...(first === undefined ? [] : [first])]) {
      const { host } = target.service;
      routes.push(
        ...of.part(`${port.port} bytes ${host}`, host, () => this.#connections(of, target, target === first)),
      );
    }
    if (routeConfig === undefined && routes.length === 0 && first === undefined) return [];
    const dynamicDnsMs = dynamicDnsOf(mesh);
    const { accessLogFile, pathNormalization } = mesh.config;
    const rest = first === undefined ? undefined : view.clusterName(first);
    const common = { caller: mark, dynamicDnsMs, pathNormalization, accessLogFile };
    const policy = first === undefined ? NO_BLOCKS : view.blocks(first);
    return connectionParts([], routes).flatMap((part, i) => {
      const addresses = part.addresses.length === 0 ? [] : free(part.addresses);
      if (part.addresses.length > 0 && addresses.length === 0) return [];
      const name = listenerName({ address: addresses[0] ?? '0.0.0.0', port: port.port });
      const key = part.routes.flatMap(({ serverNames, destinations }) => [
        serverNames.join(' '),
        ...destinations.flatMap(({ cluster, weight, policy: own, target }) => [
          cluster,
          weight,
          own,
          target?.service,
          target?.port,
        ]),
      ]);
      const inputs = [i, routeConfig, rest, policy, mark, dynamicDnsMs, pathNormalization, accessLogFile, ...key];
      return of.chains(name, { port: port.port, addresses }, inputs, () => {
        const bytes = connectionChains(
          part.routes,
          (destinations) => bytesFilters({ ...common, policy: NO_BLOCKS }, destinations),
          rest === undefined ? undefined : bytesFilters({ ...common, policy }, rest),
        );
        const requests =
          routeConfig === undefined ? [] : [requestsChain(routeConfig, `outbound_0.0.0.0_${port.port}`, common)];
        return {
          ...bytes,
          filterChains: [...requests, ...bytes.filterChains],
          inspect: { tls: bytes.inspect.tls || requests.length > 0, http: requests.length > 0 },
        };
      });
    });
  }

  /** Where connections to a target go by rules, and, unless it takes what is left, those by its own names. */
  #connections(of: Egress, target: Target, takesRest: boolean): readonly ConnectionRoute[] {
    of.add(target);
    const { service } = target;
    const { routes, destinations } = of.view.connections(service, target.port);
    of.need(destinations);
    return takesRest || service.resolution === 'DYNAMIC_DNS' ? routes : [...routes, this.#ownRoute(of, target)];
  }

  #namesOf({ view, mesh }: Egress, service: Service): readonly string[] {
    const { namespace } = view.client;
    const inputs = [service, mesh.config];
    return this.#names.get(`${namespace} ${service.host}`, inputs, () => namesOf(service, mesh, view.client));
  }

  /** TLS of a service that no rule speaks of: its own server names. */
  #ownRoute(of: Egress, { service, port }: Target): ConnectionRoute {
    const { view } = of;
    const direct = view.destination({ host: service.host, subset: undefined, port: port.number }, port.number);
    return {
      serverNames: this.#namesOf(of, service).filter((name) => name.includes('.')),
      destinationSubnets: [],
      destinations: [{ ...direct, weight: 1 }],
    };
  }

  /** The route configuration of a port; returns its name. */
  #routes(of: Egress, port: EgressPort): string {
    const { units, mesh, view, unknown } = of;
    const name = view.ownName(String(port.port));
    const drafts = [
      ...port.http.map((target) => {
        const { host } = target.service;
        return of.part(`${port.port} requests ${host}`, host, () => this.#service(of, target));
      }),
      ...of.part(`${port.port} other names`, undefined, () => this.#unserved(of, port)),
    ];
    const { defaultHttpRetryPolicy: defaultRetries } = mesh.config;
    const domains = claimedDomains(port.port, drafts);
    const hosts = drafts.flatMap((draft, i): readonly Uint8Array[] => {
      const own = domains[i] ?? [];
      if (own.length === 0) return [];
      const { host, direct, routes, destinations } = draft;
      const inputs = [
        own.join(' '),
        routes?.virtualService,
        defaultRetries,
        view.client.namespace,
        view.client.labels,
        ...[...(direct === undefined ? [] : [direct]), ...destinations].flatMap(({ cluster, hash }) => [cluster, hash]),
      ];
      const key = `${name} ${host}`;
      const made = units.lastGood(
        `requests to ${routeConfigName(host, port.port)}`,
        () =>
          this.#hosts.get(key, inputs, () => {
            const all =
              routes !== undefined
                ? httpRoutes(routes)
                : direct === undefined
                  ? []
                  : [defaultRoute(direct, defaultRetries)];
            return encodeVirtualHost(routeConfigName(host, port.port), own, all);
          }),
        () => this.#hosts.keep(key),
      );
      return made === undefined ? [] : [made];
    });
    units.own('routeConfigs', name, { context: 'SIDECAR_OUTBOUND', workload: view.client });
    const inputs = [unknown === 'refused' ? unknown : unknown.cluster, ...hosts];
    this.#routeConfigs.add(name);
    units.make('routeConfigs', name, inputs, () => sharedRouteConfig(name, hosts, unknown));
    return name;
  }

  #service(of: Egress, { service, port }: Target): HostDraft {
    const { view } = of;
    of.add({ service, port, subset: undefined });
    const virtualService = view.virtualService(service, port.number);
    const key = `shared ${routeConfigName(service.host, port.number)}`;
    const routes = virtualService === undefined ? undefined : view.routes(virtualService, port.number, key);
    of.need(routes?.destinations ?? []);
    return {
      host: service.host,
      names: this.#namesOf(of, service),
      addresses: service.addresses ?? [],
      direct: view.destination({ host: service.host, subset: undefined, port: port.number }, port.number),
      routes: routes?.spec,
      destinations: routes?.destinations ?? [],
    };
  }

  /** Names that VirtualServices speak of and no service has: as in Istio on port 80 alone. */
  #unserved({ mesh, view, need }: Egress, { port }: EgressPort): readonly HostDraft[] {
    if (port !== HTTP_PORT) return [];
    const hosts = new Set(mesh.virtualServices.flatMap((virtualService) => virtualService.hosts));
    return [...hosts].flatMap((host): readonly HostDraft[] => {
      if (host === '*' || mesh.services.has(host)) return [];
      const covers =
        host.startsWith('*') && [...mesh.services.keys()].some((name) => specificity(host, name) !== undefined);
      if (covers) return [];
      const virtualService = view.virtualService({ host, aliases: [] }, port);
      if (virtualService === undefined) return [];
      const { spec, destinations } = view.routes(virtualService, port, `shared ${routeConfigName(host, port)}`);
      need(destinations);
      return [{ host, names: [host], addresses: [], direct: undefined, routes: spec, destinations }];
    });
  }
}

function requestsChain(
  routeConfig: string,
  statPrefix: string,
  common: Pick<OutboundCalls, 'caller' | 'dynamicDnsMs' | 'pathNormalization' | 'accessLogFile'>,
): FilterChain {
  const { caller, dynamicDnsMs, pathNormalization, accessLogFile } = common;
  return {
    name: 'http',
    filterChainMatch: { transportProtocol: 'raw_buffer', applicationProtocols: [...PLAIN_HTTP1, ...PLAIN_HTTP2] },
    filters: [
      ...(caller === undefined ? [] : [markCaller(caller)]),
      httpConnectionManager({
        statPrefix,
        routes: { case: 'rds', value: { configSource: ADS, routeConfigName: routeConfig } },
        from: 'outbound',
        dynamicDnsMs,
        pathNormalization,
        accessLogFile,
      }),
    ],
  };
}
