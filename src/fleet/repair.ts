/** Puts right what somebody has broken in Consul by writing there past the commands, as far as it can be. */
import type { KvEntry } from '../consul/kv.ts';
import { TrysailError } from '../lib/errors.ts';
import { collectLeftovers } from './collect-leftovers.ts';
import type { OpenFleet } from './fleet.ts';
import type { FleetStore } from './fleet-store.ts';
import { newestHead, verified } from './history.ts';
import { headKey, MESH_KEY, NAMESPACES_PREFIX, revisionsPrefix } from './layout.ts';
import { openPublishers, type Publishers } from './publishers.ts';
import { isRefused } from './signed-document.ts';

/** A namespace in which something was put right. */
export interface Repaired {
  readonly namespace: string;
  /** Of the head that was put back; absent: it was right. */
  readonly revision?: number;
  /** How many keys are gone that publishers had left behind; absent: none. */
  readonly collected?: number;
  /** It has neither a head nor a copy of one: nothing was published, or somebody has deleted all of them. Nothing is done. */
  readonly headless?: true;
}

/**
 * Puts the newest head that verifies back where the one in force does not, and collects what nothing refers to.
 * @throws TrysailError `FLEET_BEYOND_REPAIR` when all others are right again, `FLEET_…`, `CONSUL_…`
 */
export async function repairFleet({ store }: OpenFleet): Promise<readonly Repaired[]> {
  const publishers = await store.publishers();
  const repaired: Repaired[] = [];
  const beyond: string[] = [];
  for (const namespace of await store.namespaces()) {
    const entry = await store.head(namespace);
    if (entry !== undefined && (await verifies(store, entry, namespace, publishers))) {
      const collected = await collectLeftovers(store, namespace, publishers);
      if (collected > 0) repaired.push({ namespace, collected });
      continue;
    }
    const best = await newestHead(store, namespace, publishers);
    if (best === undefined) {
      const { value: copies } = await store.kv.keys(revisionsPrefix(namespace));
      if (entry === undefined && copies.length === 0) repaired.push({ namespace, headless: true });
      else beyond.push(namespace);
      continue;
    }
    const { committed } = await store.kv.transact([
      {
        verb: 'cas',
        key: headKey(namespace),
        value: Buffer.from(best.sealed),
        index: entry?.modifyIndex ?? 0,
      },
    ]);
    if (committed) repaired.push({ namespace, revision: best.head.revision });
  }
  if (beyond.length > 0)
    throw new TrysailError('FLEET_BEYOND_REPAIR', `No head of ${beyond.join(', ')} in Consul verifies any more.`, {
      remedy: `The other namespaces are right. Restore ${beyond.map((one) => `${NAMESPACES_PREFIX}${one}/`).join(', ')} from a snapshot of Consul. Hosts hold what they had.`,
    });
  return repaired;
}

/**
 * Puts a list of publishers back that a host has kept, where Consul has none that verifies, or an older one.
 * @param sealed the list as the root has signed it
 * @returns its revision; undefined: what Consul has is as new
 * @throws TrysailError `FLEET_UNVERIFIED`, `FLEET_EXISTS`, `FLEET_CONFLICT`, `CONSUL_…`
 */
export async function restoreList({ store }: OpenFleet, sealed: string): Promise<number | undefined> {
  const kept = openPublishers(sealed, store.roots);
  if (isRefused(kept))
    throw new TrysailError('FLEET_UNVERIFIED', `The list of publishers in the file does not verify: ${kept.refused}.`, {
      remedy: 'Take fleet/mesh.json out of the state folder of a host that trusts the same root.',
    });
  const { value } = await store.kv.get(MESH_KEY);
  const present = value === undefined ? undefined : openPublishers(value.value, store.roots);
  if (present !== undefined && !isRefused(present)) {
    if (present.document.fleet !== kept.document.fleet)
      throw new TrysailError('FLEET_EXISTS', `Consul has the list of another fleet of the same root (${MESH_KEY}).`, {
        remedy:
          'Name the right Consul by --consul, or delete that key if the list in the file is the one that hosts hold.',
      });
    if (present.document.revision >= kept.document.revision) return undefined;
  }
  if (await store.kv.put(MESH_KEY, Buffer.from(sealed), { cas: value?.modifyIndex ?? 0 }))
    return kept.document.revision;
  throw new TrysailError('FLEET_CONFLICT', 'Somebody else wrote the list of publishers at the same time.', {
    remedy: 'Look at it with "trysail publisher list", and run this again.',
  });
}

async function verifies(
  store: FleetStore,
  entry: KvEntry,
  namespace: string,
  publishers: Publishers,
): Promise<boolean> {
  const held = await verified(store, entry.value, namespace, publishers);
  if (held === undefined) return false;
  // An old head that was written back verifies, and is not the newest.
  return (await newestHead(store, namespace, publishers, held.head.revision)) === undefined;
}
