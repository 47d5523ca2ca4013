/** All that this host calls: listeners of upstreams, services by name and captured callers, with routes and clusters. */
import type { Caller, Host, HostProxy, NamedUpstream, SocketAddress, SocketPath, Upstream } from '../../model/host.ts';
import type { Mesh } from '../../model/mesh.ts';
import type { Service } from '../../model/service.ts';
import { callerState } from '../clusters/cluster-callers.ts';
import { dnsRefreshMs, dynamicDnsOf } from '../clusters/dynamic-dns.ts';
import { OutboundClusters } from '../clusters/outbound-clusters.ts';
import { NO_BLOCKS } from '../clusters/traffic-policy.ts';
import { connectionParts } from '../connections/connection-parts.ts';
import { EgressSide } from '../egress/egress-side.ts';
import { GatewaySide } from '../gateway/gateway-side.ts';
import { ANY_DOMAIN, nameDomains } from '../http/host-domains.ts';
import { routeConfig } from '../http/route-config.ts';
import type { UnknownHosts } from '../http/shared-routes.ts';
import { type ListenerChains, listener } from '../listeners/listener.ts';
import { markCaller } from '../listeners/network-filters.ts';
import { Memo } from '../memo.ts';
import { clusterHost, listenerName } from '../names.ts';
import { type ObserveSpec, observeChains } from '../observe/observe-chains.ts';
import { protocolKind } from '../protocol-kind.ts';
import type { OwnCall } from '../rate-limit/rate-limit-calls.ts';
import type { ResourceUnits } from '../resource-units.ts';
import {
  bindableAddresses,
  type Calling,
  type Client,
  callerCalling,
  capturedCallers,
  clientKey,
  type HostCalling,
  isMeshed,
  upstreamCalling,
} from '../view/calling.ts';
import { type ResolvedDestination, type Target, unknownDestination } from '../view/destination.ts';
import { MeshView } from '../view/mesh-view.ts';
import type { Touched } from '../view/rule-changes.ts';
import { type CapturedChains, capturedChains, type Destination } from './captured-chains.ts';
import {
  gateClusters,
  proxiedCluster,
  proxiedClusterName,
  proxyListener,
  proxyName,
  proxyRoutes,
} from './host-proxy.ts';
import { captureAddresses, outboundCaptureListener, outboundCaptureName } from './outbound-capture.ts';
import { callInputs, type OutboundCalls, outboundChains, outboundListener } from './outbound-listener.ts';
import { OutboundParts } from './outbound-parts.ts';
import { outboundPolicy } from './outbound-policy.ts';
import {
  BLACK_HOLE_CLUSTER,
  blackHoleCluster,
  DYNAMIC_DNS_CLUSTER,
  dynamicDnsPassthrough,
  PASSTHROUGH_CLUSTER,
  passBytes,
  passthroughCluster,
} from './passthrough.ts';
import { proxiedPorts } from './proxied-ports.ts';
import { type UpstreamTarget, upstreamTarget } from './upstream-target.ts';

/** What all of one translation has in common. */
interface Outbound {
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
const NO_ALIASES: readonly string[] = [];

const NO_ROUTES: OutboundCalls['routes'] = [];

export class OutboundSide {
  readonly #clusters = new OutboundClusters();
  readonly #chains = new Memo<CapturedChains>();
  readonly #egress = new EgressSide();
  readonly #gateways = new GatewaySide();
  readonly #parts = new OutboundParts(this.#clusters);
  /** By the callers' `clientKey`. */
  #views = new Map<string, MeshView>();
  #viewsBefore: ReadonlyMap<string, MeshView> = new Map();

  /** Makes everything. */
  translate(of: Outbound): void {
    const { units, mesh, host, calling } = of;
    this.#clusters.begin();
    this.#parts.begin();
    this.#egress.begin();
    this.#viewsBefore = this.#views;
    this.#views = new Map();
    this.#view(of, calling.home);
    this.#makeParts(of);
    if (host.proxy !== undefined) this.#proxy(of, host.proxy);
    this.#clusters.make(units, mesh, host, calling.apart);
    for (const view of this.#views.values()) view.sweep();
    this.#chains.sweep();
    this.#egress.sweep();
    this.#viewsBefore = new Map();
  }

  /** All parts; of those that are known only what has changed is made. */
  #makeParts(of: Outbound): void {
    const { units, mesh, host, calling } = of;
    for (const [i, upstream] of host.upstreams.entries())
      this.#part(of, `upstream ${i}`, upstream.serviceHost, () => this.#upstream(of, upstream));
    if (calling.bindsNames)
      for (const [i, upstream] of (host.namedUpstreams ?? []).entries())
        this.#part(of, `name ${i}`, upstream.serviceHost, () => this.#bound(of, upstream));
    for (const caller of capturedCallers(host)) this.#caller(of, caller);
    for (const own of of.ownCalls)
      this.#part(of, `own ${own.cluster}`, own.target.service.host, () =>
        this.#clusters.addOwn(own.cluster, this.#view(of, own.calling), own.target, own.calling),
      );
    if ((host.gateways ?? []).length === 0) return this.#gateways.forget();
    this.#part(of, 'gateways', undefined, () =>
      this.#gateways.translate({
        units,
        mesh,
        host,
        apart: calling.apart,
        clusters: this.#clusters,
        view: (who) => this.#view(of, who),
      }),
    );
  }

  #part<T>({ units }: Outbound, key: string, host: string | undefined, make: () => T): T {
    return this.#parts.get(units, key, host, make);
  }

  /** Makes what endpoints of these services change, of all that was made before. */
  translateEndpoints(of: Omit<Outbound, 'ownCalls'>, services: readonly string[]): void {
    const { units, mesh, host, calling } = of;
    for (const [key, view] of this.#views) this.#look(of, key, view);
    for (const service of services) this.#clusters.remake(units, mesh, host, calling.apart, service);
  }

  /** Makes what rules for the touched services change, of all that was made before. */
  translateRules(of: Outbound, touched: Touched): void {
    const { units, mesh, host, calling } = of;
    for (const [key, view] of this.#views) this.#look(of, key, view);
    this.#parts.resume(units, (serviceHost) =>
      touched(mesh.services.get(serviceHost) ?? { host: serviceHost, aliases: NO_ALIASES }),
    );
    this.#egress.resume(units);
    for (const caller of capturedCallers(host)) units.delete('listeners', outboundCaptureName(caller.capturePort));
    this.#makeParts(of);
    this.#clusters.settle(units, mesh, host, calling.apart, this.#parts.settle(units));
  }

  /** The view of a client's calls, with the memos that it had before. */
  #view(of: Outbound, client: Client): MeshView {
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

  #upstream(of: Outbound, upstream: Upstream): void {
    const { serviceHost, listen } = upstream;
    const target = upstreamTarget(upstream, of.mesh.services.get(serviceHost));
    if (target.kind === 'ambiguous') return;
    if (upstream.mode === 'observe' && target.kind === 'known') return this.#observe(of, listen, target);
    const who = upstreamCalling(of.host, upstream, of.calling);
    if (who !== undefined) this.#listen(of, listen, serviceHost, target, who);
  }

  /** A service by name where calls are not captured: a listener for each address and port. */
  #bound(of: Outbound, upstream: NamedUpstream): void {
    for (const target of portsOf(of, upstream)) {
      if (upstream.mode !== 'observe' && !this.#isInScope(of, target, of.calling.unnamed)) continue;
      for (const address of bindableAddresses(upstream)) {
        const listen = { address, port: target.port.number };
        if (upstream.mode === 'observe') this.#observe(of, listen, target);
        else this.#listen(of, listen, upstream.serviceHost, target, of.calling.unnamed);
      }
    }
  }

  /** Whether the Sidecar of who calls, and the service itself, let it be called. */
  #isInScope(of: Outbound, { service, port }: Pick<Target, 'service' | 'port'>, who: Calling): boolean {
    return this.#view(of, who).calls(service, port.number);
  }

  /** The listener that takes requests for any service by their Host. */
  #proxy(of: Outbound, proxy: HostProxy): void {
    const { units, mesh, host, calling } = of;
    const name = proxyName(proxy);
    const ports = calling.bindsNames
      ? proxiedPorts(mesh, host, (service, port) => this.#isInScope(of, { service, port }, calling.unnamed))
      : [];
    const { accessLogFile } = mesh.config;
    // What passes it is patched where the service itself is called.
    units.own('listeners', listenerName(proxy.listen), 'nobody');
    units.own('routeConfigs', name, 'nobody');
    units.make('listeners', listenerName(proxy.listen), [name, accessLogFile], () =>
      proxyListener(proxy, name, accessLogFile),
    );
    units.make('routeConfigs', name, [JSON.stringify(ports)], () => proxyRoutes(name, ports));
    for (const [cluster, make] of gateClusters(proxy)) {
      units.own('clusters', cluster, 'nobody');
      units.make('clusters', cluster, [name, proxy.gate.path], make);
    }
    for (const port of ports) {
      const cluster = proxiedClusterName(port);
      units.own('clusters', cluster, 'nobody');
      units.make('clusters', cluster, [listenerName(port.listen)], () => proxiedCluster(port));
    }
  }

  #observe(of: Outbound, listen: SocketAddress | SocketPath, target: Extract<UpstreamTarget, { kind: 'known' }>): void {
    const name = listenerName(listen);
    const observed = this.#observed(of, target, name);
    of.units.make('listeners', name, Object.values(observed), () =>
      listener({ address: listen, direction: 'outbound', ...observeChains(observed) }),
    );
  }

  #listen(
    of: Outbound,
    listen: SocketAddress | SocketPath,
    serviceHost: string,
    target: Exclude<UpstreamTarget, { kind: 'ambiguous' }>,
    who: Calling,
  ): void {
    const seen: typeof target =
      target.kind === 'known' && !this.#isInScope(of, target, who)
        ? { kind: 'unknown', port: target.port.number }
        : target;
    const calls = this.#calls(of, serviceHost, seen, who);
    const name = listenerName(listen);
    of.units.own('listeners', name, { context: 'SIDECAR_OUTBOUND', workload: who });
    of.units.make('listeners', name, [name, ...callInputs(calls)], () => outboundListener(listen, calls));
  }

  /** The listener of a caller whose calls are captured. */
  #caller(of: Outbound, caller: Caller): void {
    const { units, mesh, host } = of;
    const { accessLogFile, protocolDetectionTimeoutMs: detectionTimeoutMs } = mesh.config;
    units.make('clusters', PASSTHROUGH_CLUSTER, [], passthroughCluster);
    units.make('clusters', BLACK_HOLE_CLUSTER, [], blackHoleCluster);
    const names = [...new Set((host.namedUpstreams ?? []).flatMap((upstream) => upstream.addresses))];
    const unknown = this.#part(of, `unknown ${caller.capturePort}`, '', () => this.#unknown(of, caller));
    const captured = [
      ...(caller.mode === 'off' ? [] : this.#captured(of, caller)),
      ...(isMeshed(caller) ? this.#beyond(of, caller, names, unknown.requests) : []),
    ];
    const name = outboundCaptureName(caller.capturePort);
    const who = callerCalling(host, caller);
    units.own('listeners', name, { context: 'SIDECAR_OUTBOUND', workload: who });
    const addresses = captureAddresses(caller, host.withoutIpv6 === true);
    const mark = of.calling.apart && unknown.marked ? callerState(who) : undefined;
    const inputs = [
      accessLogFile,
      detectionTimeoutMs,
      addresses.map(listenerName).join(' '),
      names.join(' '),
      unknown.bytes,
      mark,
    ];
    units.make('listeners', name, [...inputs, ...captured], () => {
      const rest = [...(mark === undefined ? [] : [markCaller(mark)]), passBytes(unknown.bytes, accessLogFile)];
      return outboundCaptureListener({ name, addresses, captured, names, rest, accessLogFile, detectionTimeoutMs });
    });
  }

  /** Where a caller's calls go that are nobody's. What the mesh only observes goes where it was going. */
  #unknown(
    of: Outbound,
    caller: Caller,
  ): { readonly requests: UnknownHosts; readonly bytes: string; readonly marked: boolean } {
    const { units, mesh, host } = of;
    const passed = { requests: { cluster: PASSTHROUGH_CLUSTER }, bytes: PASSTHROUGH_CLUSTER, marked: false };
    if (!isMeshed(caller)) return passed;
    const who = callerCalling(host, caller);
    const { mode, egressProxy } = outboundPolicy(mesh, who);
    if (egressProxy !== undefined) {
      const view = this.#view(of, who);
      const destination = view.destination(egressProxy, egressProxy.port ?? 0);
      this.#need(view, [destination], who);
      const { cluster } = destination;
      return { requests: { cluster }, bytes: cluster, marked: true };
    }
    if (mode === 'REGISTRY_ONLY') return { requests: 'refused', bytes: BLACK_HOLE_CLUSTER, marked: false };
    if (mode === 'ALLOW_ANY') return passed;
    const refreshMs = dnsRefreshMs(mesh.config);
    units.make('clusters', DYNAMIC_DNS_CLUSTER, [refreshMs], () => dynamicDnsPassthrough(refreshMs));
    return { ...passed, requests: { cluster: DYNAMIC_DNS_CLUSTER } };
  }

  /** What a caller finds by address, Host or server name. */
  #beyond(of: Outbound, caller: Caller, names: readonly string[], unknown: UnknownHosts): readonly CapturedChains[] {
    const who = callerCalling(of.host, caller);
    const view = this.#view(of, who);
    return this.#egress.make({
      units: of.units,
      mesh: of.mesh,
      caller,
      view,
      mark: of.calling.apart ? callerState(who) : undefined,
      names,
      named: new Set((of.host.namedUpstreams ?? []).map(({ serviceHost }) => serviceHost)),
      unknown,
      part: (key, host, make) => this.#part(of, `egress ${caller.capturePort} ${key}`, host, make),
      add: (target) => this.#clusters.add(view, target, who),
      need: (destinations) => this.#need(view, destinations, who),
      calls: ({ service, port }) => this.#calls(of, service.host, { kind: 'known', service, port }, who),
      chains: (name, destination, inputs, make) => this.#capturedChains(of, caller, name, destination, inputs, make),
    });
  }

  /** What a caller's listener does with connections to services by name: the first service of an address holds. */
  #captured(of: Outbound, caller: Caller): readonly CapturedChains[] {
    const taken = new Set<string>();
    return (of.host.namedUpstreams ?? []).flatMap((upstream, i) => {
      const addresses = upstream.addresses.filter((address) => !taken.has(address));
      for (const address of addresses) taken.add(address);
      const [first] = addresses;
      if (first === undefined) return [];
      const chains = (): readonly CapturedChains[] =>
        portsOf(of, upstream).flatMap((target) => {
          const destination = { port: target.port.number, addresses };
          const name = listenerName({ address: first, port: destination.port });
          if (!isMeshed(caller)) {
            const observed = this.#observed(of, target, name);
            return this.#capturedChains(of, caller, name, destination, Object.values(observed), () =>
              observeChains(observed),
            );
          }
          const who = callerCalling(of.host, caller);
          if (!this.#isInScope(of, target, who)) return [];
          const calls = this.#calls(of, upstream.serviceHost, target, who);
          return this.#capturedCalls(of, caller, name, destination, calls);
        });
      return this.#part(of, `captured ${caller.capturePort} ${i}`, upstream.serviceHost, chains);
    });
  }

  /** The chains of calls to one destination, part by part where routes tell its addresses apart. */
  #capturedCalls(
    of: Outbound,
    caller: Caller,
    name: string,
    { port, addresses }: Destination,
    calls: OutboundCalls,
  ): readonly CapturedChains[] {
    return connectionParts(addresses, calls.routes).flatMap(({ addresses: some, routes }, i) => {
      const part = i === 0 ? name : `${name}-${some.join('-')}`;
      const inputs = [...callInputs(calls), i];
      return this.#capturedChains(of, caller, part, { port, addresses: some }, inputs, () =>
        outboundChains(calls, `outbound_${name}`, routes),
      );
    });
  }

  #capturedChains(
    of: Outbound,
    caller: Caller,
    name: string,
    destination: Destination,
    inputs: readonly unknown[],
    chains: () => ListenerChains,
  ): readonly CapturedChains[] {
    const key = `${name} of captured port ${caller.capturePort}`;
    const made = of.units.lastGood(
      `calls to ${key}`,
      () =>
        this.#chains.get(key, [...destination.addresses, ...inputs], () => capturedChains(name, destination, chains())),
      () => this.#chains.keep(key),
    );
    return made === undefined ? [] : [made];
  }

  /** The calls of a service's port in mode `observe`, with the cluster for it. */
  #observed(of: Outbound, target: Extract<UpstreamTarget, { kind: 'known' }>, name: string): ObserveSpec {
    const cluster = this.#clusters.addObserved(this.#view(of, of.calling.home), { ...target, subset: undefined });
    const { accessLogFile } = of.mesh.config;
    return { kind: protocolKind(target.port.protocol), cluster, statPrefix: `outbound_${name}`, accessLogFile };
  }

  /** What becomes of the calls of a service's port, with the clusters and route configurations for it. */
  #calls(
    of: Outbound,
    serviceHost: string,
    target: Exclude<UpstreamTarget, { kind: 'ambiguous' }>,
    who: Calling,
  ): OutboundCalls {
    const view = this.#view(of, who);
    const port = target.kind === 'unknown' ? target.port : target.port.number;
    const common = {
      routeConfig: view.routeConfigName(serviceHost, port),
      caller: of.calling.apart ? callerState(who) : undefined,
      dynamicDnsMs: dynamicDnsOf(of.mesh),
      pathNormalization: of.mesh.config.pathNormalization,
      detectionTimeoutMs: of.mesh.config.protocolDetectionTimeoutMs,
      accessLogFile: of.mesh.config.accessLogFile,
    };
    if (target.kind === 'unknown') {
      const direct = unknownDestination(serviceHost, port, undefined);
      this.#routes(of, view, { host: serviceHost, aliases: NO_ALIASES, resolution: 'EDS' }, port, who, direct);
      return { ...common, kind: 'auto', cluster: direct.cluster, routes: NO_ROUTES, policy: NO_BLOCKS };
    }
    const { service } = target;
    const kind = protocolKind(target.port.protocol);
    const direct = view.destination({ host: service.host, subset: undefined, port }, port);
    const whole: Target = { service, port: target.port, subset: undefined };
    this.#clusters.add(view, whole, who);
    if (kind !== 'tcp') this.#routes(of, view, service, port, who, direct);
    const { routes, destinations } = view.connections(service, target.port);
    this.#need(view, destinations, who);
    // As with requests: no name but the service's.
    const cluster = service.resolution === 'DYNAMIC_DNS' ? undefined : direct.cluster;
    return { ...common, kind, cluster, routes, policy: view.blocks(whole) };
  }

  /** The route configuration, with the clusters of all that its VirtualService names, unused weights included. */
  #routes(
    { units, mesh }: Outbound,
    view: MeshView,
    service: Pick<Service, 'host' | 'aliases' | 'resolution'>,
    port: number,
    who: Calling,
    direct: ResolvedDestination,
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
      ...destinations.flatMap(({ cluster, hash }) => [cluster, hash]),
    ];
    units.make('routeConfigs', name, inputs, () =>
      routeConfig({ name, host, port, domains, routes: routes?.spec, direct, defaultRetries }),
    );
    this.#need(view, destinations, who);
  }

  /** Has the clusters of these destinations made. */
  #need(view: MeshView, destinations: readonly ResolvedDestination[], who: Calling): void {
    for (const { cluster, target } of destinations)
      if (target === undefined) this.#parts.name(clusterHost(cluster));
      else this.#clusters.add(view, target, who);
  }
}

/** All ports of a service by name; none while the mesh does not know it. */
function portsOf(
  { mesh }: Outbound,
  { serviceHost }: NamedUpstream,
): readonly Extract<UpstreamTarget, { kind: 'known' }>[] {
  const service = mesh.services.get(serviceHost);
  if (service === undefined) return [];
  // Envoy refuses a listener with two chains of one match: of ports with one number the first holds.
  const ports = service.ports.filter(({ number }, i, all) => all.findIndex((port) => port.number === number) === i);
  return ports.map((port) => ({ kind: 'known', service, port }));
}
