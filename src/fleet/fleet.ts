/** What commands ask of the fleet's configuration: one object for one Consul, one root and, to change things, one key. */
import { type ConsulClient, createConsulClient } from '../consul/client.ts';
import { tokenFromFile } from '../consul/token-file.ts';
import { TrysailError } from '../lib/errors.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { type CatalogueNow, catalogueNow } from './catalogue-now.ts';
import { checkPlan, type Places } from './check-plan.ts';
import type { NamespaceChanges } from './compose-head.ts';
import { type Entry, entryKey } from './documents.ts';
import { FleetStore } from './fleet-store.ts';
import { historyOf, pastHeads, type Revision, withoutRevocations } from './history.ts';
import { FLEET_LIMITS } from './layout.ts';
import type { Manifest } from './manifest.ts';
import { type Base, describeChanges, planApply, planRollback, type ResourceChange } from './plan.ts';
import { type Loaded, type PlannedFiles, plannedFiles } from './planned-files.ts';
import { type Plan, publish } from './publish.ts';
import type { Publishers } from './publishers.ts';
import { readPublicKeys, type SigningKey } from './signing-key.ts';

/** Where the fleet's configuration is, and whom to trust. */
export interface FleetAccess {
  /** `http://host:port`, `https://host:port` or `unix:///path`. */
  readonly consul: string;
  readonly tokenFile?: string | undefined;
  readonly caFile?: string | undefined;
  /** File with the root's public key. */
  readonly root: string;
}

export interface OpenFleet {
  readonly store: FleetStore;
  /** Consul's catalogue; absent: nobody asks for it. */
  readonly consul?: Pick<ConsulClient, 'catalogServices' | 'health'>;
  close(): void;
}

type ConsulAccess = Omit<FleetAccess, 'root'>;

function clientOf({ consul, tokenFile, caFile }: ConsulAccess): ConsulClient {
  return createConsulClient({
    address: consul,
    token: tokenFile === undefined ? undefined : tokenFromFile(tokenFile),
    ...(caFile === undefined ? {} : { tls: { caFile } }),
  });
}

/** Consul alone, before there is a root to trust. @throws TrysailError `CONSUL_ADDRESS_INVALID` */
export function openConsul(access: ConsulAccess): Pick<ConsulClient, 'kv' | 'close'> {
  return clientOf(access);
}

/** @throws TrysailError `FLEET_KEY_…`, `CONSUL_ADDRESS_INVALID` */
export async function openFleet(access: FleetAccess): Promise<OpenFleet> {
  const roots = await readPublicKeys(access.root);
  const client = clientOf(access);
  return { store: new FleetStore(client.kv, roots), consul: client, close: () => client.close() };
}

/** A resource that is published. */
export interface PublishedResource {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** In which it was written as it is. */
  readonly revision: number;
  /** ISO 8601: when it was created, which is its age. */
  readonly createdAt: string;
  readonly publisher: string;
  /** YAML. */
  readonly text: string;
}

async function load(store: FleetStore, namespace: string, publishers: Publishers): Promise<Base> {
  const current = await store.current(namespace, publishers);
  const bodies = current.held === undefined ? new Map<string, string>() : await store.bodies(current.held);
  return { current, bodies };
}

function loadedOf({ current, bodies }: Base): readonly Loaded[] {
  return current.held === undefined ? [] : [{ held: current.held, bodies }];
}

/** All that is published in some namespaces; without any, in all that the token may see. @throws TrysailError `FLEET_…` */
export async function publishedResources(
  { store }: OpenFleet,
  namespaces: readonly string[] | undefined,
): Promise<readonly PublishedResource[]> {
  const publishers = await store.publishers();
  const names = namespaces ?? (await store.namespaces());
  const bases = await Promise.all(names.map(async (namespace) => load(store, namespace, publishers)));
  return bases.flatMap(({ current, bodies }) =>
    [...(current.held?.entries.values() ?? [])].map((entry) => ({
      kind: entry.kind,
      namespace: current.namespace,
      name: entry.name,
      revision: entry.revision,
      createdAt: new Date(entry.createdMs).toISOString(),
      publisher: publishers.byKey.get(entry.key)?.publisher.name ?? entry.key,
      text: bodies.get(entry.hash) ?? '',
    })),
  );
}

/** What a change is, was, or would be. */
export interface ChangeReport {
  readonly changes: readonly ResourceChange[];
  /** Warnings; errors refuse the change. */
  readonly diagnostics: readonly Diagnostic[];
  /** The revision of each namespace that changed; empty for what was not published. */
  readonly revisions: Readonly<Record<string, number>>;
}

/** What would change, and what is wrong with it. */
export interface Proposal {
  readonly changes: readonly ResourceChange[];
  readonly diagnostics: readonly Diagnostic[];
  /** All resources of the fleet, as they are and as they would be. */
  readonly files: PlannedFiles;
}

interface Planned extends Proposal {
  readonly namespaces: readonly NamespaceChanges[];
}

const isChange = ({ puts, deletes }: NamespaceChanges): boolean => puts.length + deletes.length > 0;

export interface ApplyRequest {
  readonly manifests: readonly Manifest[];
  /** Namespaces of which everything that is not among the manifests is deleted; absent: nothing is. */
  readonly prune?: readonly string[];
  readonly config?: MeshConfig | undefined;
}

async function planned(store: FleetStore, publishers: Publishers, request: ApplyRequest): Promise<Planned> {
  const { manifests, prune = [], config } = request;
  const touched = [...new Set([...manifests.map(({ namespace }) => namespace), ...prune])].sort();
  const names = [...new Set([...(await store.namespaces()), ...touched])];
  const bases = new Map(
    await Promise.all(names.map(async (name): Promise<[string, Base]> => [name, await load(store, name, publishers)])),
  );
  const places: Places = new Map(manifests.map((one) => [`${one.kind}/${one.namespace}/${one.name}`, one]));
  const changes: ResourceChange[] = [];
  const namespaces: NamespaceChanges[] = [];
  for (const namespace of touched) {
    const base = bases.get(namespace);
    if (base === undefined) continue;
    const own = manifests.filter((one) => one.namespace === namespace);
    const plan = planApply(base, own, prune.includes(namespace));
    changes.push(...describeChanges(base, plan, own));
    if (isChange(plan)) namespaces.push(plan);
  }
  const all = [...bases.values()].flatMap(loadedOf);
  const diagnostics = checkPlan(all, namespaces, places, config);
  return { changes, namespaces, diagnostics, files: plannedFiles(all, namespaces) };
}

/** What applying would change. Never writes. @throws TrysailError `FLEET_…`, `CONSUL_…` */
export async function proposeApply({ store }: OpenFleet, request: ApplyRequest): Promise<Proposal> {
  return planned(store, await store.publishers(), request);
}

function refuseErrors(diagnostics: readonly Diagnostic[]): void {
  const errors = diagnostics.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw new FleetRefusal(errors);
}

/** Resources with errors, each a diagnostic: nothing of the change was written. */
export class FleetRefusal extends TrysailError {
  readonly diagnostics: readonly Diagnostic[];

  constructor(diagnostics: readonly Diagnostic[]) {
    const count = diagnostics.length;
    super('FLEET_INVALID', `Nothing is published: ${count} error${count === 1 ? '' : 's'} in the resources.`, {
      remedy: 'Correct what the lines above name, and apply again.',
    });
    this.diagnostics = diagnostics;
  }
}

async function carryOut(
  store: FleetStore,
  key: SigningKey,
  action: Plan['action'],
  message: string | undefined,
  plan: (publishers: Publishers) => Promise<Omit<Planned, 'files'>>,
): Promise<ChangeReport> {
  let last: Omit<Planned, 'files'> = { changes: [], namespaces: [], diagnostics: [] };
  const { heads } = await publish(store, key, async (publishers) => {
    last = await plan(publishers);
    refuseErrors(last.diagnostics);
    return { action, message, namespaces: last.namespaces };
  });
  return {
    changes: last.changes,
    diagnostics: last.diagnostics,
    revisions: Object.fromEntries(heads.map(({ namespace, head }) => [namespace, head.revision])),
  };
}

export interface Signed {
  /** The publisher's private key. */
  readonly key: SigningKey;
  /** Why, for history. */
  readonly message?: string | undefined;
}

/** Publishes resources. @throws FleetRefusal; TrysailError `FLEET_…`, `CONSUL_…` */
export async function applyResources(
  { store }: OpenFleet,
  request: ApplyRequest,
  { key, message }: Signed,
): Promise<ChangeReport> {
  return carryOut(store, key, 'apply', message, async (publishers) => planned(store, publishers, request));
}

/** A resource by its name. */
export type ResourceName = Pick<Entry, 'kind' | 'name'> & { readonly namespace: string };

/** Deletes resources. @throws TrysailError `FLEET_NO_SUCH_RESOURCE`, `FLEET_…`, `CONSUL_…` */
export async function deleteResources(
  { store }: OpenFleet,
  names: readonly ResourceName[],
  { key, message }: Signed,
): Promise<ChangeReport> {
  return carryOut(store, key, 'delete', message, async (publishers) => {
    const namespaces = [...new Set(names.map(({ namespace }) => namespace))];
    const changes: ResourceChange[] = [];
    const plans: NamespaceChanges[] = [];
    for (const namespace of namespaces) {
      const base = await load(store, namespace, publishers);
      const deletes = names.filter((one) => one.namespace === namespace);
      const missing = deletes.find((one) => base.current.held?.entries.has(entryKey(one)) !== true);
      if (missing !== undefined)
        throw new TrysailError(
          'FLEET_NO_SUCH_RESOURCE',
          `There is no ${missing.kind} ${missing.namespace}/${missing.name} in the fleet's configuration.`,
          { remedy: 'List what there is with "trysail get -A".' },
        );
      const plan = { current: base.current, puts: [], deletes };
      plans.push(plan);
      changes.push(...describeChanges(base, plan));
    }
    return { changes, namespaces: plans, diagnostics: [] };
  });
}

/** All services of Consul with their instances; undefined where nobody asks. @throws TrysailError `CONSUL_…` */
export async function fleetCatalogue({ consul }: OpenFleet, maxServices: number): Promise<CatalogueNow | undefined> {
  return consul === undefined ? undefined : catalogueNow(consul, maxServices);
}

/** What is kept of the history of a namespace, newest first. @throws TrysailError `FLEET_…`, `CONSUL_…` */
export async function namespaceHistory({ store }: OpenFleet, namespace: string): Promise<readonly Revision[]> {
  return historyOf(store, namespace, await store.publishers());
}

/** Namespaces in which something was published. */
export async function fleetNamespaces({ store }: OpenFleet): Promise<readonly string[]> {
  return store.namespaces();
}

async function planBack(
  store: FleetStore,
  publishers: Publishers,
  namespace: string,
  revision: number,
): Promise<Planned> {
  const base = await load(store, namespace, publishers);
  const { held } = base.current;
  const heads = held === undefined ? [] : await pastHeads(store, held, publishers, FLEET_LIMITS.revisions);
  const target = heads.find(({ head }) => head.revision === revision);
  if (target === undefined) {
    const oldest = heads.at(-1)?.head.revision;
    const kept = oldest === undefined ? 'none' : `${oldest} to ${held?.head.revision ?? 0}`;
    throw new TrysailError(
      'FLEET_NO_SUCH_REVISION',
      `Revision ${revision} of ${namespace} is not kept (there are: ${kept}).`,
      { remedy: `See "trysail history -n ${namespace}".` },
    );
  }
  const past = await store.open(target.sealed, namespace, withoutRevocations(publishers));
  const goal = { current: { namespace, held: past, modifyIndex: 0 }, bodies: await store.bodies(past) };
  const plan = planRollback(base, goal);
  const names = await store.namespaces();
  const others = await Promise.all(
    names.filter((name) => name !== namespace).map(async (name) => load(store, name, publishers)),
  );
  const all = [base, ...others].flatMap(loadedOf);
  const namespaces = isChange(plan) ? [plan] : [];
  return {
    changes: describeChanges(base, plan),
    namespaces,
    diagnostics: checkPlan(all, namespaces, new Map()),
    files: plannedFiles(all, namespaces),
  };
}

/** What going back to a revision would change. Never writes. */
export async function proposeRollback({ store }: OpenFleet, namespace: string, revision: number): Promise<Proposal> {
  return planBack(store, await store.publishers(), namespace, revision);
}

/**
 * Publishes the resources of an earlier revision as a new one. Ages come back with them.
 * @throws TrysailError `FLEET_NO_SUCH_REVISION`, `FLEET_…`, `CONSUL_…`
 */
export async function rollBack(
  { store }: OpenFleet,
  namespace: string,
  revision: number,
  { key, message }: Signed,
): Promise<ChangeReport> {
  return carryOut(store, key, 'rollback', message ?? `back to revision ${revision}`, async (publishers) =>
    planBack(store, publishers, namespace, revision),
  );
}
