/** Deletes what publishers left behind that ended in the middle: contents and copies that no kept revision names. */
import { type KvOperation, MAX_TRANSACTION_OPERATIONS } from '../consul/kv.ts';
import { bodiesOf } from './collect-garbage.ts';
import type { FleetStore } from './fleet-store.ts';
import { pastHeads } from './history.ts';
import { bodyKey, FLEET_LIMITS, headKey, indexKey, NAMESPACES_PREFIX, revisionKey } from './layout.ts';
import type { Publishers } from './publishers.ts';

/** All keys that a namespace needs for what is in force and for its history; undefined where nobody knows. */
async function neededKeys(
  store: FleetStore,
  namespace: string,
  publishers: Publishers,
): Promise<{ readonly keys: ReadonlySet<string>; readonly headIndex: number } | undefined> {
  const { held, modifyIndex } = await store.current(namespace, publishers);
  if (held === undefined) return undefined;
  const past = await pastHeads(store, held, publishers, FLEET_LIMITS.revisions);
  // Where the chain is broken, what lies before it may come back from a snapshot.
  if (past.length < Math.min(held.head.revision, FLEET_LIMITS.revisions)) return undefined;
  const parts = [...new Set(past.flatMap(({ head }) => head.index))];
  const bodies = await bodiesOf(store, namespace, parts);
  const keys = new Set([
    headKey(namespace),
    ...past.map(({ head, hash }) => revisionKey(namespace, head.revision, hash)),
    ...parts.map((hash) => indexKey(namespace, hash)),
    ...[...bodies].map((hash) => bodyKey(namespace, hash)),
  ]);
  return { keys, headIndex: modifyIndex };
}

/**
 * Collects what a namespace does not need. What was written after its head may belong to somebody who is about to publish,
 * and stays; whoever planned on an earlier head has to write all of it again.
 * @returns how many keys are gone
 * @throws TrysailError `FLEET_…`, `CONSUL_…`
 */
export async function collectLeftovers(store: FleetStore, namespace: string, publishers: Publishers): Promise<number> {
  const needed = await neededKeys(store, namespace, publishers);
  if (needed === undefined) return 0;
  const { value: present } = await store.kv.keys(`${NAMESPACES_PREFIX}${namespace}/`);
  const deletes: KvOperation[] = [];
  for (const key of present.filter((one) => !needed.keys.has(one))) {
    const { value } = await store.kv.get(key);
    if (value !== undefined && value.modifyIndex < needed.headIndex)
      deletes.push({ verb: 'delete-cas', key, index: value.modifyIndex });
  }
  const unmoved: KvOperation = { verb: 'check-index', key: headKey(namespace), index: needed.headIndex };
  const size = MAX_TRANSACTION_OPERATIONS - 1;
  let gone = 0;
  for (let i = 0; i < deletes.length; i += size) {
    const batch = deletes.slice(i, i + size);
    const { committed } = await store.kv.transact([unmoved, ...batch]);
    if (!committed) return gone;
    gone += batch.length;
  }
  return gone;
}
