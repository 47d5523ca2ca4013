/** Everything of a head that a host lacks: parts of the index and bodies, inline or read by their hash. */
import type { KvStore } from '../consul/kv.ts';
import type { Slots } from '../lib/slots.ts';
import { type Held, inlineBodies, type Judged, takeHead } from './accept-head.ts';
import { readContent } from './fleet-store.ts';
import { bodyKey, indexKey } from './layout.ts';
import type { Publishers } from './publishers.ts';
import { isRefused, type Refused } from './signed-document.ts';

export interface FetchContext {
  readonly kv: Pick<KvStore, 'get'>;
  /** Bounds what is read at once. */
  readonly slots: Slots;
  readonly signal: AbortSignal;
  readonly publishers: Publishers;
  /** Whether a body is there already. */
  readonly hasBody: (hash: string) => boolean;
}

/** A revision that a host can put in force. */
export interface Fetched {
  readonly held: Held;
  /** Those that were not there, by hash. */
  readonly bodies: ReadonlyMap<string, string>;
}

/**
 * Looks at the resources of a judged head and reads what is missing.
 * @throws TrysailError `FLEET_CONTENT_MISSING`, `CONSUL_…`: nothing is decided then
 */
export async function fetchHead(
  judged: Judged,
  before: Held | undefined,
  { kv, slots, signal, publishers, hasBody }: FetchContext,
): Promise<Fetched | Refused> {
  const { namespace } = judged;
  const read = (key: string, hash: string): Promise<string> =>
    slots.run(async () => readContent(kv, key, hash, signal));
  const held =
    before?.hash === judged.hash
      ? before
      : await takeHead(judged, before, publishers, (hash) => read(indexKey(namespace, hash), hash));
  if (isRefused(held)) return held;
  const inline = inlineBodies(judged);
  const bodies = new Map<string, string>();
  await Promise.all(
    [...held.entries.values()].map(async ({ hash }) => {
      if (hasBody(hash)) return;
      bodies.set(hash, inline.get(hash) ?? (await read(bodyKey(namespace, hash), hash)));
    }),
  );
  return { held, bodies };
}
