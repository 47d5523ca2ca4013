/**
 * What a change of resources changes in the configuration of which Envoys: each kind of workload that the files and the
 * catalogue know is rendered before and after.
 */

import type { JsonObject } from '@bufbuild/protobuf';
import { errorMessage } from '../lib/errors.ts';
import { hasLabels } from '../model/labels.ts';
import type { Mesh } from '../model/mesh.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { META } from '../model/registration.ts';
import { buildMesh } from '../sources/build-mesh.ts';
import type { CatalogueState } from '../sources/catalogue-state.ts';
import { type ReadingState, type ResourceFile, readResources } from '../sources/resource-reader.ts';
import { Translator } from '../translate/translator.ts';
import type { Resource, Resources } from '../xds/resource.ts';
import type { Configuration } from './configuration.ts';
import { type DescribedWorkload, NO_LOCALITY } from './described-workload.ts';
import { type HostMode, offlineHost } from './offline-host.ts';
import { resourceText, sortedResourceJson } from './resources-json.ts';

export interface EnvoyChangesInput {
  readonly before: readonly ResourceFile[];
  readonly after: readonly ResourceFile[];
  readonly config: MeshConfig;
  /** Undefined: services come from the files alone. */
  readonly catalogue: CatalogueState | undefined;
  /** Gateways that neither the files nor the catalogue know, one for each host. */
  readonly gateways?: readonly Pick<ChangedWorkload, 'namespace' | 'name' | 'labels'>[];
  /** At most so many kinds of workloads are rendered. */
  readonly maxWorkloads: number;
}

/** One resource of Envoy that another configuration makes, changes or takes away. */
export interface EnvoyChange {
  readonly type: 'listener' | 'routes' | 'cluster' | 'endpoints' | 'secret';
  readonly name: string;
  readonly change: 'added' | 'changed' | 'removed';
  readonly before: JsonObject | undefined;
  readonly after: JsonObject | undefined;
}

/** Workloads of the same services with the same labels. */
export interface ChangedWorkload {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly mode: HostMode;
  /** How many there are; the first of them was rendered. */
  readonly hosts: number;
  readonly changes: readonly EnvoyChange[];
}

export interface EnvoyChanges {
  readonly workloads: readonly ChangedWorkload[];
  /** How many kinds of workloads were rendered and stay as they are. */
  readonly unchanged: number;
  /** Kinds of workloads that were not rendered, `<namespace>/<name>`, and why. */
  readonly left: readonly { readonly workload: string; readonly why: string }[];
}

interface Group {
  readonly described: DescribedWorkload & { readonly name: string };
  readonly mode: HostMode;
  hosts: number;
}

const TYPES: Readonly<Record<string, EnvoyChange['type']>> = {
  Listener: 'listener',
  RouteConfiguration: 'routes',
  Cluster: 'cluster',
  ClusterLoadAssignment: 'endpoints',
  Secret: 'secret',
};

function configured(state: ReadingState, mesh: Mesh): Configuration {
  return { mesh, resources: state.set, files: [], diagnostics: [] };
}

const textOfLabels = (labels: Readonly<Record<string, string>>): string =>
  JSON.stringify(Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1)));

function fulfils(labels: Readonly<Record<string, string>>, selector: Readonly<Record<string, string>>): boolean {
  return Object.keys(selector).length > 0 && hasLabels(labels, selector);
}

/** The workloads of a mesh, those of the same services with the same labels once. */
function groupsOf(
  { mesh, resources }: Configuration,
  managed: ReadonlySet<string> | undefined,
  gateways: NonNullable<EnvoyChangesInput['gateways']>,
): Map<string, Group> {
  const byAddress = new Map<string, Group & { services: string[] }>();
  const add = (described: Group['described'], at: string): void => {
    const known = byAddress.get(at);
    if (known !== undefined) {
      known.services.push(`${described.namespace}/${described.name}`);
      return;
    }
    const isGateway = mesh.gateways.some(({ selector }) => fulfils(described.labels, selector));
    const mode = isGateway ? 'gateway' : 'loopback';
    byAddress.set(at, { described, mode, hosts: 1, services: [`${described.namespace}/${described.name}`] });
  };
  for (const { host, external, namespace, name } of mesh.services.values()) {
    if (external) continue;
    for (const { id, address, labels, locality } of mesh.endpoints.get(host) ?? []) {
      // Registered without an agent: no Envoy there takes anything.
      if (managed?.has(id) === false) continue;
      // Instances of several hosts may share an address on loopback; labels tell them apart.
      add(
        { namespace, name, labels, serviceAccount: undefined, address, locality },
        `${address} ${textOfLabels(labels)}`,
      );
    }
  }
  for (const { meta, workload } of resources.workloadEntries) {
    const { labels, serviceAccount, locality, address } = workload;
    const at = `${address} ${textOfLabels(labels)}`;
    if (!byAddress.has(at))
      add({ namespace: meta.namespace, name: meta.name, labels, serviceAccount, address, locality }, at);
  }
  for (const [i, { namespace, name, labels }] of gateways.entries()) {
    const described = { namespace, name, labels, serviceAccount: name, address: undefined, locality: NO_LOCALITY };
    byAddress.set(`gateway ${i}`, { described, mode: 'gateway', hosts: 1, services: [`${namespace}/${name}`] });
  }
  const groups = new Map<string, Group>();
  for (const { services, ...one } of byAddress.values()) {
    const key = `${one.mode} ${[...new Set(services)].toSorted().join(' ')} ${textOfLabels(one.described.labels)}`;
    const known = groups.get(key);
    if (known === undefined) groups.set(key, one);
    else known.hosts += 1;
  }
  return groups;
}

/** Catalogue instances that an agent registered; endpoints of files have other ids and are managed too. */
function unmanaged(catalogue: CatalogueState): (id: string) => boolean {
  const ids = new Set(
    [...catalogue.services.values()].flat().flatMap(({ id, meta }) => (meta[META.host] === undefined ? [id] : [])),
  );
  return (id) => ids.has(id);
}

function changed(
  typeUrl: string,
  name: string,
  before: Resource | undefined,
  after: Resource | undefined,
): EnvoyChange[] {
  const type = TYPES[/\.([A-Za-z]+)$/.exec(typeUrl)?.[1] ?? ''];
  if (type === undefined || before === after) return [];
  if (before !== undefined && after !== undefined && resourceText(typeUrl, before) === resourceText(typeUrl, after))
    return [];
  const change = before === undefined ? 'added' : after === undefined ? 'removed' : 'changed';
  const json = (one: Resource | undefined): JsonObject | undefined =>
    one === undefined ? undefined : sortedResourceJson(typeUrl, one);
  return [{ type, name, change, before: json(before), after: json(after) }];
}

function compared(before: Resources, after: Resources): readonly EnvoyChange[] {
  return [...new Set([...before.keys(), ...after.keys()])].toSorted().flatMap((typeUrl) => {
    const [old, next] = [before.get(typeUrl), after.get(typeUrl)];
    const names = new Set([...(old?.keys() ?? []), ...(next?.keys() ?? [])]);
    return [...names].toSorted().flatMap((name) => changed(typeUrl, name, old?.get(name), next?.get(name)));
  });
}

/** Renders before and after. Pure. Workloads of the namespaces in `first` are looked at before others. */
export function envoyChanges(
  { before, after, config, catalogue, gateways = [], maxWorkloads }: EnvoyChangesInput,
  first: ReadonlySet<string>,
): EnvoyChanges {
  const oldState = readResources(undefined, before);
  const newState = readResources(oldState, after);
  const inputs = { config, catalogue, localServices: [] };
  const oldMesh = buildMesh(undefined, { ...inputs, resources: oldState.set });
  const newMesh = buildMesh(oldMesh, { ...inputs, resources: newState.set });
  const [old, next] = [configured(oldState, oldMesh), configured(newState, newMesh)];
  const isUnmanaged = catalogue === undefined ? undefined : unmanaged(catalogue);
  const managed =
    isUnmanaged === undefined
      ? undefined
      : new Set(
          [...oldMesh.endpoints.values(), ...newMesh.endpoints.values()]
            .flat()
            .flatMap(({ id }) => (isUnmanaged(id) ? [] : [id])),
        );
  const groups = [
    ...new Map([...groupsOf(old, managed, gateways), ...groupsOf(next, managed, gateways)]).values(),
  ].toSorted(
    (a, b) =>
      Number(first.has(b.described.namespace)) - Number(first.has(a.described.namespace)) ||
      (`${a.described.namespace}/${a.described.name}` < `${b.described.namespace}/${b.described.name}` ? -1 : 1),
  );
  const left: { workload: string; why: string }[] = [];
  const workloads: ChangedWorkload[] = [];
  let unchanged = 0;
  for (const [i, { described, mode, hosts }] of groups.entries()) {
    const { namespace, name, labels } = described;
    if (i >= maxWorkloads) {
      left.push({ workload: `${namespace}/${name}`, why: `only ${maxWorkloads} are rendered` });
      continue;
    }
    try {
      const translator = new Translator();
      const was = translator.translate(oldMesh, offlineHost(old, described, mode));
      const changes = compared(was, translator.translate(newMesh, offlineHost(next, described, mode)));
      if (changes.length === 0) unchanged += 1;
      else workloads.push({ namespace, name, labels, mode, hosts, changes });
    } catch (error) {
      left.push({ workload: `${namespace}/${name}`, why: errorMessage(error) });
    }
  }
  return { workloads, unchanged, left };
}
