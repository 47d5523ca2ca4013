/** The revisions of a namespace that are kept, newest first: each names the one before by its hash. */
import { TrysailError } from '../lib/errors.ts';
import { type Held, type Judged, judgeHead } from './accept-head.ts';
import type { FleetStore } from './fleet-store.ts';
import { FLEET_LIMITS, revisionKey, revisionOfKey, revisionsPrefix } from './layout.ts';
import type { Publishers } from './publishers.ts';
import { isRefused } from './signed-document.ts';
import { stepText } from './stage.ts';

/** One revision as people ask for it. */
export interface Revision {
  readonly namespace: string;
  readonly revision: number;
  /** ISO 8601. */
  readonly at: string;
  readonly publisher: string;
  readonly action: string;
  readonly message?: string;
  /** Of a change that went out in steps, such as `5% (2 of 3)`. */
  readonly step?: string;
  readonly created: number;
  readonly changed: number;
  readonly deleted: number;
  readonly transaction: string;
  /** Namespaces that changed in the same step. */
  readonly with: readonly string[];
}

/**
 * The list as it was for revisions of before: a head that names an earlier one by its hash vouches for it, though its
 * publisher may be revoked by now.
 */
export function withoutRevocations(publishers: Publishers): Publishers {
  return {
    ...publishers,
    document: { ...publishers.document, floors: {} },
    byKey: new Map(
      [...publishers.byKey].map(([id, { publisher, key }]) => {
        const { revokedAtMs: _, ...rest } = publisher;
        return [id, { publisher: rest, key }];
      }),
    ),
  };
}

/** The newest `count` heads, the current one first; fewer where the chain ends or is broken. */
export async function pastHeads(
  store: FleetStore,
  current: Judged,
  publishers: Publishers,
  count: number,
): Promise<readonly Judged[]> {
  const past = withoutRevocations(publishers);
  const heads: Judged[] = [current];
  let last = current;
  while (heads.length < count && last.head.previous !== null) {
    const hash = last.head.previous;
    const { value } = await store.kv.get(revisionKey(current.namespace, last.head.revision - 1, hash));
    if (value === undefined) break;
    const judged = judgeHead(value.value, current.namespace, past, undefined);
    if (isRefused(judged) || judged.hash !== hash || judged.head.revision !== last.head.revision - 1) break;
    heads.push(judged);
    last = judged;
  }
  return heads;
}

/**
 * The newest head among the copies that verifies.
 * @param above only what has a higher number counts
 */
export async function newestHead(
  store: FleetStore,
  namespace: string,
  publishers: Publishers,
  above = 0,
): Promise<Held | undefined> {
  const { value: keys } = await store.kv.keys(revisionsPrefix(namespace));
  const newer = keys.filter((key) => revisionOfKey(key) > above).sort((a, b) => revisionOfKey(b) - revisionOfKey(a));
  for (const key of newer) {
    const { value } = await store.kv.get(key);
    const held = value === undefined ? undefined : await verified(store, value.value, namespace, publishers);
    if (held?.head.revision === revisionOfKey(key)) return held;
  }
  return undefined;
}

/** A head with all that it names; undefined where hosts would not take it. @throws TrysailError `CONSUL_…` */
export async function verified(
  store: FleetStore,
  bytes: Uint8Array,
  namespace: string,
  publishers: Publishers,
): Promise<Held | undefined> {
  try {
    return await store.open(bytes, namespace, publishers);
  } catch (error) {
    if (error instanceof TrysailError && error.code.startsWith('FLEET_')) return undefined;
    throw error;
  }
}

/** What is kept of a namespace's history, newest first. */
export async function historyOf(
  store: FleetStore,
  namespace: string,
  publishers: Publishers,
): Promise<readonly Revision[]> {
  const { held } = await store.current(namespace, publishers);
  if (held === undefined) return [];
  const heads = await pastHeads(store, held, publishers, FLEET_LIMITS.revisions);
  return heads.map(({ head, key }) => ({
    namespace,
    revision: head.revision,
    at: new Date(head.atMs).toISOString(),
    publisher: publishers.byKey.get(key)?.publisher.name ?? key,
    action: head.action,
    ...(head.message === undefined ? {} : { message: head.message }),
    ...(head.stage === undefined ? {} : { step: stepText(head.stage) }),
    ...head.counts,
    transaction: head.transaction.id,
    with: Object.keys(head.transaction.revisions).filter((other) => other !== namespace),
  }));
}
