/** The clusters that the calls of this host need: who asks for which, and their endpoints. */
import type { Host } from '../../model/host.ts';
import type { Mesh } from '../../model/mesh.ts';
import type { Endpoint, ServicePort } from '../../model/service.ts';
import { withoutTls } from '../gateway/gateway-service.ts';
import { Memo } from '../memo.ts';
import { observedClusterName, sniName } from '../names.ts';
import { observedAssignment, observeOutboundCluster } from '../observe/observe-cluster.ts';
import type { ResourceUnits } from '../resource-units.ts';
import { useCertificateFiles, useRootFiles } from '../tls/file-secrets.ts';
import type { Calling } from '../view/calling.ts';
import type { Target } from '../view/destination.ts';
import type { MeshView } from '../view/mesh-view.ts';
import { type ClusterCallers, callerState, callersKey, clusterCallers } from './cluster-callers.ts';
import { encodeLoadAssignment } from './load-assignment.ts';
import { spreadKey } from './locality-spread.ts';
import {
  loadAssignmentSpec,
  type OutboundClusterSpec,
  outboundCluster,
  ownFiles,
  resolutionOf,
} from './outbound-cluster.ts';
import { subsetMembers } from './subset-members.ts';

const NO_ENDPOINTS: readonly Endpoint[] = [];

/** One cluster, whose name `view` made. */
interface Unit {
  readonly name: string;
  readonly target: Target;
  readonly view: MeshView;
  /** Whether its callers are in mode `observe`: plain text. */
  readonly observed: boolean;
  /** Who alone uses it, where Envoy itself calls on somebody's behalf. */
  readonly own?: Calling;
}

/** What a part of the host uses. */
export interface RecordedClusters {
  /** The hosts of services by the names of their clusters. */
  readonly hosts: ReadonlyMap<string, string>;
  /** Who calls, by the host of the service. */
  readonly calling: ReadonlyMap<string, Calling>;
}

/** Somebody who calls a service, and how many parts of the host make it do so. */
interface ServiceCaller {
  readonly calling: Calling;
  users: number;
}

export class OutboundClusters {
  readonly #members = new Memo<readonly Endpoint[]>();
  readonly #grpcPorts = new WeakMap<ServicePort, ServicePort>();
  #units = new Map<string, Unit>();
  /** The same, by the service whose endpoints they hold. */
  #byService = new Map<string, Unit[]>();
  /**
   * Who calls a service, each once. All of its clusters have all of their certificates: a rule for the callers of one
   * namespace must not change, and thereby drain, the cluster of the others.
   */
  #calling = new Map<string, Map<string, ServiceCaller>>();
  /** The callers of services as they were when clusters were last made, of those that may be others now. */
  readonly #callersBefore = new Map<string, string>();

  /** How many parts of the host use a cluster; of those that something else uses, without an end. */
  #users = new Map<string, number>();
  /** What the part that is recorded uses. */
  #recorded: { readonly hosts: Map<string, string>; readonly calling: Map<string, Calling> } | undefined;

  /** Begins a translation in which nobody calls anything. */
  begin(): void {
    this.#users = new Map();
    this.#units = new Map();
    this.#byService = new Map();
    this.#calling = new Map();
  }

  /** Says that `calling` may come to a target. */
  add(view: MeshView, target: Target, calling: Calling): void {
    this.#unit(view.clusterName(target), target, view, false);
    const { host } = target.service;
    if (this.#recorded === undefined) this.#count(host, calling, Number.POSITIVE_INFINITY);
    else this.#recorded.calling.set(host, calling);
  }

  /** Counts the parts by which `calling` comes to a service. */
  #count(host: string, calling: Calling, users: number): void {
    const callers = this.#calling.get(host) ?? new Map<string, ServiceCaller>();
    this.#calling.set(host, callers);
    const state = callerState(calling);
    const known = callers.get(state);
    if (known !== undefined && known.users + users > 0) {
      known.users += users;
      return;
    }
    if (!this.#callersBefore.has(host)) this.#callersBefore.set(host, [...callers.keys()].toSorted().join(' '));
    if (known === undefined) callers.set(state, { calling, users });
    else callers.delete(state);
  }

  /** Says that Envoy itself calls a target as `calling`, by gRPC, over a cluster of this name that is for that alone. */
  addOwn(name: string, view: MeshView, target: Target, calling: Calling): void {
    this.#unit(name, { ...target, port: this.#grpcPort(target.port) }, view, false, calling);
  }

  /** Services may leave the protocol of a port to detection, which Envoy's own calls cannot. */
  #grpcPort(port: ServicePort): ServicePort {
    const known = this.#grpcPorts.get(port);
    if (known !== undefined) return known;
    const made: ServicePort = { ...port, protocol: 'GRPC' };
    this.#grpcPorts.set(port, made);
    return made;
  }

  /** Says that somebody comes to a port in mode `observe`; returns the name of its cluster. */
  addObserved(view: MeshView, target: Target): string {
    return this.#unit(observedClusterName(target.port.number, target.service.host), target, view, true).name;
  }

  /** Says that a gateway passes bytes on to a target as they are, its TLS included; returns the name of its cluster. */
  addPassed(view: MeshView, target: Target): string {
    const { service, port, subset } = target;
    const name = sniName(port.number, subset, service.host);
    return this.#unit(name, { ...target, service: withoutTls(service) }, view, true).name;
  }

  /** Remembers what `part` adds. Of a service one part has one caller. */
  record(part: () => void): RecordedClusters {
    const hosts = new Map<string, string>();
    const calling = new Map<string, Calling>();
    this.#recorded = { hosts, calling };
    try {
      part();
    } finally {
      this.#recorded = undefined;
    }
    for (const name of hosts.keys()) this.#users.set(name, (this.#users.get(name) ?? 0) + 1);
    for (const [host, who] of calling) this.#count(host, who, 1);
    return { hosts, calling };
  }

  /** A part is no more, or is about to be recorded again. */
  release({ hosts, calling }: RecordedClusters): void {
    for (const name of hosts.keys()) this.#users.set(name, (this.#users.get(name) ?? 0) - 1);
    for (const [host, who] of calling) this.#count(host, who, -1);
  }

  /** The clusters of services that have other callers than when they were made. */
  #calledByOthers(): readonly string[] {
    const names = [...this.#callersBefore].flatMap(([host, before]) => {
      const now = [...(this.#calling.get(host)?.keys() ?? [])].toSorted().join(' ');
      return now === before ? [] : (this.#byService.get(host) ?? []).map(({ name }) => name);
    });
    this.#callersBefore.clear();
    return names;
  }

  /** Makes anew those of them that have users, and what has other callers; forgets the others. */
  settle(units: ResourceUnits, mesh: Mesh, host: Host, apart: boolean, names: Iterable<string>): void {
    for (const name of new Set([...names, ...this.#calledByOthers()])) {
      const unit = this.#units.get(name);
      if (unit === undefined) continue;
      units.delete('clusters', name);
      units.delete('loadAssignments', name);
      if ((this.#users.get(name) ?? 0) > 0) {
        this.#make(units, mesh, host, apart, unit);
        continue;
      }
      this.#units.delete(name);
      this.#users.delete(name);
      const { host: service } = unit.target.service;
      const others = (this.#byService.get(service) ?? []).filter((one) => one !== unit);
      if (others.length > 0) this.#byService.set(service, others);
      else {
        this.#byService.delete(service);
      }
    }
  }

  #unit(name: string, target: Target, view: MeshView, observed: boolean, own?: Calling): Unit {
    const isUsed = (this.#users.get(name) ?? 0) > 0 || this.#recorded?.hosts.has(name) === true;
    if (this.#recorded === undefined) this.#users.set(name, Number.POSITIVE_INFINITY);
    else this.#recorded.hosts.set(name, target.service.host);
    const known = this.#units.get(name);
    // One that nobody uses any more may be of a service as it was before.
    if (known !== undefined && isUsed) return known;
    const unit: Unit = { name, target, view, observed, ...(own !== undefined && { own }) };
    this.#units.set(name, unit);
    const others = (this.#byService.get(target.service.host) ?? []).filter((one) => one !== known);
    this.#byService.set(target.service.host, [...others, unit]);
    return unit;
  }

  /** Makes all clusters that were added. @param apart whether the host's callers must be told apart */
  make(units: ResourceUnits, mesh: Mesh, host: Host, apart: boolean): void {
    this.#callersBefore.clear();
    for (const unit of this.#units.values()) this.#make(units, mesh, host, apart, unit);
    this.#members.sweep();
  }

  /** Makes those of one service anew. */
  remake(units: ResourceUnits, mesh: Mesh, host: Host, apart: boolean, serviceHost: string): void {
    for (const unit of this.#byService.get(serviceHost) ?? []) {
      units.delete('clusters', unit.name);
      units.delete('loadAssignments', unit.name);
      this.#make(units, mesh, host, apart, unit);
    }
  }

  #callers(serviceHost: string): readonly Calling[] {
    return [...(this.#calling.get(serviceHost)?.values() ?? [])].map(({ calling }) => calling);
  }

  #make(units: ResourceUnits, mesh: Mesh, host: Host, apart: boolean, unit: Unit): void {
    const { name, target, view, observed } = unit;
    if (observed) return this.#makeObserved(units, mesh, name, target);
    const callers =
      unit.own === undefined
        ? clusterCallers(this.#callers(target.service.host), apart)
        : clusterCallers([unit.own], false);
    this.#makeMeshed(units, mesh, host, { name, target, view, callers });
  }

  #makeObserved(units: ResourceUnits, mesh: Mesh, name: string, { service, port }: Target): void {
    const pushed = service.resolution === 'EDS';
    const endpoints = mesh.endpoints.get(service.host) ?? NO_ENDPOINTS;
    const members = this.#members.get(name, [endpoints, pushed], (previous) =>
      subsetMembers(endpoints, undefined, pushed ? 'addresses' : 'names', previous),
    );
    const dnsEndpoints = pushed ? NO_ENDPOINTS : members;
    const made = units.make('clusters', name, [service, port, dnsEndpoints], () =>
      observeOutboundCluster(service, port, dnsEndpoints, name),
    );
    if (made === undefined || !pushed) return;
    units.make('loadAssignments', name, [members, port.number], () => ({
      name,
      value: encodeLoadAssignment(observedAssignment(name, port), members),
    }));
  }

  /** The cluster and, unless Envoy resolves names itself, its endpoints. */
  #makeMeshed(
    units: ResourceUnits,
    mesh: Mesh,
    host: Host,
    unit: { readonly name: string; readonly target: Target; readonly view: MeshView; readonly callers: ClusterCallers },
  ): void {
    const { name, target, view, callers } = unit;
    const { service, port, subset } = target;
    const { config } = mesh;
    const policy = view.blocks(target);
    const rule = view.rule(service);
    const { labels } = view.client;
    const spec: OutboundClusterSpec = { name, service, port, subset, policy, rule, callers, labels, host, config };
    const pushed = resolutionOf(service, policy) === 'EDS';
    const selector = subset === undefined ? undefined : view.subset(service, subset)?.labels;
    const endpoints = mesh.endpoints.get(service.host) ?? NO_ENDPOINTS;
    const assignment = loadAssignmentSpec(spec);
    const spread = spreadKey(assignment.spread);
    const members = this.#members.get(name, [endpoints, selector, pushed], (previous) =>
      subsetMembers(endpoints, selector, pushed ? 'addresses' : 'names', previous),
    );
    const dnsEndpoints = pushed ? NO_ENDPOINTS : members;
    const files = ownFiles(spec);
    if (files?.certificate !== undefined) useCertificateFiles(units, files.certificate);
    if (files?.roots !== undefined) useRootFiles(units, files.roots);
    const read = [host.credentialsFolder, host.systemRootsFile];
    const inputs = [service, port, policy, rule, callersKey(callers), config, dnsEndpoints, spread, ...read];
    const made = units.make('clusters', name, inputs, () => outboundCluster(spec, dnsEndpoints));
    if (made === undefined || !pushed) return;
    const assignmentInputs = [members, port.number, assignment.marksTls, spread];
    units.make('loadAssignments', name, assignmentInputs, () => ({
      name,
      value: encodeLoadAssignment(assignment, members),
    }));
  }
}
