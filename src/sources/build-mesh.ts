/**
 * Configuration, resources and catalogue → one immutable `Mesh` that shares with the one before everything that did not
 * change: an endpoint's change touches one service, one list of endpoints and the map of them.
 */
import { compareDiagnostics, type Diagnostic } from '../model/diagnostic.ts';
import { consulNameOf, type ServiceName, serviceHosts, serviceOfHost } from '../model/host-names.ts';
import type { Mesh } from '../model/mesh.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { withMeshSettings } from '../model/mesh-settings.ts';
import type { Service } from '../model/service.ts';
import type { CatalogueState } from './catalogue-state.ts';
import { mergeDelegates, type WithoutDelegates } from './delegates.ts';
import { knownTls, withoutDisabledMtls } from './disabled-mtls.ts';
import { buildEntryServices, type EntryServices } from './entry-services.ts';
import { type HostResolver, hostResolver, renamedHosts } from './host-resolution.ts';
import { type JoinedServices, joinServices } from './joined-services.ts';
import { checkMeshSettings } from './mesh-settings-check.ts';
import { checkRateLimits } from './rate-limit-check.ts';
import { checkReferences, type HostKnowledge } from './reference-check.ts';
import {
  buildRegisteredServices,
  indexRecords,
  type RecordIndex,
  type RegisteredServices,
} from './registered-services.ts';
import type { ResourceSet } from './resource-set.ts';
import { sharedData, sharedList, sharedMap, sharedValue } from './sharing.ts';
import { type StageResults, stagesAfter } from './stages.ts';

const NONE: readonly Diagnostic[] = [];
const NOT_REGISTERED: RegisteredServices['byConsulName'] = new Map();

export interface MeshInputs {
  /** Of the host; a published MeshConfig stands in the place of its fields. */
  readonly config: MeshConfig;
  readonly resources: ResourceSet;
  /** Undefined: there is no Consul (`registry: files`). Before its first answer it is a state without services. */
  readonly catalogue: CatalogueState | undefined;
  /** The services that this host runs inside of the mesh, hence with mutual TLS. */
  readonly localServices: readonly ServiceName[];
  /** Canonical hosts that were meshed when last seen, from `meshedHosts` of an earlier run. */
  readonly seenMeshed?: ReadonlySet<string>;
  /** Namespaces of the workloads that call from here, for `exportTo` of ServiceEntries; undefined sees all. */
  readonly clientNamespaces?: readonly string[];
  /** Where two ServiceEntries have one host: the namespace whose own goes first; absent: that of the callers, if it is one. */
  readonly seenFrom?: string;
}

/** What the next mesh takes over from the one before. */
const RESULTS = new WeakMap<Mesh, StageResults>();

/** What became of the services of a mesh. */
const MESHED = new WeakMap<Mesh['services'], ReadonlySet<string>>();

/**
 * The hosts to give to a later run as `seenMeshed`: once a Consul service was meshed, plain instances that turn up under
 * its name are not believed, whatever became of the others. A `Service` record with `tls: migrating` ends that.
 */
export function meshedHosts({ services }: Mesh, seenBefore?: ReadonlySet<string>): ReadonlySet<string> {
  const known = MESHED.get(services);
  if (known !== undefined && known === seenBefore) return known;
  const hosts = new Set(seenBefore);
  for (const service of services.values()) {
    const { host, consulName } = service;
    const tls = knownTls(service);
    if (consulName === undefined) continue;
    if (tls === 'required') hosts.add(host);
    if (tls === 'migrating') hosts.delete(host);
  }
  const same = seenBefore?.size === hosts.size && [...hosts].every((host) => seenBefore.has(host));
  const result = same ? seenBefore : hosts;
  MESHED.set(services, result);
  return result;
}

/** Whether nobody may speak plain text for a host any more. */
function knownMeshed(
  inputs: MeshInputs,
  config: MeshConfig,
  services: Mesh['services'] | undefined,
  entries: EntryServices,
): (host: string) => boolean {
  const local = new Set(inputs.localServices.map((service) => serviceHosts(config, service)[0]));
  return (host) => {
    const before = services?.get(host);
    return (
      local.has(host) ||
      inputs.seenMeshed?.has(host) === true ||
      (before?.consulName !== undefined && knownTls(before) === 'required') ||
      (entries.byHost.get(host)?.service?.tls ?? 'plain') !== 'plain'
    );
  };
}

/** What is known of the hosts that resources name. */
function knowledge(
  config: MeshConfig,
  followed: ReadonlySet<string> | undefined,
  services: Mesh['services'],
  absent: ReadonlyMap<string, Service>,
): (host: string) => HostKnowledge {
  return (host) => {
    const service = services.get(host);
    if (service !== undefined) return absent.has(host) ? 'missing' : service;
    // A service that this host does not call is not followed, so that nothing is known of it.
    const named = followed === undefined ? undefined : serviceOfHost(config, host);
    return named !== undefined && followed?.has(consulNameOf(named)) !== true ? 'unknown' : 'missing';
  };
}

/** A list of resources with canonical hosts, or anything else made of each of them alone. */
function each<T>(list: readonly T[], make: (one: T) => T): (last: readonly T[] | undefined) => readonly T[] {
  return (last) => sharedList(last, list.map(make));
}

/**
 * The mesh of these inputs. Pure but for remembering, with the mesh that it returns, what the next call can take over:
 * `previous` must be a mesh that this function made, or undefined. Equal inputs give `previous` itself.
 */
export function buildMesh(previous: Mesh | undefined, inputs: MeshInputs): Mesh {
  const { resources, catalogue, seenMeshed } = inputs;
  const { meshSettings, peerAuthentications } = resources;
  const { stage, results } = stagesAfter(previous === undefined ? undefined : RESULTS.get(previous));
  const config = stage<MeshConfig>('configuration', [inputs.config, meshSettings], (last) =>
    sharedValue(last, withMeshSettings(inputs.config, meshSettings)),
  );
  const index = stage<RecordIndex>('records', [config, resources.serviceRecords], () =>
    indexRecords(config, resources.serviceRecords),
  );
  const renamed = stage<ReadonlyMap<string, string>>('renamed', [config, resources.serviceRecords], (last) =>
    sharedMap(last, renamedHosts(config, resources.serviceRecords)),
  );
  const resolver = stage<HostResolver>('hosts', [config, renamed], () => hostResolver(config, renamed));

  const clientNamespaces = stage('callers', [JSON.stringify(inputs.clientNamespaces)], () => inputs.clientNamespaces);
  const { serviceEntries, workloadEntries } = resources;
  const seenFrom = inputs.seenFrom ?? (clientNamespaces?.length === 1 ? clientNamespaces[0] : undefined);
  const ofEntries = [index, serviceEntries, workloadEntries, clientNamespaces, seenFrom];
  const entries = stage<EntryServices>('entries', ofEntries, (last) =>
    buildEntryServices(config, serviceEntries, workloadEntries, index.byHost, clientNamespaces, last, seenFrom),
  );
  const local = stage('local', [JSON.stringify(inputs.localServices)], () => inputs.localServices);
  const isKnownMeshed = stage('meshed', [config, local, seenMeshed, entries, previous?.services], () =>
    knownMeshed(inputs, config, previous?.services, entries),
  );
  const registered = stage<RegisteredServices | undefined>(
    'registered',
    [index, catalogue?.services, isKnownMeshed],
    (last) => catalogue && buildRegisteredServices(index, catalogue.services, isKnownMeshed, last),
  );
  const joined = stage<JoinedServices>('joined', [registered?.byConsulName, entries], (last) =>
    joinServices(registered?.byConsulName ?? NOT_REGISTERED, entries, last),
  );
  const services = stage<Mesh['services']>('services', [joined.services, peerAuthentications, index], (last) =>
    sharedMap(
      last,
      withoutDisabledMtls(
        joined.services,
        peerAuthentications,
        config.rootNamespace,
        (host) => index.byHost.get(host)?.tls !== undefined,
      ),
    ),
  );

  const written = stage(
    'written',
    [resources.virtualServices, resolver],
    each(resources.virtualServices, resolver.virtualService),
  );
  const merged = stage<WithoutDelegates>('merged', [written], (last) => {
    const { virtualServices, diagnostics } = mergeDelegates(written);
    return { virtualServices: sharedList(last?.virtualServices, virtualServices), diagnostics };
  });
  const rules = stage(
    'rules',
    [resources.destinationRules, resolver],
    each(resources.destinationRules, resolver.destinationRule),
  );
  const sidecars = stage('sidecars', [resources.sidecars, resolver], each(resources.sidecars, resolver.sidecar));
  const limits = stage('limits', [resources.rateLimits, resolver], each(resources.rateLimits, resolver.rateLimit));

  const lookUp = stage('knowledge', [config, registered?.followed, services, joined.absent], () =>
    knowledge(config, registered?.followed, services, joined.absent),
  );
  const issues: readonly (readonly Diagnostic[])[] = [
    resources.diagnostics,
    catalogue?.diagnostics ?? NONE,
    index.diagnostics,
    entries.diagnostics,
    joined.diagnostics,
    merged.diagnostics,
    stage('references', [written, rules, lookUp], () => checkReferences(written, rules, lookUp)),
    stage('checked limits', [config, limits], () => checkRateLimits(config, limits)),
    stage('checked settings', [config, meshSettings], () => checkMeshSettings(config, meshSettings)),
  ];
  const mesh: Mesh = {
    config,
    services,
    endpoints: joined.endpoints,
    virtualServices: merged.virtualServices,
    destinationRules: rules,
    peerAuthentications,
    gateways: resources.gateways,
    sidecars,
    rateLimits: limits,
    envoyFilters: resources.envoyFilters,
    proxyConfigs: resources.proxyConfigs,
    workloadGroups: resources.workloadGroups,
    diagnostics: stage<readonly Diagnostic[]>('diagnostics', issues, (last) =>
      sharedData(last, issues.flat().sort(compareDiagnostics)),
    ),
  };
  const changed =
    previous === undefined || (Object.keys(mesh) as (keyof Mesh)[]).some((part) => mesh[part] !== previous[part]);
  const result = changed ? mesh : previous;
  RESULTS.set(result, results);
  return result;
}
