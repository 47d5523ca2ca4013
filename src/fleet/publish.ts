/**
 * Writes changes to Consul so that nobody sees half of them: bodies and indexes first, under the names of their hashes,
 * then the heads of all namespaces in one compare-and-set transaction.
 */
import { randomUUID } from 'node:crypto';
import { type KvOperation, MAX_TRANSACTION_OPERATIONS } from '../consul/kv.ts';
import { Backoff } from '../lib/backoff.ts';
import { TrysailError } from '../lib/errors.ts';
import { sleep } from '../lib/sleep.ts';
import type { Held } from './accept-head.ts';
import { collectGarbage } from './collect-garbage.ts';
import { composeHead, type NamespaceChanges, type NewHead } from './compose-head.ts';
import { type HeadDocument, oneLine, type Stage } from './documents.ts';
import type { CurrentNamespace, FleetStore, Frozen } from './fleet-store.ts';
import { newestHead } from './history.ts';
import {
  bodyKey,
  FLEET_LIMITS,
  FREEZE_KEY,
  headKey,
  indexKey,
  MESH_KEY,
  NAMESPACES_PREFIX,
  revisionKey,
} from './layout.ts';
import { mayChange, mayPublish, type Publishers } from './publishers.ts';
import { contentHash } from './signed-document.ts';
import type { SigningKey } from './signing-key.ts';
import { openStage } from './stage.ts';

/** How often a change is planned anew because somebody else was faster. */
const TRIES = 6;
/** Bytes of one batch of bodies: Consul takes 512 KB, and base64 adds a third. */
const BATCH_BYTES = 300 * 1024;

/** What is to become of some namespaces, planned on what they are now. */
export interface Plan {
  readonly action: HeadDocument['action'];
  readonly message: string | undefined;
  /** Which hosts take it; absent: all. */
  readonly stage?: Omit<Stage, 'base'> | undefined;
  /** Namespaces without a change are left out. */
  readonly namespaces: readonly NamespaceChanges[];
}

export interface Published {
  readonly transaction: string;
  /** What is current now; empty: there was nothing to change. */
  readonly heads: readonly Held[];
}

/** The publisher that a key belongs to, who may change this. @throws TrysailError `FLEET_FORBIDDEN` */
function authorise(publishers: Publishers, key: SigningKey, { namespaces }: Plan): void {
  const publisher = publishers.byKey.get(key.id)?.publisher;
  const refuse = (why: string): TrysailError =>
    new TrysailError('FLEET_FORBIDDEN', why, {
      remedy: 'Use another key (--key), or have the root’s owner allow it: "trysail publisher add".',
    });
  if (publisher === undefined) throw refuse(`The key ${key.id} is no publisher of this fleet.`);
  if (publisher.revokedAtMs !== undefined) throw refuse(`The publisher ${publisher.name} is revoked.`);
  for (const { current, puts, deletes } of namespaces) {
    const { namespace } = current;
    if (!mayPublish(publisher, namespace))
      throw refuse(`The publisher ${publisher.name} may not publish in the namespace ${namespace}.`);
    for (const { kind, name } of [...puts, ...deletes])
      if (!mayChange(publisher, namespace, kind))
        throw refuse(`The publisher ${publisher.name} may not change ${kind} ${namespace}/${name}.`);
  }
}

interface Write {
  readonly key: string;
  readonly value: Uint8Array;
}

async function writeAll({ kv }: FleetStore, writes: readonly Write[]): Promise<void> {
  let batch: KvOperation[] = [];
  let bytes = 0;
  const flush = async (): Promise<void> => {
    if (batch.length === 0) return;
    const result = await kv.transact(batch);
    if (!result.committed)
      throw new TrysailError('FLEET_WRITE', `Consul did not write: ${result.errors[0]?.message ?? 'unknown'}.`, {
        remedy: 'Give the token `key_prefix "trysail/v1/ns/NAMESPACE/" { policy = "write" }`.',
      });
    batch = [];
    bytes = 0;
  };
  for (const { key, value } of writes) {
    if (batch.length === MAX_TRANSACTION_OPERATIONS || bytes + value.length > BATCH_BYTES) await flush();
    batch.push({ verb: 'set', key, value });
    bytes += value.length;
  }
  await flush();
}

function contentWrites({ namespace, parts, bodies, previous }: NewHead): readonly Write[] {
  return [
    ...parts.map((text) => ({ key: indexKey(namespace, contentHash(text)), value: Buffer.from(text) })),
    ...[...bodies].map(([hash, text]) => ({ key: bodyKey(namespace, hash), value: Buffer.from(text) })),
    ...(previous === undefined
      ? []
      : [{ key: revisionKey(namespace, previous.head.revision, previous.hash), value: Buffer.from(previous.sealed) }]),
  ];
}

/**
 * What a publisher running beside us may have taken for garbage, between our writing it and its becoming current, is
 * written again; with it the copy of the head that history finds.
 */
async function completeContent(store: FleetStore, head: NewHead): Promise<void> {
  const { namespace, held } = head;
  const own: Write = { key: revisionKey(namespace, held.head.revision, held.hash), value: Buffer.from(held.sealed) };
  const writes = contentWrites(head);
  const present = new Set((await store.kv.keys(`${NAMESPACES_PREFIX}${namespace}/`)).value);
  await writeAll(store, [own, ...writes.filter(({ key }) => !present.has(key))]);
}

/** Hosts have seen more than Consul shows, and would refuse what is built on it. */
async function refuseOlder(store: FleetStore, current: CurrentNamespace, publishers: Publishers): Promise<void> {
  const revision = current.held?.head.revision ?? 0;
  const newest = await newestHead(store, current.namespace, publishers, revision);
  if (newest === undefined) return;
  throw new TrysailError(
    'FLEET_UNVERIFIED',
    `The head of namespace ${current.namespace} in Consul is revision ${revision}, and ${newest.head.revision} was published.`,
    { remedy: 'Somebody has put an older one back: find out who can write there, then run "trysail fleet repair".' },
  );
}

/** A change would go to all hosts together with one that goes out in steps. A roll-back is the way out of that. */
function refuseInSteps({ namespaces, action, stage }: Plan): void {
  if (action === 'rollback' && stage === undefined) return;
  for (const { current } of namespaces) {
    const open = openStage(current.held?.head);
    if (open === undefined || (action === 'stage' && open.id === stage?.id)) continue;
    const { namespace } = current;
    throw new TrysailError(
      'FLEET_STAGED',
      `A change of ${namespace} is going out in steps, and is at step ${open.step} of ${open.steps.length} (${open.steps[open.step - 1] ?? ''}).`,
      {
        remedy: `Go on with it, or back: "trysail rollout continue -n ${namespace}", "trysail rollout back -n ${namespace}".`,
      },
    );
  }
}

function tooMany(count: number): TrysailError {
  return new TrysailError(
    'FLEET_TOO_MANY_NAMESPACES',
    `${count} namespaces are to change in one step; Consul's transactions allow ${FLEET_LIMITS.namespaces}.`,
    { remedy: 'Apply them in several steps, by -f or --namespace.' },
  );
}

/**
 * Publishes what `plan` says, and plans anew while others are faster.
 * @param plan reads what is current and says what is to change; called again after a lost race
 * @throws TrysailError `FLEET_…`, `CONSUL_…`; nothing is current then
 */
export async function publish(
  store: FleetStore,
  key: SigningKey,
  plan: (publishers: Publishers) => Promise<Plan>,
): Promise<Published> {
  const backoff = new Backoff({ baseMs: 100, maxMs: 2000 });
  for (let i = 0; i < TRIES; i += 1) {
    if (i > 0) await sleep(backoff.nextMs());
    const publishers = await store.publishers();
    const freeze = await store.freeze(publishers);
    const wanted = await plan(publishers);
    const planned = { ...wanted, message: oneLine(wanted.message) };
    const { namespaces } = planned;
    for (const { current } of namespaces) await refuseOlder(store, current, publishers);
    if (namespaces.length === 0) return { transaction: '', heads: [] };
    if (namespaces.length > FLEET_LIMITS.namespaces) throw tooMany(namespaces.length);
    authorise(publishers, key, planned);
    refuseInSteps(planned);
    if (freeze.document.frozen) throw frozen(freeze);
    const transaction = {
      id: randomUUID(),
      revisions: Object.fromEntries(
        namespaces.map(({ current }) => [current.namespace, (current.held?.head.revision ?? 0) + 1]),
      ),
    };
    const budget = Math.min(FLEET_LIMITS.headBytes, Math.floor(FLEET_LIMITS.transactionBytes / namespaces.length));
    const heads = namespaces.map((changes) =>
      composeHead(
        { fleet: publishers.document.fleet, transaction, key, plan: planned, stage: planned.stage, budget },
        changes,
      ),
    );
    await writeAll(store, heads.flatMap(contentWrites));
    const result = await store.kv.transact([
      ...heads.map(
        ({ namespace, held }, j): KvOperation => ({
          verb: 'cas',
          key: headKey(namespace),
          value: Buffer.from(held.sealed),
          index: namespaces[j]?.current.modifyIndex ?? 0,
        }),
      ),
      { verb: 'check-index', key: MESH_KEY, index: publishers.modifyIndex },
      { verb: 'check-index', key: FREEZE_KEY, index: freeze.modifyIndex },
    ]);
    if (!result.committed) continue;
    for (const head of heads) {
      await completeContent(store, head);
      await collectGarbage(store, head.held, publishers);
    }
    return { transaction: transaction.id, heads: heads.map(({ held }) => held) };
  }
  throw new TrysailError(
    'FLEET_CONFLICT',
    `Others changed the same namespaces at the same time, ${TRIES} times; nothing of this change is in force.`,
    { remedy: 'Run it again; "trysail history" shows who else publishes.' },
  );
}

function frozen({ document, by }: Frozen): TrysailError {
  const why = document.message === undefined ? '' : `: ${document.message}`;
  return new TrysailError(
    'FLEET_FROZEN',
    `Changes are frozen by ${by} since ${new Date(document.atMs).toISOString()}${why}.`,
    { remedy: 'Wait, or end it with "trysail unfreeze".' },
  );
}
