/** The last stage of translation: EnvoyFilters patch what was made. */
import { type DescMessage, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { ClusterSchema } from '../../gen/envoy/config/cluster/v3/cluster_pb.ts';
import { TrafficDirection } from '../../gen/envoy/config/core/v3/base_pb.ts';
import { type Listener, ListenerSchema } from '../../gen/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '../../gen/envoy/config/route/v3/route_pb.ts';
import { errorMessage } from '../../lib/errors.ts';
import { sameBytes } from '../../lib/same-bytes.ts';
import type { Diagnostic } from '../../model/diagnostic.ts';
import type { EnvoyFilter, EnvoyPatch } from '../../model/envoy-filter.ts';
import type { Host } from '../../model/host.ts';
import { canonicalHost, DEFAULT_NAMESPACE } from '../../model/host-names.ts';
import type { Mesh } from '../../model/mesh.ts';
import type { Resource, Resources, TypeUrl } from '../../xds/resource.ts';
import type { Owner } from '../resource-units.ts';
import { CLUSTER, LISTENER, ROUTE_CONFIG } from '../type-urls.ts';
import type { Client } from '../view/calling.ts';
import { patchesFor } from './applicable.ts';
import { type CheckedFilters, checkFilters } from './checked-filters.ts';
import { addedClusters, type ClusterPatching, patchCluster } from './patch-cluster.ts';
import { addedListeners, patchListener } from './patch-listener.ts';
import { patchRouteConfiguration } from './patch-routes.ts';

type Workload = Pick<Client, 'namespace' | 'labels'>;

interface Patched {
  readonly patches: readonly EnvoyPatch[];
  /** Undefined: it was removed. */
  readonly result: Resource | undefined;
}

/** What one application of the stage goes by. */
interface Stage {
  readonly rootNamespace: string;
  readonly everybody: readonly Workload[];
  readonly owner: (type: TypeUrl, name: string) => Owner | 'nobody' | undefined;
  readonly clusters: ClusterPatching;
}

function serialised<Desc extends DescMessage>(
  name: string,
  schema: Desc,
  message: MessageShape<Desc>,
  original?: Resource,
): Resource {
  return { ...original, name, value: toBinary(schema, message) };
}

function contextOf({ trafficDirection }: Listener, owner: Owner | undefined): Owner['context'] {
  if (owner !== undefined) return owner.context;
  return trafficDirection === TrafficDirection.INBOUND ? 'SIDECAR_INBOUND' : 'SIDECAR_OUTBOUND';
}

/** Whether anybody on the host calls the mesh, besides its gateways. */
function callsItself({ workloads, upstreams, callers = [], namedUpstreams = [] }: Host): boolean {
  return workloads.length + upstreams.length + callers.length + namedUpstreams.length > 0;
}

/** Patches resource by resource, and remembers what became of each. */
export class PatchStage {
  #checked: { readonly of: Pick<Mesh, 'envoyFilters' | 'config'>; readonly filters: CheckedFilters } | undefined;
  #patches = new Map<string, readonly EnvoyPatch[]>();
  /** By the resource as it was made. */
  #known = new WeakMap<Resource, Patched>();
  /** What was last served, by type and name. */
  #last: Resources | undefined;
  #failures: Diagnostic[] = [];

  /** What is wrong with the filters, and what could not be patched. */
  get diagnostics(): readonly Diagnostic[] {
    return [...(this.#checked?.filters.diagnostics ?? []), ...this.#failures];
  }

  /** The resources as patched; `resources` itself where no filter holds. */
  apply(resources: Resources, mesh: Mesh, host: Host, owner: Stage['owner']): Resources {
    this.#failures = [];
    const { filters } = this.#check(mesh);
    if (filters.length === 0) {
      this.#last = undefined;
      return resources;
    }
    const roles = host.gateways ?? [];
    const workloads = [...host.workloads, ...roles].map(({ namespace, labels }) => ({ namespace, labels }));
    const stage: Stage = {
      rootNamespace: mesh.config.rootNamespace,
      everybody: workloads.length === 0 ? [{ namespace: DEFAULT_NAMESPACE, labels: {} }] : workloads,
      owner,
      clusters: {
        gateway: roles.length > 0,
        sidecar: roles.length === 0 || callsItself(host),
        canonical: (name) => canonicalHost(mesh.config, name, DEFAULT_NAMESPACE),
      },
    };
    const patched = new Map(
      [...resources].map(([type, byName]) => [type, this.#patchType(type, byName, filters, stage)] as const),
    );
    const same = this.#last !== undefined && [...patched].every(([type, byName]) => this.#last?.get(type) === byName);
    if (!same) this.#last = patched;
    return this.#last ?? patched;
  }

  #check(mesh: Mesh): CheckedFilters {
    const { envoyFilters, config } = mesh;
    const known = this.#checked;
    if (known?.of.envoyFilters === envoyFilters && known.of.config === config) return known.filters;
    const filters = checkFilters(mesh);
    this.#checked = { of: { envoyFilters, config }, filters };
    this.#patches = new Map();
    return filters;
  }

  /** The same array for the same workloads. */
  #patchesFor(
    filters: readonly EnvoyFilter[],
    workloads: readonly Workload[],
    rootNamespace: string,
  ): readonly EnvoyPatch[] {
    const key = JSON.stringify(workloads);
    const known = this.#patches.get(key);
    if (known !== undefined) return known;
    const patches = patchesFor(filters, rootNamespace, workloads);
    this.#patches.set(key, patches);
    return patches;
  }

  #patchType(
    type: TypeUrl,
    byName: ReadonlyMap<string, Resource>,
    filters: readonly EnvoyFilter[],
    stage: Stage,
  ): ReadonlyMap<string, Resource> {
    if (type !== CLUSTER && type !== LISTENER && type !== ROUTE_CONFIG) return byName;
    const result = new Map<string, Resource>();
    for (const [name, resource] of byName) {
      const owner = stage.owner(type, name);
      if (owner === 'nobody') {
        result.set(name, resource);
        continue;
      }
      const workloads = owner === undefined ? stage.everybody : [owner.workload];
      const patches = this.#patchesFor(filters, workloads, stage.rootNamespace);
      const patched = this.#patchOne(type, resource, patches, owner, stage);
      if (patched !== undefined) result.set(name, patched);
    }
    const all = this.#patchesFor(filters, stage.everybody, stage.rootNamespace);
    for (const added of this.#added(type, all, stage.clusters))
      if (!result.has(added.name)) result.set(added.name, added);
    const last = this.#last?.get(type);
    const same = last?.size === result.size && [...result].every(([name, one]) => last.get(name) === one);
    return same && last !== undefined ? last : result;
  }

  #added(type: TypeUrl, patches: readonly EnvoyPatch[], of: ClusterPatching): readonly Resource[] {
    const known = (made: Resource): Resource => {
      const before = this.#last?.get(type)?.get(made.name);
      return before !== undefined && sameBytes(before.value, made.value) ? before : made;
    };
    if (type === CLUSTER)
      return addedClusters(patches, of).map((one) => known(serialised(one.name, ClusterSchema, one)));
    if (type === LISTENER)
      return addedListeners(patches, of).map((one) => known(serialised(one.name, ListenerSchema, one)));
    return [];
  }

  #patchOne(
    type: TypeUrl,
    resource: Resource,
    patches: readonly EnvoyPatch[],
    owner: Owner | undefined,
    stage: Stage,
  ): Resource | undefined {
    const known = this.#known.get(resource);
    if (known?.patches === patches) return known.result;
    try {
      const result = patchResource(type, resource, patches, owner, stage);
      this.#known.set(resource, { patches, result });
      return result;
    } catch (error) {
      const last = this.#last?.get(type)?.get(resource.name);
      this.#failures.push({
        code: 'TRY0409',
        severity: 'error',
        object: resource.name,
        message: `EnvoyFilters cannot be applied to it: ${errorMessage(error)}; ${last === undefined ? 'it stays without them' : 'its last good version stays'}`,
        remedy: 'Look for a patch that does not fit what it is for.',
      });
      return last ?? resource;
    }
  }
}

function patchResource(
  type: TypeUrl,
  resource: Resource,
  patches: readonly EnvoyPatch[],
  owner: Owner | undefined,
  stage: Stage,
): Resource | undefined {
  const { name, value } = resource;
  if (type === CLUSTER) {
    const cluster = fromBinary(ClusterSchema, value);
    const patched = patchCluster(cluster, patches, stage.clusters);
    if (patched === cluster) return resource;
    return patched === undefined ? undefined : serialised(name, ClusterSchema, patched, resource);
  }
  if (type === LISTENER) {
    const listener = fromBinary(ListenerSchema, value);
    const patched = patchListener(listener, patches, contextOf(listener, owner));
    if (patched === listener) return resource;
    return patched === undefined ? undefined : serialised(name, ListenerSchema, patched, resource);
  }
  const routes = fromBinary(RouteConfigurationSchema, value);
  const patched = patchRouteConfiguration(routes, patches, owner?.context ?? 'SIDECAR_OUTBOUND');
  return patched === routes ? resource : serialised(name, RouteConfigurationSchema, patched, resource);
}
