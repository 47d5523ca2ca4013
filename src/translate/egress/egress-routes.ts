/** The routes of requests on a port that many services share: the Host of a request says whose it is. */
import type { Caller } from '../../model/host.ts';
import { serviceOfHost } from '../../model/host-names.ts';
import type { Mesh } from '../../model/mesh.ts';
import type { Service } from '../../model/service.ts';
import { dnsNames } from '../dns/dns-names.ts';
import { type HttpRoutesSpec, httpRoutes } from '../http/http-routes.ts';
import { defaultRoute } from '../http/route-config.ts';
import { claimedDomains, encodeVirtualHost, sharedRouteConfig, type UnknownHosts } from '../http/shared-routes.ts';
import type { ListenerChains } from '../listeners/listener.ts';
import { Memo } from '../memo.ts';
import { routeConfigName } from '../names.ts';
import type { CapturedChains, Destination } from '../outbound/captured-chains.ts';
import type { OutboundCalls } from '../outbound/outbound-listener.ts';
import type { ResourceUnits } from '../resource-units.ts';
import type { Client } from '../view/calling.ts';
import type { ResolvedDestination, Target } from '../view/destination.ts';
import { specificity } from '../view/host-pattern.ts';
import type { MeshView } from '../view/mesh-view.ts';
import type { EgressPort } from './egress-ports.ts';

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

/** The names by which a client may call a service, those that count most first. */
function namesOf(service: Service, { config }: Mesh, { namespace }: Client): readonly string[] {
  const { host, aliases } = service;
  const named = serviceOfHost(config, host);
  const short = named === undefined ? [] : [`${named.name}.${named.namespace}`];
  const bare = named !== undefined && named.namespace === namespace ? [named.name] : [];
  return [...new Set([host, ...aliases, ...dnsNames(host, service, config), ...short, ...bare])];
}

/** The port on which names count that only a VirtualService knows. */
export const HTTP_PORT = 80;

export class EgressRoutes {
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

  /** Ends a translation: what nobody asked for is forgotten. */
  sweep(): void {
    this.#hosts.sweep();
    this.#names.sweep();
  }

  /** The names by which the client may call a service, those that count most first. */
  namesOf({ view, mesh }: Egress, service: Service): readonly string[] {
    const { namespace } = view.client;
    const inputs = [service, mesh.config];
    return this.#names.get(`${namespace} ${service.host}`, inputs, () => namesOf(service, mesh, view.client));
  }

  /** The route configuration of a port; returns its name. */
  make(of: Egress, port: EgressPort): string {
    const { units, mesh, view, unknown } = of;
    const name = view.ownName(String(port.port));
    const drafts = [
      ...port.http.map((target) => {
        const { host } = target.service;
        return of.part(`${port.port} requests ${host}`, host, () => this.#service(of, target));
      }),
      ...(port.port === HTTP_PORT ? this.#others(of) : []),
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
      names: this.namesOf(of, service),
      addresses: service.addresses ?? [],
      direct: view.destination({ host: service.host, subset: undefined, port: port.number }, port.number),
      routes: routes?.spec,
      destinations: routes?.destinations ?? [],
    };
  }

  /** Whether there are routes on port 80 for names that no service has. */
  hasOthers(of: Egress): boolean {
    return this.#others(of).length > 0;
  }

  #others(of: Egress): readonly HostDraft[] {
    return of.part(`${HTTP_PORT} other names`, undefined, () => this.#unserved(of));
  }

  /** Names that VirtualServices speak of and no service has: as in Istio on port 80 alone. */
  #unserved({ mesh, view, need }: Egress): readonly HostDraft[] {
    const port = HTTP_PORT;
    const hosts = new Set(mesh.virtualServices.flatMap((virtualService) => virtualService.hosts));
    return [...hosts].flatMap((host): readonly HostDraft[] => {
      // A service of the mesh that this host does not know yet is learnt when it is called.
      if (host === '*' || mesh.services.has(host) || serviceOfHost(mesh.config, host) !== undefined) return [];
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
