/**
 * Deletes what no kept revision refers to any more. Only what falls out of history by this very revision is looked at,
 * and only while the head is the one that was looked at, so that nobody's work in progress is in danger for long.
 */
import { type KvOperation, MAX_TRANSACTION_OPERATIONS } from '../consul/kv.ts';
import { TrysailError } from '../lib/errors.ts';
import type { Held } from './accept-head.ts';
import { readIndexPart } from './documents.ts';
import { type FleetStore, readContent } from './fleet-store.ts';
import { pastHeads } from './history.ts';
import { bodyKey, FLEET_LIMITS, headKey, indexKey, revisionKey } from './layout.ts';
import type { Publishers } from './publishers.ts';
import { isRefused } from './signed-document.ts';

/**
 * The bodies that parts of indexes name; who may have signed them does not matter here.
 * @throws TrysailError `FLEET_CONTENT_MISSING`, `FLEET_UNVERIFIED`, `CONSUL_…`
 */
export async function bodiesOf(
  { kv }: FleetStore,
  namespace: string,
  parts: readonly string[],
): Promise<ReadonlySet<string>> {
  const texts = await Promise.all(parts.map(async (hash) => readContent(kv, indexKey(namespace, hash), hash)));
  return new Set(
    texts.flatMap((text) => {
      const changes = readIndexPart(text);
      if (isRefused(changes))
        throw new TrysailError('FLEET_UNVERIFIED', `An index of ${namespace}: ${changes.refused}.`);
      return changes.flatMap(({ hash }) => hash ?? []);
    }),
  );
}

/** Never rejects for what is not there: garbage that stays costs room and nothing else. */
export async function collectGarbage(store: FleetStore, held: Held, publishers: Publishers): Promise<void> {
  if (held.head.revision <= FLEET_LIMITS.revisions) return;
  const { namespace } = held;
  const past = await pastHeads(store, held, publishers, FLEET_LIMITS.revisions + 1);
  const dropped = past[FLEET_LIMITS.revisions];
  if (dropped === undefined) return;
  const keptHeads = past.slice(0, FLEET_LIMITS.revisions);
  const keptParts = new Set(keptHeads.flatMap(({ head }) => head.index));
  const parts = dropped.head.index.filter((hash) => !keptParts.has(hash));
  const bodies = new Set<string>();
  if (parts.length > 0) {
    try {
      for (const hash of await bodiesOf(store, namespace, dropped.head.index)) bodies.add(hash);
      for (const hash of await bodiesOf(store, namespace, [...keptParts])) bodies.delete(hash);
    } catch {
      // With a kept revision that cannot be read nobody knows what it needs.
      return;
    }
  }
  const keys = [
    revisionKey(namespace, dropped.head.revision, dropped.hash),
    ...parts.map((hash) => indexKey(namespace, hash)),
    ...[...bodies].map((hash) => bodyKey(namespace, hash)),
  ];
  const entry = await store.head(namespace);
  if (entry === undefined || Buffer.from(entry.value).toString('utf8') !== held.sealed) return;
  const size = MAX_TRANSACTION_OPERATIONS - 1;
  for (let i = 0; i < keys.length; i += size) {
    const deletes = keys.slice(i, i + size).map((key): KvOperation => ({ verb: 'delete', key }));
    const unchanged: KvOperation = { verb: 'check-index', key: headKey(namespace), index: entry.modifyIndex };
    const { committed } = await store.kv.transact([unchanged, ...deletes]);
    if (!committed) return;
  }
}
