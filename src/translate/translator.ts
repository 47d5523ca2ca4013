/** The whole of translation: which units there are, what each is built from, and what of the last call still holds. */

import { errorMessage } from '../lib/errors.ts';
import type { TrafficPolicyBlocks } from '../model/destination-rule.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Host, Upstream, Workload } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import type { Endpoint } from '../model/service.ts';
import type { VirtualService } from '../model/virtual-service.ts';
import type { Resource, Resources, TypeUrl } from '../xds/resource.ts';
import { clientNamespace } from './client-namespace.ts';
import type { ResolvedDestination, Target } from './destination.ts';
import { inboundCluster } from './inbound-cluster.ts';
import { inboundListener } from './inbound-listener.ts';
import { encodeLoadAssignment } from './load-assignment.ts';
import { Memo } from './memo.ts';
import { MeshView } from './mesh-view.ts';
import { inboundClusterName, listenerName, outboundClusterName, routeConfigName } from './names.ts';
import { loadAssignmentSpec, type OutboundClusterSpec, outboundCluster } from './outbound-cluster.ts';
import { outboundListener } from './outbound-listener.ts';
import { mtlsMode } from './peer-authentication.ts';
import { type ProtocolKind, protocolKind } from './protocol-kind.ts';
import { routeConfig, unknownDestination } from './route-config.ts';
import { subsetMembers } from './subset-members.ts';
import { NO_BLOCKS } from './traffic-policy.ts';
import { CLUSTER, LISTENER, LOAD_ASSIGNMENT, ROUTE_CONFIG } from './type-urls.ts';
import { upstreamTarget } from './upstream-target.ts';

/** How many units were built since the translator exists. */
export interface Recomputed {
  readonly clusters: number;
  readonly loadAssignments: number;
  readonly listeners: number;
  readonly routeConfigs: number;
}

type ByName = ReadonlyMap<string, Resource>;
type Kind = 'clusters' | 'loadAssignments' | 'listeners' | 'routeConfigs';

const TYPE_OF: Readonly<Record<Kind, TypeUrl>> = {
  clusters: CLUSTER,
  loadAssignments: LOAD_ASSIGNMENT,
  listeners: LISTENER,
  routeConfigs: ROUTE_CONFIG,
};

const LABELS: Readonly<Record<Kind, string>> = {
  clusters: 'cluster',
  loadAssignments: 'endpoints of',
  listeners: 'listener',
  routeConfigs: 'routes',
};

/** In the order in which Envoy wants them: what is referred to before what refers to it. */
const KINDS = ['clusters', 'loadAssignments', 'listeners', 'routeConfigs'] as const satisfies readonly Kind[];

const NO_ENDPOINTS: readonly Endpoint[] = [];

function sameBytes(a: Resource | undefined, b: Resource | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.name === b.name && a.value.length === b.value.length && a.value.every((byte, i) => byte === b.value[i]);
}

/** Sorted by name; the map of the last call if it holds the same objects. */
function share(last: ByName | undefined, resources: ReadonlyMap<string, Resource>): ByName {
  if (resources === last) return last;
  const same = last?.size === resources.size && [...resources].every(([name, value]) => last.get(name) === value);
  if (same && last !== undefined) return last;
  return new Map([...resources].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Makes the resources of one host's Envoy. Keeps those of the last call: what did not change is the same object. */
export class Translator {
  readonly #view = new MeshView();
  readonly #memos = {
    clusters: new Memo<Resource | undefined>(sameBytes),
    loadAssignments: new Memo<Resource | undefined>(sameBytes),
    listeners: new Memo<Resource | undefined>(sameBytes),
    routeConfigs: new Memo<Resource | undefined>(sameBytes),
  };
  readonly #members = new Memo<readonly Endpoint[]>();
  #last: Resources | undefined;
  #made: Record<Kind, Map<string, Resource>> = emptyKinds();
  /** What the last translation was made from. */
  #basis: { readonly mesh: Mesh; readonly host: Host } | undefined;
  /** The targets of the last whole translation, by the service whose endpoints they hold. */
  #targets = new Map<string, Target[]>();
  #failures: Diagnostic[] = [];

  get recomputed(): Recomputed {
    const { clusters, loadAssignments, listeners, routeConfigs } = this.#memos;
    return {
      clusters: clusters.recomputed,
      loadAssignments: loadAssignments.recomputed,
      listeners: listeners.recomputed,
      routeConfigs: routeConfigs.recomputed,
    };
  }

  /** What the last translation could not encode, and therefore kept from the one before or left out. */
  get failures(): readonly Diagnostic[] {
    return this.#failures;
  }

  /** The clusters, load assignments, listeners and route configurations of `host`; secrets are not among them. */
  translate(mesh: Mesh, host: Host): Resources {
    const changed = this.#endpointsAlone(mesh, host);
    this.#basis = { mesh, host };
    if (changed !== undefined) return this.#translateEndpoints(mesh, host, changed);
    this.#made = emptyKinds();
    this.#targets = new Map();
    this.#failures = [];
    this.#view.look(mesh, clientNamespace(host));
    for (const workload of host.workloads) this.#inbound(mesh, host, workload);
    for (const upstream of host.upstreams) this.#upstream(mesh, host, upstream);
    this.#view.sweep();
    this.#members.sweep();
    for (const memo of Object.values(this.#memos)) memo.sweep();
    return this.#finish();
  }

  /** The services whose endpoints are others than last time, or undefined when anything else is another as well. */
  #endpointsAlone(mesh: Mesh, host: Host): readonly string[] | undefined {
    const basis = this.#basis;
    if (basis?.host !== host || this.#failures.length > 0) return undefined;
    const { endpoints: before, ...rest } = basis.mesh;
    const same = (Object.keys(rest) as (keyof typeof rest)[]).every(
      (part) => part === 'diagnostics' || rest[part] === mesh[part],
    );
    if (!same || before.size !== mesh.endpoints.size) return undefined;
    return [...mesh.endpoints].flatMap(([service, endpoints]) => (before.get(service) === endpoints ? [] : [service]));
  }

  /** The common change, at a cost that does not grow with what else there is. */
  #translateEndpoints(mesh: Mesh, host: Host, changed: readonly string[]): Resources {
    this.#view.look(mesh, clientNamespace(host));
    this.#made = emptyKinds();
    for (const kind of KINDS) this.#made[kind] = new Map(this.#last?.get(TYPE_OF[kind]));
    for (const service of changed) {
      for (const target of this.#targets.get(service) ?? []) {
        const name = outboundClusterName(target.port.number, target.subset, target.service.host);
        this.#made.clusters.delete(name);
        this.#made.loadAssignments.delete(name);
        this.#buildTarget(mesh, host, target, name);
      }
    }
    return this.#finish();
  }

  #finish(): Resources {
    const last = this.#last;
    const next = new Map(KINDS.map((kind) => [TYPE_OF[kind], share(last?.get(TYPE_OF[kind]), this.#made[kind])]));
    const same = last !== undefined && [...next].every(([type, byName]) => last.get(type) === byName);
    this.#last = same ? last : next;
    return this.#last;
  }

  #inbound(mesh: Mesh, host: Host, workload: Workload): void {
    const { inbound } = workload;
    if (inbound === undefined) return;
    const { config } = mesh;
    const { port } = inbound.listen;
    // Two workloads may have one port at two addresses; the host then tells them apart.
    const shared = host.workloads.filter((other) => other.inbound?.listen.port === port).length > 1;
    const cluster = `${inboundClusterName(port)}${shared ? workload.serviceHost : ''}`;
    this.#make('clusters', cluster, [workload, config], () => inboundCluster(cluster, workload, inbound, config));
    const demanded = mtlsMode(mesh.peerAuthentications, workload, port, config.rootNamespace);
    // Chains for TLS would wait for a certificate that never comes. STRICT still lets nobody in.
    const mode = demanded === 'PERMISSIVE' && host.withoutCertificates === true ? 'DISABLE' : demanded;
    this.#make('listeners', listenerName(inbound.listen), [workload, config, mode, cluster], () =>
      inboundListener({ workload, inbound, cluster, mode, config }),
    );
  }

  #upstream(mesh: Mesh, host: Host, upstream: Upstream): void {
    const target = upstreamTarget(upstream, this.#view.service(upstream.serviceHost));
    if (target.kind === 'ambiguous') return;
    if (target.kind === 'unknown') {
      this.#listener(mesh, upstream, target.port, 'auto', NO_BLOCKS);
      this.#routes(upstream.serviceHost, target.port, undefined, unknownDestination(upstream.serviceHost, target.port));
      return;
    }
    const { service, port } = target;
    const kind = protocolKind(port.protocol);
    const direct = this.#view.destination({ host: service.host, subset: undefined, port: port.number }, port.number);
    const whole: Target = { service, port, subset: undefined };
    this.#target(mesh, host, whole);
    this.#listener(mesh, upstream, port.number, kind, this.#view.blocks(whole));
    if (kind === 'tcp') return;
    const virtualService = this.#view.virtualService(service);
    for (const destination of this.#routes(service.host, port.number, virtualService, direct)) {
      if (destination.target !== undefined) this.#target(mesh, host, destination.target);
    }
  }

  #listener(mesh: Mesh, upstream: Upstream, port: number, kind: ProtocolKind, policy: TrafficPolicyBlocks): void {
    const { accessLogFile } = mesh.config;
    const { serviceHost: host, listen: address } = upstream;
    const inputs = [listenerName(address), host, port, kind, policy, accessLogFile];
    this.#make('listeners', listenerName(address), inputs, () =>
      outboundListener({ address, host, port, kind, policy, accessLogFile }),
    );
  }

  /** The route configuration; returns all that its VirtualService names, unused weights included. */
  #routes(
    host: string,
    port: number,
    virtualService: VirtualService | undefined,
    direct: ResolvedDestination,
  ): readonly ResolvedDestination[] {
    const name = routeConfigName(host, port);
    const destinations = virtualService === undefined ? [] : this.#view.destinations(virtualService, port, name);
    const all = destinations.flat();
    const inputs = [
      virtualService,
      direct.cluster,
      direct.hash,
      ...all.flatMap(({ cluster, hash }) => [cluster, hash]),
    ];
    this.#make('routeConfigs', name, inputs, () => routeConfig({ host, port, virtualService, direct, destinations }));
    return all;
  }

  /** The cluster and, unless Envoy resolves names itself, its endpoints. */
  #target(mesh: Mesh, host: Host, target: Target): void {
    const { service, port, subset } = target;
    const name = outboundClusterName(port.number, subset, service.host);
    if (this.#made.clusters.has(name)) return;
    const targets = this.#targets.get(service.host) ?? [];
    targets.push(target);
    this.#targets.set(service.host, targets);
    this.#buildTarget(mesh, host, target, name);
  }

  #buildTarget(mesh: Mesh, host: Host, target: Target, name: string): void {
    const { service, port, subset } = target;
    const { config } = mesh;
    const { callerIdentity: caller, locality } = host;
    const policy = this.#view.blocks(target);
    const spec: OutboundClusterSpec = { service, port, subset, policy, caller, locality, config };
    const pushed = service.resolution === 'EDS';
    const selector = subset === undefined ? undefined : this.#view.subset(service, subset)?.labels;
    const endpoints = mesh.endpoints.get(service.host) ?? NO_ENDPOINTS;
    const place = [locality.region, locality.zone, locality.subzone];
    const members = this.#members.get(name, [endpoints, selector, pushed], (previous) =>
      subsetMembers(endpoints, selector, pushed ? 'addresses' : 'names', previous),
    );
    const dnsEndpoints = pushed ? NO_ENDPOINTS : members;
    const made = this.#make('clusters', name, [service, port, policy, caller, config, dnsEndpoints, ...place], () =>
      outboundCluster(spec, dnsEndpoints),
    );
    if (made === undefined || !pushed) return;
    const assignment = loadAssignmentSpec(spec);
    const { marksTls, failoverFrom } = assignment;
    const inputs = [members, port.number, marksTls, ...(failoverFrom === undefined ? [] : place)];
    this.#make('loadAssignments', name, inputs, () => ({ name, value: encodeLoadAssignment(assignment, members) }));
  }

  /** The first unit of a name holds. */
  #make(kind: Kind, name: string, inputs: readonly unknown[], build: () => Resource | undefined): Resource | undefined {
    const known = this.#made[kind].get(name);
    if (known !== undefined) return known;
    const made = this.#lastGood(kind, name, () => this.#memos[kind].get(name, inputs, build));
    if (made !== undefined) this.#made[kind].set(name, made);
    return made;
  }

  /** One unit that cannot be built must not take the others with it. */
  #lastGood(kind: Kind, name: string, build: () => Resource | undefined): Resource | undefined {
    try {
      return build();
    } catch (error) {
      const last = this.#last?.get(TYPE_OF[kind])?.get(name);
      this.#failures.push({
        code: 'TRY0405',
        severity: 'error',
        object: `${LABELS[kind]} ${name}`,
        message: `it cannot be encoded (${errorMessage(error)}); ${last === undefined ? 'it is left out' : 'its last good version stays'}`,
        remedy:
          'Look for a value out of range in the resources that it comes from, and report it: they should have been refused.',
      });
      return last;
    }
  }
}

function emptyKinds(): Record<Kind, Map<string, Resource>> {
  return { clusters: new Map(), loadAssignments: new Map(), listeners: new Map(), routeConfigs: new Map() };
}
