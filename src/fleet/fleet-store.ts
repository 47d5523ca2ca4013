/** Reads the fleet's configuration from Consul as somebody who has seen nothing of it before: commands and publishers. */
import type { KvEntry, KvStore } from '../consul/kv.ts';
import { Backoff } from '../lib/backoff.ts';
import { TrysailError } from '../lib/errors.ts';
import { sleep } from '../lib/sleep.ts';
import { Slots } from '../lib/slots.ts';
import { type Held, inlineBodies, judgeHead, takeHead } from './accept-head.ts';
import { type FreezeDocument, readFreezeDocument, TYPES } from './documents.ts';
import { bodyKey, FLEET_LIMITS, FREEZE_KEY, headKey, indexKey, MESH_KEY, NAMESPACES_PREFIX } from './layout.ts';
import { openPublishers, type Publishers } from './publishers.ts';
import { contentHash, isRefused, openDocument, type Refused } from './signed-document.ts';
import type { VerifyingKey } from './signing-key.ts';

/** How many reads are under way at once. */
const READS = 16;
/** How often what must be there is looked for with the leader before it counts as gone. */
const TRIES = 4;

/** A namespace as it is in Consul now. */
export interface CurrentNamespace {
  readonly namespace: string;
  /** Undefined: nothing was ever published in it. */
  readonly held: Held | undefined;
  /** Of its head; 0: there is none. */
  readonly modifyIndex: number;
}

export interface Frozen {
  readonly document: FreezeDocument;
  readonly modifyIndex: number;
  /** Name of who said so last. */
  readonly by: string;
}

const REMEDIES = {
  head: '"trysail fleet repair" puts the newest revision that verifies back.',
  list: 'A host keeps the last good one: "trysail fleet repair --list /var/lib/trysail/fleet/mesh.json" puts it back.',
  freeze: 'Whoever may freeze changes writes it anew: "trysail freeze", "trysail unfreeze".',
} as const;

function unverified(what: string, why: string, remedy: keyof typeof REMEDIES): TrysailError {
  return new TrysailError('FLEET_UNVERIFIED', `${what} in Consul does not verify: ${why}.`, {
    remedy: `Find out who can write there. ${REMEDIES[remedy]}`,
  });
}

/**
 * Reads what a hash names: any server may answer; what it does not have (yet) is asked of the leader.
 * @throws TrysailError `FLEET_CONTENT_MISSING`, `CONSUL_…`
 */
export async function readContent(
  kv: Pick<KvStore, 'get'>,
  key: string,
  hash: string,
  signal?: AbortSignal,
): Promise<string> {
  const backoff = new Backoff({ baseMs: 50, maxMs: 500 });
  for (let i = 0; i < TRIES; i += 1) {
    const { value } = await kv.get(key, { stale: i === 0, signal });
    const text = value === undefined ? undefined : Buffer.from(value.value).toString('utf8');
    if (text !== undefined && contentHash(text) === hash) return text;
    if (i > 0 && i + 1 < TRIES) await sleep(backoff.nextMs(), signal);
    signal?.throwIfAborted();
  }
  throw new TrysailError(
    'FLEET_CONTENT_MISSING',
    `${key} is not in Consul, or has another content than its name says.`,
    {
      remedy: 'Apply the resources again, or find out who deletes or changes keys there.',
    },
  );
}

export class FleetStore {
  readonly kv: KvStore;
  readonly roots: readonly VerifyingKey[];
  readonly #slots = new Slots(READS);

  constructor(kv: KvStore, roots: readonly VerifyingKey[]) {
    this.kv = kv;
    this.roots = roots;
  }

  /** The list of publishers. @throws TrysailError `FLEET_MISSING`, `FLEET_UNVERIFIED` */
  async publishers(): Promise<Publishers & { readonly modifyIndex: number }> {
    const { value } = await this.kv.get(MESH_KEY);
    if (value === undefined)
      throw new TrysailError(
        'FLEET_MISSING',
        `There is no fleet configuration in Consul: ${MESH_KEY} does not exist.`,
        {
          remedy:
            'Make one with "trysail fleet init", or name the right Consul by --consul. Where there was one, hosts keep its list: "trysail fleet repair --list /var/lib/trysail/fleet/mesh.json".',
        },
      );
    const publishers = openPublishers(value.value, this.roots);
    if (isRefused(publishers)) throw unverified(`The list of publishers (${MESH_KEY})`, publishers.refused, 'list');
    return { ...publishers, modifyIndex: value.modifyIndex };
  }

  /** Whether changes are frozen. @throws TrysailError `FLEET_UNVERIFIED` */
  async freeze(publishers: Publishers): Promise<Frozen> {
    const { mark } = await this.freezeMark(publishers);
    if (isRefused(mark)) throw unverified(`The mark that freezes changes (${FREEZE_KEY})`, mark.refused, 'freeze');
    return mark;
  }

  /** What Consul says of freezing, or why that does not count; with the index of its key, 0 without one. */
  async freezeMark(publishers: Publishers): Promise<{ readonly mark: Frozen | Refused; readonly modifyIndex: number }> {
    const { value } = await this.kv.get(FREEZE_KEY);
    if (value === undefined) return { mark: { refused: 'it does not exist' }, modifyIndex: 0 };
    return { mark: this.#openFreeze(value, publishers), modifyIndex: value.modifyIndex };
  }

  #openFreeze({ value, modifyIndex }: KvEntry, publishers: Publishers): Frozen | Refused {
    const opened = openDocument(
      TYPES.freeze,
      value,
      (id) => {
        const { publisher, key } = publishers.byKey.get(id) ?? {};
        if (key !== undefined && publisher?.mayFreeze === true) return key;
        return this.roots.find((root) => root.id === id) ?? { refused: `${id} is no key that may freeze changes` };
      },
      FLEET_LIMITS.headBytes,
    );
    if (isRefused(opened)) return opened;
    const document = readFreezeDocument(opened.payload);
    if (isRefused(document)) return document;
    if (document.fleet !== publishers.document.fleet) return { refused: 'it belongs to another fleet' };
    const by = publishers.byKey.get(opened.key)?.publisher.name ?? 'the root key';
    return { document, modifyIndex, by };
  }

  /** The namespaces in which something was published and which the token may see. */
  async namespaces(): Promise<readonly string[]> {
    const { value } = await this.kv.keys(NAMESPACES_PREFIX, { separator: '/' });
    return value.map((key) => key.slice(NAMESPACES_PREFIX.length).replace(/\/.*$/s, '')).filter((name) => name !== '');
  }

  /** A namespace's head as bytes. */
  async head(namespace: string): Promise<KvEntry | undefined> {
    return (await this.kv.get(headKey(namespace))).value;
  }

  /** @throws TrysailError `FLEET_UNVERIFIED`, `FLEET_CONTENT_MISSING` */
  async current(namespace: string, publishers: Publishers): Promise<CurrentNamespace> {
    const entry = await this.head(namespace);
    if (entry === undefined) return { namespace, held: undefined, modifyIndex: 0 };
    const held = await this.open(entry.value, namespace, publishers);
    return { namespace, held, modifyIndex: entry.modifyIndex };
  }

  /** A head, of now or of before, with its entries. @throws TrysailError `FLEET_UNVERIFIED`, `FLEET_CONTENT_MISSING` */
  async open(bytes: Uint8Array | string, namespace: string, publishers: Publishers): Promise<Held> {
    const judged = judgeHead(bytes, namespace, publishers, undefined);
    if (isRefused(judged)) throw unverified(`The head of namespace ${namespace}`, judged.refused, 'head');
    const held = await takeHead(judged, undefined, publishers, (hash) =>
      readContent(this.kv, indexKey(namespace, hash), hash),
    );
    if (isRefused(held)) throw unverified(`The head of namespace ${namespace}`, held.refused, 'head');
    return held;
  }

  /** The bodies of a namespace's resources, by hash. @throws TrysailError `FLEET_CONTENT_MISSING` */
  async bodies(held: Held): Promise<ReadonlyMap<string, string>> {
    const inline = inlineBodies(held);
    const hashes = [...new Set([...held.entries.values()].map(({ hash }) => hash))];
    return new Map(
      await Promise.all(
        hashes.map(async (hash): Promise<[string, string]> => {
          const text =
            inline.get(hash) ??
            (await this.#slots.run(() => readContent(this.kv, bodyKey(held.namespace, hash), hash)));
          return [hash, text];
        }),
      ),
    );
  }
}
