/**
 * Configuration, resources and catalogue → one immutable `Mesh` that shares with the one before everything that did not
 * change: an endpoint's change touches one service, one list of endpoints and the map of them.
 */
import { compareDiagnostics, type Diagnostic } from '../model/diagnostic.ts';
import { consulNameOf, type ServiceName, serviceHosts, serviceOfHost } from '../model/host-names.ts';
import type { Mesh } from '../model/mesh.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { withMeshSettings } from '../model/mesh-settings.ts';
import type { Endpoint, Service } from '../model/service.ts';
import type { VirtualService } from '../model/virtual-service.ts';
import type { CatalogueState } from './catalogue-state.ts';
import { mergeDelegates } from './delegates.ts';
import { knownTls, withoutDisabledMtls } from './disabled-mtls.ts';
import { buildEntryServices, type EntryServices } from './entry-services.ts';
import { type HostResolver, hostResolver } from './host-resolution.ts';
import { checkMeshSettings } from './mesh-settings-check.ts';
import { checkRateLimits } from './rate-limit-check.ts';
import { checkReferences, type HostKnowledge } from './reference-check.ts';
import type { RegisteredService } from './registered-service.ts';
import { buildRegisteredServices, indexRecords, type RecordIndex } from './registered-services.ts';
import type { ResourceSet } from './resource-set.ts';
import { sharedList, sharedMap } from './sharing.ts';

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
}

/** What the next mesh takes over from the one before. */
interface Memo {
  readonly index: RecordIndex;
  readonly resolver: HostResolver;
  readonly registered: ReadonlyMap<string, RegisteredService>;
  readonly entries: EntryServices;
  readonly clientNamespaces: readonly string[] | undefined;
  readonly resources: ResourceSet;
  /** With canonical hosts, before delegates are merged. */
  readonly virtualServices: readonly VirtualService[];
  readonly references: readonly Diagnostic[];
  /** Consul names of which the catalogue says that there are none. */
  readonly absent: string;
  /** Diagnostics before they were sorted. */
  readonly unsorted: readonly Diagnostic[];
}

const MEMOS = new WeakMap<Mesh, Memo>();

function sameConfig(previous: MeshConfig | undefined, next: MeshConfig): MeshConfig {
  return previous !== undefined && JSON.stringify(previous) === JSON.stringify(next) ? previous : next;
}

/**
 * The hosts to give to a later run as `seenMeshed`: once a Consul service was meshed, plain instances that turn up under
 * its name are not believed, whatever became of the others. A `Service` record with `tls: migrating` ends that.
 */
export function meshedHosts(mesh: Mesh, seenBefore?: ReadonlySet<string>): ReadonlySet<string> {
  const hosts = new Set(seenBefore);
  for (const service of mesh.services.values()) {
    const { host, consulName } = service;
    const tls = knownTls(service);
    if (consulName === undefined) continue;
    if (tls === 'required') hosts.add(host);
    if (tls === 'migrating') hosts.delete(host);
  }
  const same = seenBefore?.size === hosts.size && [...hosts].every((host) => seenBefore.has(host));
  return same ? seenBefore : hosts;
}

interface Joined {
  readonly services: Map<string, Service>;
  readonly endpoints: Map<string, readonly Endpoint[]>;
  readonly diagnostics: readonly Diagnostic[];
}

/** The catalogue first: where it and a ServiceEntry have one host, the catalogue's service holds, as in Istio. */
function join(registered: ReadonlyMap<string, RegisteredService>, entries: EntryServices): Joined {
  const found: (readonly [string, Service, readonly Endpoint[]])[] = [];
  const diagnostics: Diagnostic[] = [];
  const holders = new Map<string, Service>();
  for (const one of registered.values()) {
    const { service, endpoints } = one;
    const holder = holders.get(service.host);
    if (holder === undefined) {
      holders.set(service.host, service);
      found.push([service.host, service, endpoints]);
      diagnostics.push(...one.diagnostics);
      continue;
    }
    diagnostics.push({
      code: 'TRY0302',
      severity: 'error',
      object: `service ${service.namespace}/${service.name}`,
      message: `its host ${service.host} is that of ${holder.namespace}/${holder.name} already`,
      remedy: 'Use {service} and {namespace} in the first template of serviceHosts.',
    });
  }
  for (const [host, { service, endpoints, inputs }] of entries.byHost) {
    if (service === undefined) continue;
    if (!holders.has(host)) {
      found.push([host, service, endpoints]);
      continue;
    }
    const { meta } = inputs.entry;
    diagnostics.push({
      code: 'TRY0302',
      severity: 'warning',
      object: `ServiceEntry ${meta.namespace}/${meta.name}`,
      source: meta.source,
      message: `the host ${host} is that of a service in Consul, which holds`,
      remedy: 'Remove the host from the ServiceEntry, or deregister the service.',
    });
  }
  const sorted = found.sort(([a], [b]) => (a < b ? -1 : Number(a > b)));
  return {
    services: new Map(sorted.map(([host, service]) => [host, service])),
    endpoints: new Map(sorted.map(([host, , endpoints]) => [host, endpoints])),
    diagnostics,
  };
}

/**
 * The mesh of these inputs. Pure but for remembering, with the mesh that it returns, what the next call can take over:
 * `previous` must be a mesh that this function made, or undefined. Equal inputs give `previous` itself.
 */
export function buildMesh(previous: Mesh | undefined, inputs: MeshInputs): Mesh {
  const { resources, catalogue, clientNamespaces } = inputs;
  const memo = previous === undefined ? undefined : MEMOS.get(previous);
  const config = sameConfig(previous?.config, withMeshSettings(inputs.config, resources.meshSettings));
  const index = indexRecords(config, resources.serviceRecords, memo?.index);
  const resolver = hostResolver(config, resources.serviceRecords, memo?.resolver);

  const sameEntries =
    memo?.index === index &&
    memo.resources.serviceEntries === resources.serviceEntries &&
    memo.resources.workloadEntries === resources.workloadEntries &&
    JSON.stringify(memo.clientNamespaces) === JSON.stringify(clientNamespaces);
  const entries = sameEntries
    ? memo.entries
    : buildEntryServices(
        config,
        resources.serviceEntries,
        resources.workloadEntries,
        index.byHost,
        clientNamespaces,
        memo?.entries,
      );

  const local = new Set(inputs.localServices.map((service) => serviceHosts(config, service)[0]));
  const isKnownMeshed = (host: string): boolean => {
    const before = previous?.services.get(host);
    return (
      local.has(host) ||
      inputs.seenMeshed?.has(host) === true ||
      (before?.consulName !== undefined && knownTls(before) === 'required') ||
      (entries.byHost.get(host)?.service?.tls ?? 'plain') !== 'plain'
    );
  };
  const registered =
    catalogue === undefined
      ? new Map<string, RegisteredService>()
      : buildRegisteredServices(index, catalogue, isKnownMeshed, memo?.registered);

  const joined = join(registered, entries);
  const services = sharedMap(
    previous?.services,
    withoutDisabledMtls(
      joined.services,
      resources.peerAuthentications,
      config.rootNamespace,
      (host) => index.byHost.get(host)?.tls !== undefined,
    ),
  );
  const written = sharedList(
    memo?.virtualServices,
    resources.virtualServices.map((virtualService) => resolver.virtualService(virtualService)),
  );
  const merged = mergeDelegates(written);
  const virtualServices = sharedList(previous?.virtualServices, merged.virtualServices);
  const destinationRules = sharedList(
    previous?.destinationRules,
    resources.destinationRules.map((rule) => resolver.destinationRule(rule)),
  );

  const absentNames = [...registered.values()]
    .filter(({ inputs: { instances, record } }) => instances?.length === 0 && record === undefined)
    .map(({ service }) => service.host);
  const absent = absentNames.join(' ');
  const lookUp = (host: string): HostKnowledge => {
    const service = services.get(host);
    if (service !== undefined) return absentNames.includes(host) ? 'missing' : service;
    // A service that this host does not call is not followed, so that nothing is known of it.
    const named = catalogue === undefined ? undefined : serviceOfHost(config, host);
    return named !== undefined && catalogue?.services.has(consulNameOf(named)) !== true ? 'unknown' : 'missing';
  };
  const sameReferences =
    memo !== undefined &&
    services === previous?.services &&
    written === memo.virtualServices &&
    destinationRules === previous.destinationRules &&
    absent === memo.absent;
  const references = sameReferences ? memo.references : checkReferences(written, destinationRules, lookUp);

  const rateLimits = sharedList(
    previous?.rateLimits,
    resources.rateLimits.map((rateLimit) => resolver.rateLimit(rateLimit)),
  );
  const unsorted = [
    ...resources.diagnostics,
    ...(catalogue?.diagnostics ?? []),
    ...index.diagnostics,
    ...entries.diagnostics,
    ...joined.diagnostics,
    ...merged.diagnostics,
    ...references,
    ...checkRateLimits(config, rateLimits),
    ...checkMeshSettings(config, resources.meshSettings),
  ];
  const sameDiagnostics = memo !== undefined && JSON.stringify(memo.unsorted) === JSON.stringify(unsorted);
  const mesh: Mesh = {
    config,
    services,
    endpoints: sharedMap(previous?.endpoints, joined.endpoints),
    virtualServices,
    destinationRules,
    peerAuthentications: resources.peerAuthentications,
    gateways: resources.gateways,
    sidecars: sharedList(
      previous?.sidecars,
      resources.sidecars.map((sidecar) => resolver.sidecar(sidecar)),
    ),
    rateLimits,
    envoyFilters: resources.envoyFilters,
    proxyConfigs: resources.proxyConfigs,
    workloadGroups: resources.workloadGroups,
    diagnostics:
      sameDiagnostics && previous !== undefined ? previous.diagnostics : unsorted.toSorted(compareDiagnostics),
  };
  const changed =
    previous === undefined || (Object.keys(mesh) as (keyof Mesh)[]).some((part) => mesh[part] !== previous[part]);
  const result = changed ? mesh : previous;
  MEMOS.set(result, {
    index,
    resolver,
    registered,
    entries,
    clientNamespaces,
    resources,
    virtualServices: written,
    references,
    absent,
    unsorted,
  });
  return result;
}
