/**
 * The fleet's configuration on this host's disk: what an agent serves that starts while Consul is away, and the highest
 * revisions that it has seen. One folder a namespace; bodies are files named by their hash.
 */
import { mkdir, readdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import { errorCode } from '../lib/errors.ts';
import type { Held } from './accept-head.ts';
import { type Entry, entryKey, indexParts, readHeadDocument, readIndexPart, TYPES } from './documents.ts';
import { FLEET_LIMITS } from './layout.ts';
import type { Publishers } from './publishers.ts';
import { contentHash, isRefused, openDocument } from './signed-document.ts';

const headFile = z.object({
  version: z.literal(1),
  sealed: z.string(),
  index: z.array(z.string()),
});

/** A namespace as an earlier agent held it. */
export interface KeptNamespace {
  readonly held: Held;
  /** By hash; those that are still there and whole. */
  readonly bodies: ReadonlyMap<string, string>;
}

async function readOr<T>(file: string, otherwise: T): Promise<string | T> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return otherwise;
    throw error;
  }
}

export class KeptFleet {
  readonly #dir: string;

  /** @param stateDir the agent's state folder */
  constructor(stateDir: string) {
    this.#dir = join(stateDir, 'fleet');
  }

  /** The list of publishers as it was signed; undefined: none was ever seen. Rejects with the system's error. */
  async readMesh(): Promise<string | undefined> {
    return readOr(join(this.#dir, 'mesh.json'), undefined);
  }

  async writeMesh(sealed: string): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    await writeFileAtomic(join(this.#dir, 'mesh.json'), sealed);
  }

  /**
   * A namespace; undefined where nothing of it is kept, or what is kept cannot be used: it must be of the fleet of the
   * list that holds, and whole. A host that is given another root goes on from nothing of the old one's.
   * @param publishers the list that holds; undefined: none does
   */
  async read(namespace: string, publishers: Publishers | undefined): Promise<KeptNamespace | undefined> {
    if (publishers === undefined) return undefined;
    const dir = join(this.#dir, namespace);
    const text = await readOr(join(dir, 'head.json'), undefined);
    if (text === undefined) return undefined;
    const kept = z.parse(headFile, JSON.parse(text));
    const unknown = { refused: 'it is signed by nobody of this fleet' };
    const opened = openDocument(
      TYPES.head,
      kept.sealed,
      (id) => publishers.byKey.get(id)?.key ?? unknown,
      2 * FLEET_LIMITS.headBytes,
    );
    if (isRefused(opened)) return undefined;
    const head = readHeadDocument(opened.payload);
    if (isRefused(head) || head.namespace !== namespace || head.fleet !== publishers.document.fleet) return undefined;
    if (kept.index.length !== head.index.length) return undefined;
    const entries = new Map<string, Entry>();
    for (const [i, part] of kept.index.entries()) {
      if (contentHash(part) !== head.index[i]) return undefined;
      const changes = readIndexPart(part);
      if (isRefused(changes)) return undefined;
      for (const change of changes)
        if (change.hash !== null) entries.set(entryKey(change), { ...change, hash: change.hash });
    }
    const bodies = new Map<string, string>();
    for (const { hash } of entries.values()) {
      const body = await readOr(join(dir, hash), undefined);
      if (body !== undefined && contentHash(body) === hash) bodies.set(hash, body);
      else if (body !== undefined) await unlink(join(dir, hash)).catch(() => undefined);
    }
    const held: Held = {
      namespace,
      head,
      hash: opened.hash,
      sealed: kept.sealed,
      key: opened.key,
      entries,
    };
    return { held, bodies };
  }

  /** Writes a namespace: bodies that are not there yet, then the head. Rejects with the system's error. */
  async write({ namespace, sealed, entries }: Held, bodyOf: (hash: string) => string | undefined): Promise<void> {
    const dir = join(this.#dir, namespace);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const present = new Set(await readdir(dir));
    const wanted = new Set([...entries.values()].map(({ hash }) => hash));
    for (const hash of wanted) {
      const text = bodyOf(hash);
      // A body that a crash leaves torn does not have its hash, and is read again.
      if (text !== undefined && !present.has(hash)) await writeFile(join(dir, hash), text, { mode: 0o600 });
    }
    const index = indexParts([...entries.values()]);
    await writeFileAtomic(join(dir, 'head.json'), JSON.stringify({ version: 1, sealed, index }));
    for (const file of present)
      if (!wanted.has(file) && file !== 'head.json') await unlink(join(dir, file)).catch(() => undefined);
  }
}
