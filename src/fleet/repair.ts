/** Puts right what somebody has broken in Consul by writing there past the commands, as far as it can be. */
import type { KvEntry } from '../consul/kv.ts';
import { TrysailError } from '../lib/errors.ts';
import { collectLeftovers } from './collect-leftovers.ts';
import type { OpenFleet } from './fleet.ts';
import type { FleetStore } from './fleet-store.ts';
import { newestHead } from './history.ts';
import { headKey, NAMESPACES_PREFIX } from './layout.ts';
import type { Publishers } from './publishers.ts';

/** A namespace in which something was put right. */
export interface Repaired {
  readonly namespace: string;
  /** Of the head that was put back; absent: it was right. */
  readonly revision?: number;
  /** How many keys are gone that publishers had left behind; absent: none. */
  readonly collected?: number;
}

/**
 * Puts the newest head that verifies back where the one in force does not, and collects what nothing refers to.
 * @throws TrysailError `FLEET_BEYOND_REPAIR`, `FLEET_…`, `CONSUL_…`
 */
export async function repairFleet({ store }: OpenFleet): Promise<readonly Repaired[]> {
  const publishers = await store.publishers();
  const repaired: Repaired[] = [];
  for (const namespace of await store.namespaces()) {
    const entry = await store.head(namespace);
    if (entry !== undefined && (await verifies(store, entry, namespace, publishers))) {
      const collected = await collectLeftovers(store, namespace, publishers);
      if (collected > 0) repaired.push({ namespace, collected });
      continue;
    }
    const best = await newestHead(store, namespace, publishers);
    if (best === undefined)
      throw new TrysailError('FLEET_BEYOND_REPAIR', `No head of ${namespace} in Consul verifies any more.`, {
        remedy: `Restore ${NAMESPACES_PREFIX}${namespace}/ from a snapshot of Consul. Hosts hold what they had.`,
      });
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
  return repaired;
}

async function verifies(
  store: FleetStore,
  entry: KvEntry,
  namespace: string,
  publishers: Publishers,
): Promise<boolean> {
  try {
    const held = await store.open(entry.value, namespace, publishers);
    // An old head that was written back verifies, and is not the newest.
    const best = await newestHead(store, namespace, publishers);
    return best === undefined || held.head.revision >= best.head.revision;
  } catch (error) {
    if (error instanceof TrysailError && error.code.startsWith('FLEET_')) return false;
    throw error;
  }
}
