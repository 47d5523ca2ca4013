/** Everything of a head that a host lacks: parts of the index and bodies, inline or read by their hash. */
import type { KvStore } from '../consul/kv.ts';
import type { Slots } from '../lib/slots.ts';
import { type Held, inlineBodies, type Judged, judgeSize, type TooMuch, takeHead } from './accept-head.ts';
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
  /** The size of a body that is there already. */
  readonly bodyBytes: (hash: string) => number | undefined;
  /** The text of the other followed namespaces, in bytes. */
  readonly textOfOthers: () => number;
  /** Told how much text there is so far, in bytes. */
  readonly onText: (bytes: number) => void;
}

/** A revision that a host can put in force. */
export interface Fetched {
  readonly held: Held;
  /** Those that were not there, by hash. */
  readonly bodies: ReadonlyMap<string, string>;
  /** The text of all of its resources, in bytes. */
  readonly bytes: number;
}

/** What is not taken because the host would hold too much. */
export interface Oversized {
  readonly tooMuch: TooMuch;
}

/**
 * Looks at the resources of a judged head and reads what is missing, as long as it is not too much.
 * @throws TrysailError `FLEET_CONTENT_MISSING`, `CONSUL_…`: nothing is decided then
 */
export async function fetchHead(
  judged: Judged,
  before: Held | undefined,
  { kv, slots, signal, publishers, bodyBytes, textOfOthers, onText }: FetchContext,
): Promise<Fetched | Refused | Oversized> {
  const { namespace } = judged;
  const part = (hash: string): Promise<string> =>
    slots.run(async () => readContent(kv, indexKey(namespace, hash), hash, signal));
  const content = (hash: string): Promise<string> => readContent(kv, bodyKey(namespace, hash), hash, signal);
  const held = before?.hash === judged.hash ? before : await takeHead(judged, before, publishers, part);
  if (isRefused(held)) return held;
  const inline = inlineBodies(judged);
  const bodies = new Map<string, string>();
  let bytes = 0;
  let tooMuch: TooMuch | undefined;
  const count = (more: number): void => {
    bytes += more;
    tooMuch ??= judgeSize(bytes, textOfOthers());
    // At once, so that of several that are read together no more than needed are left out.
    onText(tooMuch === undefined ? bytes : 0);
  };
  const lacking: string[] = [];
  for (const { hash } of held.entries.values()) {
    const present = bodyBytes(hash);
    if (present === undefined) lacking.push(hash);
    else count(present);
  }
  await Promise.all(
    lacking.map(async (hash) => {
      const inside = inline.get(hash);
      const text = inside ?? (await slots.run(async () => (tooMuch === undefined ? content(hash) : undefined)));
      if (text === undefined || tooMuch !== undefined) return;
      bodies.set(hash, text);
      count(Buffer.byteLength(text));
    }),
  );
  return tooMuch === undefined ? { held, bodies, bytes } : { tooMuch };
}
