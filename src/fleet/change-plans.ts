/** From what commands ask for to changes of namespaces, on what Consul has now. */
import { TrysailError } from '../lib/errors.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { checkPlan, type Judge, type Places } from './check-plan.ts';
import type { NamespaceChanges } from './compose-head.ts';
import { type Entry, entryKey } from './documents.ts';
import type { FleetStore } from './fleet-store.ts';
import { pastHeads, withoutRevocations } from './history.ts';
import { FLEET_LIMITS } from './layout.ts';
import type { Manifest } from './manifest.ts';
import { refuseTooLarge } from './namespace-size.ts';
import { type Base, describeChanges, planApply, planRollback, type ResourceChange } from './plan.ts';
import { type Loaded, type PlannedFiles, plannedFiles } from './planned-files.ts';
import type { Publishers } from './publishers.ts';

/** A namespace as it is. @throws TrysailError `FLEET_…`, `CONSUL_…` */
export async function load(store: FleetStore, namespace: string, publishers: Publishers): Promise<Base> {
  const current = await store.current(namespace, publishers);
  const bodies = current.held === undefined ? new Map<string, string>() : await store.bodies(current.held);
  return { current, bodies };
}

function loadedOf({ current, bodies }: Base): readonly Loaded[] {
  return current.held === undefined ? [] : [{ held: current.held, bodies }];
}

/** Namespaces beside those that change. */
interface Others {
  readonly bases: readonly Base[];
  /** Those that cannot be read, each a warning. */
  readonly diagnostics: readonly Diagnostic[];
}

const UNREADABLE: ReadonlySet<string> = new Set(['FLEET_UNVERIFIED', 'FLEET_CONTENT_MISSING']);

/**
 * Loads what stays as it is. What does not verify there is left out of the check: who may write to one namespace must not
 * thereby keep everybody from publishing in all others.
 */
async function loadOthers(store: FleetStore, names: readonly string[], publishers: Publishers): Promise<Others> {
  const loaded = await Promise.all(
    names.map(async (name): Promise<Base | Diagnostic> => {
      try {
        return await load(store, name, publishers);
      } catch (error) {
        if (!(error instanceof TrysailError) || !UNREADABLE.has(error.code)) throw error;
        return {
          code: error.code === 'FLEET_UNVERIFIED' ? 'TRY0702' : 'TRY0703',
          severity: 'warning',
          object: `namespace ${name}`,
          message: `what is published there is left out of the check: ${error.message.replace(/\.$/, '')}`,
          remedy: 'Find out who can write there, then run "trysail fleet repair".',
        };
      }
    }),
  );
  return {
    bases: loaded.flatMap((one) => ('current' in one ? [one] : [])),
    diagnostics: loaded.flatMap((one) => ('current' in one ? [] : [one])),
  };
}

/** What would change, and what is wrong with it. */
export interface Proposal {
  readonly changes: readonly ResourceChange[];
  readonly diagnostics: readonly Diagnostic[];
  /** All resources of the fleet, as they are and as they would be. */
  readonly files: PlannedFiles;
}

/** The same, ready to be published. */
export interface Planned extends Proposal {
  readonly namespaces: readonly NamespaceChanges[];
}

const isChange = ({ puts, deletes }: NamespaceChanges): boolean => puts.length + deletes.length > 0;

export interface ApplyRequest {
  readonly manifests: readonly Manifest[];
  /** Namespaces of which everything that is not among the manifests is deleted; absent: nothing is. */
  readonly prune?: readonly string[];
  readonly config?: MeshConfig | undefined;
  /** What is said of the mesh as it is and as it would be; absent: what reading finds. */
  readonly judge?: Judge | undefined;
}

/** The changes that make resources what the manifests say. @throws TrysailError `FLEET_…`, `CONSUL_…` */
export async function planned(store: FleetStore, publishers: Publishers, request: ApplyRequest): Promise<Planned> {
  const { manifests, prune = [], config, judge } = request;
  const touched = [...new Set([...manifests.map(({ namespace }) => namespace), ...prune])].sort();
  const bases = new Map(
    await Promise.all(
      touched.map(async (name): Promise<[string, Base]> => [name, await load(store, name, publishers)]),
    ),
  );
  const untouched = (await store.namespaces()).filter((name) => !bases.has(name));
  const others = await loadOthers(store, untouched, publishers);
  const places: Places = new Map(manifests.map((one) => [`${one.kind}/${one.namespace}/${one.name}`, one]));
  const changes: ResourceChange[] = [];
  const namespaces: NamespaceChanges[] = [];
  for (const namespace of touched) {
    const base = bases.get(namespace);
    if (base === undefined) continue;
    const own = manifests.filter((one) => one.namespace === namespace);
    const plan = planApply(base, own, prune.includes(namespace));
    refuseTooLarge(base, plan);
    changes.push(...describeChanges(base, plan, own));
    if (isChange(plan)) namespaces.push(plan);
  }
  const all = [...bases.values(), ...others.bases].flatMap(loadedOf);
  const diagnostics = [...others.diagnostics, ...checkPlan(all, namespaces, places, config, judge)];
  return { changes, namespaces, diagnostics, files: plannedFiles(all, namespaces) };
}

/** A resource by its name. */
export type ResourceName = Pick<Entry, 'kind' | 'name'> & { readonly namespace: string };

/** The changes that take resources away. @throws TrysailError `FLEET_NO_SUCH_RESOURCE`, `FLEET_…`, `CONSUL_…` */
export async function planDelete(
  store: FleetStore,
  publishers: Publishers,
  names: readonly ResourceName[],
): Promise<Omit<Planned, 'files'>> {
  const changes: ResourceChange[] = [];
  const namespaces: NamespaceChanges[] = [];
  for (const namespace of new Set(names.map((one) => one.namespace))) {
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
    namespaces.push(plan);
    changes.push(...describeChanges(base, plan));
  }
  return { changes, namespaces, diagnostics: [] };
}

/** The changes that bring an earlier revision back. @throws TrysailError `FLEET_NO_SUCH_REVISION`, `FLEET_…`, `CONSUL_…` */
export async function planBack(
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
  refuseTooLarge(base, plan);
  const names = (await store.namespaces()).filter((name) => name !== namespace);
  const others = await loadOthers(store, names, publishers);
  const all = [base, ...others.bases].flatMap(loadedOf);
  const namespaces = isChange(plan) ? [plan] : [];
  return {
    changes: describeChanges(base, plan),
    namespaces,
    diagnostics: [...others.diagnostics, ...checkPlan(all, namespaces, new Map())],
    files: plannedFiles(all, namespaces),
  };
}
