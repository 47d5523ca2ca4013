/** A change on its way to all hosts in steps: how far it is, the next step of it, and all of it back. */
import { TrysailError } from '../lib/errors.ts';
import type { Held } from './accept-head.ts';
import { catalogueHosts } from './catalogue-hosts.ts';
import { load } from './change-plans.ts';
import type { NamespaceChanges } from './compose-head.ts';
import type { Stage } from './documents.ts';
import type { OpenFleet } from './fleet.ts';
import type { FleetStore } from './fleet-store.ts';
import { withoutRevocations } from './history.ts';
import { concerned, type FleetHost, fleetHosts } from './host-status.ts';
import { revisionKey } from './layout.ts';
import { planRollback } from './plan.ts';
import { publish } from './publish.ts';
import type { Publishers } from './publishers.ts';
import type { SigningKey } from './signing-key.ts';
import { takesPart, upToOf } from './stage.ts';

/** How far a roll-out is. */
export interface RolloutProgress {
  readonly id: string;
  /** From 1. */
  readonly step: number;
  readonly steps: readonly string[];
  /** The revision of each namespace that goes out. */
  readonly revisions: Readonly<Record<string, number>>;
  /** Hosts whose Envoys have it in force. */
  readonly accepted: readonly string[];
  /** Hosts that are to have it and have not said so. */
  readonly waiting: readonly string[];
  readonly rejected: readonly { readonly host: string; readonly errors: readonly string[] }[];
  /** Hosts that follow the namespaces and have not their turn yet. */
  readonly later: number;
  /** Hosts that nobody waits for: they have said nothing for hours, or have registered services and never said anything. */
  readonly silent: readonly string[];
}

/** A roll-out as Consul has it. */
export interface Rollout {
  readonly stage: Stage;
  readonly heads: readonly Held[];
}

function noRollout(namespace: string): TrysailError {
  return new TrysailError('FLEET_NO_ROLLOUT', `No change of ${namespace} is going out in steps.`, {
    remedy: 'See "trysail history"; "trysail rollback" goes back to an earlier revision.',
  });
}

/** The roll-out that a namespace takes part in, with all namespaces of it. @throws TrysailError `FLEET_NO_ROLLOUT` */
export async function rolloutOf(store: FleetStore, publishers: Publishers, namespace: string): Promise<Rollout> {
  const { held } = await store.current(namespace, publishers);
  const stage = held?.head.stage;
  if (held === undefined || stage === undefined) throw noRollout(namespace);
  const others = Object.keys(held.head.transaction.revisions).filter((other) => other !== namespace);
  const currents = await Promise.all(others.map(async (other) => store.current(other, publishers)));
  const partners = currents.flatMap((one) => (one.held?.head.stage?.id === stage.id ? [one.held] : []));
  return { stage, heads: [held, ...partners] };
}

/** Whether a host has all namespaces of the roll-out that it follows at their revision. */
function hasAll({ namespaces, rollouts }: FleetHost, { stage, heads }: Rollout): boolean {
  const said = rollouts.find(({ id }) => id === stage.id);
  return (
    said?.envoy === 'accepted' &&
    heads.every(({ namespace, head }) => !namespaces.includes(namespace) || said.revisions[namespace] === head.revision)
  );
}

function progressOf(rollout: Rollout, hosts: readonly FleetHost[], registered: readonly string[]): RolloutProgress {
  const { stage, heads } = rollout;
  // Who has answered lives, whatever its clock says.
  const hasAnswered = (one: FleetHost): boolean =>
    hasAll(one, rollout) || one.rollouts.some(({ id, envoy }) => id === stage.id && envoy === 'rejected');
  const living = hosts.filter((one) => !one.silent || hasAnswered(one));
  const turn = living.filter(({ host }) => takesPart(stage, host));
  const rejected = living.flatMap(({ host, rollouts }) =>
    rollouts.flatMap(({ id, envoy, errors }) => (id === stage.id && envoy === 'rejected' ? [{ host, errors }] : [])),
  );
  const names = (some: readonly FleetHost[]): readonly string[] => some.map(({ host }) => host).sort();
  const known = new Set(hosts.map(({ host }) => host));
  const has = turn.filter((one) => hasAll(one, rollout));
  return {
    id: stage.id,
    step: stage.step,
    steps: stage.steps,
    revisions: Object.fromEntries(heads.map(({ namespace, head }) => [namespace, head.revision])),
    accepted: names(has),
    waiting: names(turn.filter((one) => !has.includes(one) && !rejected.some(({ host }) => host === one.host))),
    rejected,
    later: living.length - turn.length,
    silent: [...names(hosts.filter((one) => !living.includes(one))), ...registered.filter((host) => !known.has(host))],
  };
}

/** What hosts say of a roll-out. @param registered hosts that the catalogue knows */
export async function look(
  store: FleetStore,
  rollout: Rollout,
  registered: readonly string[],
): Promise<RolloutProgress> {
  const namespaces = rollout.heads.map(({ namespace }) => namespace);
  const all = await fleetHosts(store.kv);
  // Who says that it follows other namespaces alone has nothing to do with it, whatever it registers.
  const others = new Set(all.map(({ host }) => host));
  return progressOf(
    rollout,
    concerned(all, namespaces),
    registered.filter((host) => !others.has(host)),
  );
}

/** How far the roll-out of a namespace is. @throws TrysailError `FLEET_NO_ROLLOUT`, `FLEET_…`, `CONSUL_…` */
export async function rolloutProgress(fleet: OpenFleet, namespace: string): Promise<RolloutProgress> {
  const { store } = fleet;
  const rollout = await rolloutOf(store, await store.publishers(), namespace);
  return look(
    store,
    rollout,
    await catalogueHosts(
      fleet,
      rollout.heads.map((one) => one.namespace),
    ),
  );
}

/**
 * The same again to more hosts; nothing where somebody else has made the step.
 * @param from the step that all its hosts have
 * @throws TrysailError `FLEET_NO_ROLLOUT`, `FLEET_…`, `CONSUL_…`
 */
export async function nextStep(
  store: FleetStore,
  namespace: string,
  { id, step: from }: Pick<Stage, 'id' | 'step'>,
  key: SigningKey,
): Promise<void> {
  await publish(store, key, async (publishers) => {
    const { stage, heads } = await rolloutOf(store, publishers, namespace);
    if (stage.id !== id) throw noRollout(namespace);
    const text = stage.steps[from];
    if (stage.step !== from || text === undefined) return { action: 'stage', message: undefined, namespaces: [] };
    const names = heads.map((one) => one.namespace);
    const hosts = concerned(await fleetHosts(store.kv), names).filter(({ silent }) => !silent);
    const wider = upToOf(
      id,
      text,
      hosts.map(({ host }) => host),
    );
    const namespaces = await Promise.all(
      names.map(async (name): Promise<NamespaceChanges> => {
        const current = await store.current(name, publishers);
        return { current, puts: [], deletes: [] };
      }),
    );
    const { id: _, base: __, ...rest } = stage;
    // Never back: hosts that have it keep it.
    const upTo = wider > stage.upTo ? wider : stage.upTo;
    return { action: 'stage', message: undefined, namespaces, stage: { ...rest, id, step: from + 1, upTo } };
  });
}

/**
 * Takes a roll-out back: what was in force before it becomes a new revision, for all hosts.
 * @returns the new revision of each namespace
 * @throws TrysailError `FLEET_NO_ROLLOUT`, `FLEET_…`, `CONSUL_…`
 */
export async function takeBack(
  { store }: OpenFleet,
  namespace: string,
  { key, message }: { readonly key: SigningKey; readonly message?: string | undefined },
): Promise<Readonly<Record<string, number>>> {
  const { heads } = await publish(store, key, async (publishers) => {
    const rollout = await rolloutOf(store, publishers, namespace);
    const namespaces = await Promise.all(
      rollout.heads.map(async (held) => planBackTo(store, publishers, held.namespace, held.head.stage?.base ?? null)),
    );
    return { action: 'rollback', message, namespaces };
  });
  return Object.fromEntries(heads.map(({ namespace: name, head }) => [name, head.revision]));
}

async function planBackTo(
  store: FleetStore,
  publishers: Publishers,
  namespace: string,
  base: Stage['base'],
): Promise<NamespaceChanges> {
  const now = await load(store, namespace, publishers);
  if (base === null)
    return planRollback(now, { current: { namespace, held: undefined, modifyIndex: 0 }, bodies: new Map() });
  const { value } = await store.kv.get(revisionKey(namespace, base.revision, base.hash));
  const held =
    value === undefined ? undefined : await store.open(value.value, namespace, withoutRevocations(publishers));
  if (held?.hash !== base.hash)
    throw new TrysailError(
      'FLEET_NO_SUCH_REVISION',
      `Revision ${base.revision} of ${namespace}, from which the change goes out, is not kept or does not verify.`,
      { remedy: `Apply what is to be in force; see "trysail history -n ${namespace}".` },
    );
  return planRollback(now, { current: { namespace, held, modifyIndex: 0 }, bodies: await store.bodies(held) });
}
