/** The whole of translation: which resources there are, what each is built from, and what of the last call still holds. */

import type { TrafficPolicyBlocks } from '../model/destination-rule.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Host, InboundPort, Upstream, Workload } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import type { VirtualService } from '../model/virtual-service.ts';
import type { Resources } from '../xds/resource.ts';
import { type Calling, type HostCalling, hostCalling, upstreamCalling } from './calling.ts';
import { callerState } from './cluster-callers.ts';
import { type ResolvedDestination, type Target, unknownDestination } from './destination.ts';
import { dnsListener, dnsListenerName } from './dns-listener.ts';
import { dnsTable } from './dns-names.ts';
import { inboundCluster } from './inbound-cluster.ts';
import { inboundListener } from './inbound-listener.ts';
import { MeshView } from './mesh-view.ts';
import { inboundClusterName, listenerName } from './names.ts';
import { observeInboundCluster } from './observe-cluster.ts';
import { observeInboundListener, observeOutboundListener } from './observe-listener.ts';
import { OutboundClusters } from './outbound-clusters.ts';
import { type OutboundCalls, outboundListener } from './outbound-listener.ts';
import { mtlsMode } from './peer-authentication.ts';
import { type ProtocolKind, protocolKind } from './protocol-kind.ts';
import { type Recomputed, ResourceUnits } from './resource-units.ts';
import { routeConfig } from './route-config.ts';
import { NO_BLOCKS } from './traffic-policy.ts';
import { type UpstreamTarget, upstreamTarget } from './upstream-target.ts';

export type { Recomputed } from './resource-units.ts';

/** Makes the resources of one host's Envoy. Keeps those of the last call: what did not change is the same object. */
export class Translator {
  readonly #units = new ResourceUnits();
  readonly #clusters = new OutboundClusters();
  /** By the callers' namespace. */
  #views = new Map<string, MeshView>();
  /** What the last translation was made from. */
  #basis: { readonly mesh: Mesh; readonly host: Host; readonly calling: HostCalling } | undefined;

  get recomputed(): Recomputed {
    return this.#units.recomputed;
  }

  /** What the last translation could not encode, and therefore kept from the one before or left out. */
  get failures(): readonly Diagnostic[] {
    return this.#units.failures;
  }

  /** The clusters, load assignments, listeners and route configurations of `host`; secrets are not among them. */
  translate(mesh: Mesh, host: Host): Resources {
    const last = this.#basis;
    const changed = this.#endpointsAlone(mesh, host);
    const calling = last?.host === host ? last.calling : hostCalling(host);
    this.#basis = { mesh, host, calling };
    if (changed !== undefined) return this.#translateEndpoints(mesh, host, calling, changed);
    this.#units.begin();
    this.#clusters.begin();
    const before = this.#views;
    this.#views = new Map();
    const home = this.#view(mesh, calling, calling.home, before);
    for (const workload of host.workloads) this.#inbound(mesh, host, workload);
    for (const upstream of host.upstreams) {
      const who = upstreamCalling(upstream, calling);
      if (who === undefined) continue;
      this.#upstream(mesh, calling, upstream, who, this.#view(mesh, calling, who.namespace, before));
    }
    this.#clusters.make(this.#units, mesh, host, calling.apart);
    this.#dns(mesh, host);
    for (const view of new Set([home, ...this.#views.values()])) view.sweep();
    this.#units.sweep();
    return this.#units.finish();
  }

  /** The services whose endpoints are others than last time, or undefined when anything else is another as well. */
  #endpointsAlone(mesh: Mesh, host: Host): readonly string[] | undefined {
    const basis = this.#basis;
    if (basis?.host !== host || this.failures.length > 0) return undefined;
    const { endpoints: before, ...rest } = basis.mesh;
    const same = (Object.keys(rest) as (keyof typeof rest)[]).every(
      (part) => part === 'diagnostics' || rest[part] === mesh[part],
    );
    if (!same || before.size !== mesh.endpoints.size) return undefined;
    return [...mesh.endpoints].flatMap(([service, endpoints]) => (before.get(service) === endpoints ? [] : [service]));
  }

  /** The common change, at a cost that does not grow with what else there is. */
  #translateEndpoints(mesh: Mesh, host: Host, calling: HostCalling, changed: readonly string[]): Resources {
    for (const namespace of this.#views.keys()) this.#look(mesh, calling, namespace);
    this.#units.resume();
    for (const service of changed) this.#clusters.remake(this.#units, mesh, host, calling.apart, service);
    return this.#units.finish();
  }

  /** The view of a namespace's calls, with the memos that it had before. */
  #view(mesh: Mesh, calling: HostCalling, namespace: string, before: ReadonlyMap<string, MeshView>): MeshView {
    const known = this.#views.get(namespace);
    if (known !== undefined) return known;
    const view = before.get(namespace) ?? new MeshView(namespace);
    this.#views.set(namespace, view);
    this.#look(mesh, calling, namespace);
    return view;
  }

  #look(mesh: Mesh, { home }: HostCalling, namespace: string): void {
    this.#views.get(namespace)?.look(mesh, namespace === home ? undefined : this.#views.get(home));
  }

  #inbound(mesh: Mesh, host: Host, workload: Workload): void {
    const { inbound } = workload;
    if (inbound === undefined) return;
    const { config } = mesh;
    const { port } = inbound.listen;
    // Two workloads may have one port at two addresses; the host then tells them apart.
    const shared = host.workloads.filter((other) => other.inbound?.listen.port === port).length > 1;
    const cluster = `${inboundClusterName(port)}${shared ? workload.serviceHost : ''}`;
    if (workload.mode === 'observe') return this.#observedInbound(mesh, workload, inbound, cluster);
    this.#units.make('clusters', cluster, [workload, config], () => inboundCluster(cluster, workload, inbound, config));
    const demanded = mtlsMode(mesh.peerAuthentications, workload, port, config.rootNamespace);
    // Chains for TLS would wait for a certificate that never comes. STRICT still lets nobody in.
    const mode = demanded === 'PERMISSIVE' && host.withoutCertificates === true ? 'DISABLE' : demanded;
    this.#units.make('listeners', listenerName(inbound.listen), [workload, config, mode, cluster], () =>
      inboundListener({ workload, inbound, cluster, mode, config }),
    );
  }

  #observedInbound(mesh: Mesh, workload: Workload, inbound: InboundPort, cluster: string): void {
    const { accessLogFile } = mesh.config;
    this.#units.make('clusters', cluster, [workload, 'observe'], () =>
      observeInboundCluster(cluster, workload, inbound),
    );
    this.#units.make('listeners', listenerName(inbound.listen), [workload, accessLogFile, 'observe', cluster], () =>
      observeInboundListener({ inbound, cluster, accessLogFile }),
    );
  }

  /** The names of services called by name. */
  #dns(mesh: Mesh, host: Host): void {
    const { dns } = host;
    if (dns === undefined) return;
    const table = dnsTable(mesh.services, mesh.config, host);
    const inputs = [listenerName(dns.listen), JSON.stringify([...table])];
    this.#units.make('listeners', dnsListenerName(dns.listen), inputs, () => dnsListener(dns.listen, table));
  }

  #upstream(mesh: Mesh, calling: HostCalling, upstream: Upstream, who: Calling, view: MeshView): void {
    const target = upstreamTarget(upstream, view.service(upstream.serviceHost));
    if (target.kind === 'ambiguous') return;
    if (upstream.mode === 'observe' && target.kind === 'known') {
      const { accessLogFile } = mesh.config;
      const cluster = this.#clusters.addObserved(view, { ...target, subset: undefined });
      const kind = protocolKind(target.port.protocol);
      const address = upstream.listen;
      const inputs = [listenerName(address), 'observe', kind, cluster, accessLogFile];
      this.#units.make('listeners', listenerName(address), inputs, () =>
        observeOutboundListener({ address, kind, cluster, accessLogFile }),
      );
      return;
    }
    const calls = this.#calls(mesh, calling, upstream.serviceHost, target, who, view);
    const { listen } = upstream;
    const { kind, cluster, policy, caller, accessLogFile } = calls;
    const inputs = [listenerName(listen), calls.routeConfig, kind, cluster, policy, caller, accessLogFile];
    this.#units.make('listeners', listenerName(listen), inputs, () => outboundListener(listen, calls));
  }

  /** What becomes of the calls of a service's port, with the clusters and route configurations for it. */
  #calls(
    mesh: Mesh,
    calling: HostCalling,
    serviceHost: string,
    target: Exclude<UpstreamTarget, { kind: 'ambiguous' }>,
    who: Calling,
    view: MeshView,
  ): OutboundCalls {
    const port = target.kind === 'unknown' ? target.port : target.port.number;
    const common = {
      routeConfig: view.routeConfigName(serviceHost, port),
      caller: calling.apart ? callerState(who) : undefined,
      accessLogFile: mesh.config.accessLogFile,
    };
    if (target.kind === 'unknown') {
      const direct = unknownDestination(serviceHost, port, undefined);
      this.#routes(view, serviceHost, port, undefined, direct);
      return { ...common, kind: 'auto', cluster: direct.cluster, policy: NO_BLOCKS };
    }
    const { service } = target;
    const kind: ProtocolKind = protocolKind(target.port.protocol);
    const direct = view.destination({ host: service.host, subset: undefined, port }, port);
    const whole: Target = { service, port: target.port, subset: undefined };
    this.#clusters.add(view, whole, who);
    const policy: TrafficPolicyBlocks = view.blocks(whole);
    if (kind !== 'tcp')
      for (const destination of this.#routes(view, service.host, port, view.virtualService(service), direct))
        if (destination.target !== undefined) this.#clusters.add(view, destination.target, who);
    return { ...common, kind, cluster: direct.cluster, policy };
  }

  /** The route configuration; returns all that its VirtualService names, unused weights included. */
  #routes(
    view: MeshView,
    host: string,
    port: number,
    virtualService: VirtualService | undefined,
    direct: ResolvedDestination,
  ): readonly ResolvedDestination[] {
    const name = view.routeConfigName(host, port);
    const destinations = virtualService === undefined ? [] : view.destinations(virtualService, port, name);
    const all = destinations.flat();
    const inputs = [
      virtualService,
      direct.cluster,
      direct.hash,
      ...all.flatMap(({ cluster, hash }) => [cluster, hash]),
    ];
    this.#units.make('routeConfigs', name, inputs, () =>
      routeConfig({ name, host, port, virtualService, direct, destinations }),
    );
    return all;
  }
}
