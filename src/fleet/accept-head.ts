/**
 * The only judge of what is taken from Consul: whether a namespace's head verifies, whether it follows what is held, and
 * whether each of its resources was published by somebody who may. Pure but for what it is given to read.
 */
import {
  type Change,
  changeOf,
  changeText,
  type Entry,
  entryKey,
  type HeadDocument,
  indexParts,
  readHeadDocument,
  readIndexPart,
  TYPES,
} from './documents.ts';
import { FLEET_LIMITS } from './layout.ts';
import { mayChange, mayPublish, type Publishers } from './publishers.ts';
import { contentHash, isRefused, openDocument, type Refused, verifyText } from './signed-document.ts';

/** A namespace's revision as it is held. */
export interface Held {
  readonly namespace: string;
  readonly head: HeadDocument;
  /** Of the head's payload. */
  readonly hash: string;
  /** The head as Consul has it, for the disk and for history. */
  readonly sealed: string;
  /** Id of the key that signed it. */
  readonly key: string;
  /** By `kind/name`. */
  readonly entries: ReadonlyMap<string, Entry>;
}

/** A head that verifies and follows; its resources are still to be looked at. */
export type Judged = Omit<Held, 'entries'>;

/** What is known of a namespace from before. */
export type Before = Pick<Held, 'head' | 'hash' | 'entries'> | undefined;

/** Each step of a roll-out is one revision, and the first follows what was in force before. */
function isStepOf({ revision, previous, stage }: HeadDocument): boolean {
  if (stage === undefined) return true;
  const { base, step, steps } = stage;
  if (step > steps.length || (base?.revision ?? 0) + step !== revision) return false;
  return step > 1 || (base?.hash ?? null) === previous;
}

/**
 * Judges the bytes of a head.
 * @param before what is held: nothing older is taken, and nothing else of the same number
 */
export function judgeHead(
  bytes: Uint8Array | string,
  namespace: string,
  publishers: Publishers,
  before: Before,
): Judged | Refused {
  const { document: mesh, byKey } = publishers;
  const opened = openDocument(
    TYPES.head,
    bytes,
    (id) => byKey.get(id)?.key ?? { refused: `it is signed by ${id}, which is no publisher of this fleet` },
    2 * FLEET_LIMITS.headBytes,
  );
  if (isRefused(opened)) return opened;
  const head = readHeadDocument(opened.payload);
  if (isRefused(head)) return head;
  const { publisher } = byKey.get(opened.key) ?? {};
  if (publisher === undefined) return { refused: 'its publisher is unknown' };
  if (head.fleet !== mesh.fleet) return { refused: 'it belongs to another fleet' };
  if (head.namespace !== namespace) return { refused: `it belongs to the namespace ${head.namespace}` };
  if (!mayPublish(publisher, namespace))
    return { refused: `its publisher ${publisher.name} may not publish in ${namespace}` };
  const floor = mesh.floors[namespace];
  const isFloor = floor?.revision === head.revision && floor.hash === opened.hash;
  if (publisher.revokedAtMs !== undefined && !isFloor) return { refused: `its publisher ${publisher.name} is revoked` };
  if (floor !== undefined && !isFloor && head.revision <= floor.revision)
    return { refused: `its revision ${head.revision} is not above ${floor.revision}, from which this fleet goes on` };
  if (!isStepOf(head)) return { refused: 'its step does not follow the revision that it names as the one before' };
  if (before !== undefined) {
    const { revision } = before.head;
    if (head.revision < revision)
      return { refused: `its revision ${head.revision} is below ${revision}, which this host has seen` };
    if (head.revision === revision && opened.hash !== before.hash)
      return { refused: `it is another revision ${revision} than this host has seen` };
    if (head.revision === revision + 1 && head.previous !== before.hash)
      return { refused: `its revision ${head.revision} does not follow the ${revision} that this host has seen` };
  }
  return {
    namespace,
    head,
    hash: opened.hash,
    sealed: typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('utf8'),
    key: opened.key,
  };
}

/** The entries after the changes of a head; undefined where they do not lead to its index. */
function patched({ head }: Judged, before: Before): ReadonlyMap<string, Entry> | undefined {
  if ((before?.head.revision ?? 0) < head.changesSince) return undefined;
  const entries = new Map(before?.entries);
  for (const change of head.changes.map(changeOf)) {
    if (change.revision <= (before?.head.revision ?? 0)) continue;
    const { hash } = change;
    if (hash === null) entries.delete(entryKey(change));
    else entries.set(entryKey(change), { ...change, hash });
  }
  const parts = indexParts([...entries.values()]);
  const same = parts.length === head.index.length && parts.every((part, i) => contentHash(part) === head.index[i]);
  return same ? entries : undefined;
}

async function indexed(
  { head }: Judged,
  readPart: (hash: string) => Promise<string>,
): Promise<ReadonlyMap<string, Entry> | Refused> {
  const entries = new Map<string, Entry>();
  for (const hash of head.index) {
    const text = await readPart(hash);
    if (contentHash(text) !== hash) return { refused: `the part ${hash} of its index has another content` };
    const part = readIndexPart(text);
    if (isRefused(part)) return { refused: `its index: ${part.refused}` };
    for (const change of part) {
      const key = entryKey(change);
      if (change.hash === null || entries.has(key)) return { refused: `its index is malformed at ${key}` };
      entries.set(key, { ...change, hash: change.hash });
    }
  }
  return entries;
}

/** Why a change of a resource does not count; undefined: it does. */
function faultOf(change: Change, namespace: string, { document: mesh, byKey }: Publishers): string | undefined {
  const { publisher, key } = byKey.get(change.key) ?? {};
  const what = `${change.kind} ${change.name}`;
  if (publisher === undefined || key === undefined)
    return `${what} is signed by ${change.key}, which is no publisher of this fleet`;
  if (!mayChange(publisher, namespace, change.kind))
    return `${what}: the publisher ${publisher.name} may not change the kind ${change.kind} in ${namespace}`;
  if (publisher.revokedAtMs !== undefined && change.revision > (mesh.floors[namespace]?.revision ?? 0))
    return `${what}: the publisher ${publisher.name} is revoked`;
  if (!verifyText(TYPES.change, changeText(mesh.fleet, namespace, change), change.signature, key))
    return `the signature of ${what} does not belong to it`;
  return undefined;
}

/** Why one of the entries, or one that is missing now, does not count; undefined: all do. */
function faultOfEntries(
  { head, namespace, key }: Judged,
  entries: ReadonlyMap<string, Entry>,
  before: Before,
  publishers: Publishers,
): string | undefined {
  const seen = before?.head.revision ?? 0;
  for (const [entry, change] of entries) {
    const old = before?.entries.get(entry);
    if (old?.signature === change.signature && old.hash === change.hash) continue;
    if (change.revision > head.revision || change.created > change.revision)
      return `${change.kind} ${change.name} is of revision ${change.revision}, which is none of its own`;
    if (change.revision <= seen)
      return `${change.kind} ${change.name} is of revision ${change.revision}, in which this host has seen another`;
    const fault = faultOf(change, namespace, publishers);
    if (fault !== undefined) return fault;
  }
  const signer = publishers.byKey.get(key)?.publisher;
  for (const [entry, old] of before?.entries ?? []) {
    if (entries.has(entry)) continue;
    if (signer !== undefined && mayChange(signer, namespace, old.kind)) continue;
    const deleted = head.changes
      .map(changeOf)
      .find((change) => entryKey(change) === entry && change.hash === null && change.revision > seen);
    if (deleted === undefined)
      return `${old.kind} ${old.name} is missing, and its publisher ${signer?.name ?? key} may not delete the kind`;
    const fault = faultOf(deleted, namespace, publishers);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/**
 * Looks at the resources of a judged head.
 * @param readPart reads a part of the index by its hash; what it throws is passed on: nothing is decided then
 */
export async function takeHead(
  judged: Judged,
  before: Before,
  publishers: Publishers,
  readPart: (hash: string) => Promise<string>,
): Promise<Held | Refused> {
  const entries = patched(judged, before) ?? (await indexed(judged, readPart));
  if ('refused' in entries) return entries;
  const fault = faultOfEntries(judged, entries, before, publishers);
  return fault === undefined ? { ...judged, entries } : { refused: fault };
}

/** Bytes as people read them: `8 MB`. */
export function megabytes(bytes: number): string {
  return `${Math.ceil((bytes * 10) / (1024 * 1024)) / 10} MB`;
}

/** Why text is too much, and whether less of other namespaces would help. */
export interface TooMuch {
  readonly why: string;
  /** Bytes of the other namespaces, which leave no room; undefined: it is too much by itself. */
  readonly others: number | undefined;
}

/**
 * Whether the resources of a namespace are too much text for a host; undefined: they are not.
 * @param bytes their text, as far as it was read
 * @param others the text of the other namespaces that the host follows
 */
export function judgeSize(bytes: number, others: number): TooMuch | undefined {
  const { namespaceBytes, hostBytes } = FLEET_LIMITS;
  if (bytes > namespaceBytes)
    return { why: `its resources have more than ${megabytes(namespaceBytes)} of text`, others: undefined };
  if (bytes + others <= hostBytes) return undefined;
  const why = `its resources and those of the other namespaces that this host follows (${megabytes(others)}) have more than ${megabytes(hostBytes)} of text`;
  return { why, others };
}

/** The bodies that travel inside of a head, those alone whose hash is right. */
export function inlineBodies({ head }: Pick<Judged, 'head'>): ReadonlyMap<string, string> {
  return new Map(Object.entries(head.bodies).filter(([hash, text]) => contentHash(text) === hash));
}
