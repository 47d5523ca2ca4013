/** What becomes of calls of one port of a service, with the clusters and route configurations for them. */
import type { Host, NamedUpstream } from '../../model/host.ts';
import type { Mesh } from '../../model/mesh.ts';
import type { Service } from '../../model/service.ts';
import { callerState } from '../clusters/cluster-callers.ts';
import { dynamicDnsOf } from '../clusters/dynamic-dns.ts';
import { OutboundClusters } from '../clusters/outbound-clusters.ts';
import { NO_BLOCKS } from '../clusters/traffic-policy.ts';
import { ANY_DOMAIN, nameDomains } from '../http/host-domains.ts';
import { routeConfig } from '../http/route-config.ts';
import { accessLogOf } from '../listeners/access-log.ts';
import { clusterHost } from '../names.ts';
import type { ObserveSpec } from '../observe/observe-chains.ts';
import { protocolKind } from '../protocol-kind.ts';
import type { OwnCall } from '../rate-limit/rate-limit-calls.ts';
import type { ResourceUnits } from '../resource-units.ts';
import { type Calling, type Client, clientKey, type HostCalling } from '../view/calling.ts';
import { type ResolvedDestination, type Target, unknownDestination } from '../view/destination.ts';
import { MeshView } from '../view/mesh-view.ts';
import { loopbackHost } from './loopback-host.ts';
import type { OutboundCalls } from './outbound-listener.ts';
import { OutboundParts } from './outbound-parts.ts';
import type { UpstreamTarget } from './upstream-target.ts';

/** What all of one translation has in common. */
export interface Outbound {
  readonly units: ResourceUnits;
  readonly mesh: Mesh;
  readonly host: Host;
  readonly calling: HostCalling;
  /** Whether labels of clients decide which rules hold for them. */
  readonly byLabels: boolean;
  /** The calls that Envoy makes on behalf of workloads. */
  readonly ownCalls: readonly OwnCall[];
}

/** A name that no service bears. */
export const NO_ALIASES: readonly string[] = [];

const NO_ROUTES: OutboundCalls['routes'] = [];

export type KnownTarget = Extract<UpstreamTarget, { kind: 'known' }>;
export type CalledTarget = Exclude<UpstreamTarget, { kind: 'ambiguous' }>;

/** The clients of a host, and all that their calls need. */
export class CalledPorts {
  readonly clusters = new OutboundClusters();
  readonly parts = new OutboundParts(this.clusters);
  /** By the callers' `clientKey`. */
  #views = new Map<string, MeshView>();
  #viewsBefore: ReadonlyMap<string, MeshView> = new Map();

  /** Begins a translation of everything. */
  begin(of: Outbound): void {
    this.clusters.begin();
    this.parts.begin();
    this.#viewsBefore = this.#views;
    this.#views = new Map();
    this.view(of, of.calling.home);
  }

  /** Begins a translation with all that was made before: views look at the mesh as it is now. */
  resume(of: Omit<Outbound, 'ownCalls'>): void {
    for (const [key, view] of this.#views) this.#look(of, key, view);
  }

  /** Ends a translation of everything: what nobody asked for is forgotten. */
  sweep(): void {
    for (const view of this.#views.values()) view.sweep();
    this.#viewsBefore = new Map();
  }

  /** The view of a client's calls, with the memos that it had before. */
  view(of: Outbound, client: Client): MeshView {
    const key = clientKey(client, of.byLabels);
    const known = this.#views.get(key);
    if (known !== undefined) return known;
    const before = this.#viewsBefore.get(key);
    const view = before?.client.labels === client.labels ? before : new MeshView(client, key);
    this.#views.set(key, view);
    this.#look(of, key, view);
    return view;
  }

  #look({ mesh, calling, byLabels }: Omit<Outbound, 'ownCalls'>, key: string, view: MeshView): void {
    const home = clientKey(calling.home, byLabels);
    view.look(mesh, key === home ? undefined : this.#views.get(home));
  }

  /** Whether the Sidecar of who calls, and the service itself, let it be called. */
  isInScope(of: Outbound, { service, port }: Pick<Target, 'service' | 'port'>, who: Calling): boolean {
    return this.view(of, who).calls(service, port.number);
  }

  /** The calls of a service's port in mode `observe`, with the cluster for it. */
  observed(of: Outbound, target: KnownTarget, name: string): ObserveSpec {
    const cluster = this.clusters.addObserved(this.view(of, of.calling.home), { ...target, subset: undefined });
    const accessLog = accessLogOf(of.mesh.config);
    return { kind: protocolKind(target.port.protocol), cluster, statPrefix: `outbound_${name}`, accessLog };
  }

  /** What becomes of the calls of a service's port, with the clusters and route configurations for it. */
  calls(of: Outbound, serviceHost: string, target: CalledTarget, who: Calling): OutboundCalls {
    const view = this.view(of, who);
    const port = target.kind === 'unknown' ? target.port : target.port.number;
    const common = {
      routeConfig: view.routeConfigName(serviceHost, port),
      caller: of.calling.apart ? callerState(who) : undefined,
      dynamicDnsMs: dynamicDnsOf(of.mesh),
      pathNormalization: of.mesh.config.pathNormalization,
      detectionTimeoutMs: of.mesh.config.protocolDetectionTimeoutMs,
      accessLog: accessLogOf(of.mesh.config),
    };
    if (target.kind === 'unknown') {
      const direct = unknownDestination(serviceHost, port, undefined);
      const unknown = { host: serviceHost, aliases: NO_ALIASES, resolution: 'EDS' } as const;
      this.#routes(of, view, unknown, port, who, direct, undefined);
      return { ...common, kind: 'auto', cluster: direct.cluster, routes: NO_ROUTES, policy: NO_BLOCKS };
    }
    const { service } = target;
    const kind = protocolKind(target.port.protocol);
    const direct = view.destination({ host: service.host, subset: undefined, port }, port);
    const whole: Target = { service, port: target.port, subset: undefined };
    this.needWhole(view, whole, who);
    const policy = view.blocks(whole);
    if (kind !== 'tcp') {
      const overTls = policy.tls !== undefined && policy.tls.mode !== 'DISABLE';
      const loopback = loopbackHost(of.host, of.mesh.config, service, target.port, overTls);
      this.#routes(of, view, service, port, who, direct, loopback);
    }
    const { routes, destinations } = view.connections(service, target.port);
    this.need(view, destinations, who);
    // As with requests: no name but the service's.
    const cluster = service.resolution === 'DYNAMIC_DNS' ? undefined : direct.cluster;
    const grpcWeb = target.port.protocol === 'GRPC-WEB';
    return { ...common, kind, ...(grpcWeb && { grpcWeb }), cluster, routes, policy };
  }

  /** The route configuration, with the clusters of all that its VirtualService names, unused weights included. */
  #routes(
    { units, mesh }: Outbound,
    view: MeshView,
    service: Pick<Service, 'host' | 'aliases' | 'resolution'>,
    port: number,
    who: Calling,
    direct: ResolvedDestination,
    loopback: string | undefined,
  ): void {
    const { host, resolution } = service;
    // Names that are resolved as they are called are those of the service, not whatever anybody asks for.
    const domains = resolution === 'DYNAMIC_DNS' ? nameDomains(host, port) : ANY_DOMAIN;
    const name = view.routeConfigName(host, port);
    units.own('routeConfigs', name, { context: 'SIDECAR_OUTBOUND', workload: view.client });
    const { defaultHttpRetryPolicy: defaultRetries } = mesh.config;
    const virtualService = view.virtualService(service, port);
    const routes = virtualService === undefined ? undefined : view.routes(virtualService, port, name);
    const destinations = routes?.destinations ?? [];
    const inputs = [
      virtualService,
      resolution,
      defaultRetries,
      view.client.namespace,
      view.client.labels,
      direct.cluster,
      direct.hash,
      loopback,
      ...destinations.flatMap(({ cluster, hash }) => [cluster, hash]),
    ];
    units.make('routeConfigs', name, inputs, () =>
      routeConfig({ name, host, port, domains, routes: routes?.spec, direct, defaultRetries, loopbackHost: loopback }),
    );
    this.need(view, destinations, who);
  }

  /** Has the clusters of a service's port made: its subsets too, whether routes lead there or not, as in Istio. */
  needWhole(view: MeshView, { service, port }: Omit<Target, 'subset'>, who: Calling): void {
    for (const subset of [undefined, ...view.subsetNames(service)])
      this.clusters.add(view, { service, port, subset }, who);
  }

  /** Has the clusters of these destinations made. */
  need(view: MeshView, destinations: readonly ResolvedDestination[], who: Calling): void {
    for (const { cluster, target } of destinations)
      if (target === undefined) this.parts.name(clusterHost(cluster));
      else this.clusters.add(view, target, who);
  }
}

/** All ports of a service by name; none while the mesh does not know it. */
export function portsOf({ mesh }: Outbound, { serviceHost }: NamedUpstream): readonly KnownTarget[] {
  const service = mesh.services.get(serviceHost);
  if (service === undefined) return [];
  // Envoy refuses a listener with two chains of one match: of ports with one number the first holds.
  const ports = service.ports.filter(({ number }, i, all) => all.findIndex((port) => port.number === number) === i);
  return ports.map((port) => ({ kind: 'known', service, port }));
}
