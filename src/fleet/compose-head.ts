/** The next revision of a namespace: entries after the changes, all signed. */

import type { Held } from './accept-head.ts';
import {
  type Change,
  changeText,
  compareEntries,
  entryKey,
  type HeadDocument,
  indexParts,
  type Stage,
  TYPES,
  tupleOf,
} from './documents.ts';
import type { CurrentNamespace } from './fleet-store.ts';
import { FLEET_LIMITS } from './layout.ts';
import { contentHash, sealDocument, signText } from './signed-document.ts';
import type { SigningKey } from './signing-key.ts';

/** A resource to be written. */
export interface Put {
  readonly kind: string;
  readonly name: string;
  /** YAML. */
  readonly text: string;
  /** When it was created, for one that is brought back; absent: that of the one it replaces, or now. */
  readonly created?: Pick<Change, 'created' | 'createdMs'>;
}

/** What is to change in a namespace, on what it is now. */
export interface NamespaceChanges {
  readonly current: CurrentNamespace;
  readonly puts: readonly Put[];
  readonly deletes: readonly Pick<Put, 'kind' | 'name'>[];
}

/** A head that is not in Consul yet, with what it refers to. */
export interface NewHead {
  readonly namespace: string;
  readonly held: Held;
  readonly parts: readonly string[];
  /** Those of this revision's changes, by hash. */
  readonly bodies: ReadonlyMap<string, string>;
  readonly previous: Held | undefined;
}

export interface Composition {
  readonly fleet: string;
  readonly transaction: HeadDocument['transaction'];
  readonly key: SigningKey;
  readonly plan: Pick<HeadDocument, 'action'> & { readonly message: string | undefined };
  /** Absent: all hosts take it at once. */
  readonly stage?: Omit<Stage, 'base'> | undefined;
  /** Bytes that the head may have. */
  readonly budget: number;
}

/** Room for what stands around the changes and bodies of a head, in bytes. */
const FRAME_BYTES = 4096;

function inlined(
  changes: readonly Change[],
  bodies: ReadonlyMap<string, string>,
  budget: number,
): Readonly<Record<string, string>> {
  const chosen: Record<string, string> = {};
  let left = budget;
  for (const { hash } of changes.toReversed()) {
    const text = hash === null ? undefined : bodies.get(hash);
    if (hash === null || text === undefined || chosen[hash] !== undefined) continue;
    // Quoted twice: as JSON, and as JSON inside of the signed document.
    const bytes = Buffer.byteLength(JSON.stringify(JSON.stringify(text))) + 50;
    if (bytes > left || Buffer.byteLength(text) > FLEET_LIMITS.inlineBytes) continue;
    chosen[hash] = text;
    left -= bytes;
  }
  return chosen;
}

/** What hosts hold that do not take the revision yet: what was in force before the first step. */
function baseOf(previous: Held | undefined, id: string): Stage['base'] {
  if (previous === undefined) return null;
  const { stage, revision } = previous.head;
  return stage?.id === id ? stage.base : { revision, hash: previous.hash };
}

/** Composes and signs the head of one namespace. Pure but for the clock. */
export function composeHead(composition: Composition, { current, puts, deletes }: NamespaceChanges): NewHead {
  const { fleet, key, plan, stage } = composition;
  const { namespace, held: previous } = current;
  const revision = (previous?.head.revision ?? 0) + 1;
  // Never before the revision before, whatever this machine's clock says: it is the age of what is new.
  const atMs = Math.max(Date.now(), (previous?.head.atMs ?? 0) + 1);
  const entries = new Map(previous?.entries);
  const bodies = new Map<string, string>();
  const signed = (one: Omit<Change, 'key' | 'signature'>): Change => ({
    ...one,
    key: key.id,
    signature: signText(TYPES.change, changeText(fleet, namespace, one), key),
  });
  const changes: Change[] = [];
  const counts = { created: 0, changed: 0, deleted: 0 };
  for (const { kind, name, text, created } of puts) {
    const old = entries.get(entryKey({ kind, name }));
    const hash = contentHash(text);
    bodies.set(hash, text);
    const born = old ?? created ?? { created: revision, createdMs: atMs };
    const change = signed({ kind, name, hash, revision, created: born.created, createdMs: born.createdMs });
    entries.set(entryKey(change), { ...change, hash });
    changes.push(change);
    counts[old === undefined ? 'created' : 'changed'] += 1;
  }
  for (const { kind, name } of deletes) {
    const old = entries.get(entryKey({ kind, name }));
    if (old === undefined) continue;
    entries.delete(entryKey(old));
    changes.push(signed({ kind, name, hash: null, revision, created: old.created, createdMs: old.createdMs }));
    counts.deleted += 1;
  }
  changes.sort(compareEntries);
  const before = previous?.head;
  const latest = changes.length > FLEET_LIMITS.changes ? [] : changes.map(tupleOf);
  const room = Math.max(0, Math.floor((composition.budget - FRAME_BYTES) / 320));
  const fits = Math.min(FLEET_LIMITS.changes, room);
  const own = latest.length > fits ? [] : latest;
  // Whole revisions only, so that a number says from where on the list is complete.
  const kept = [...(before?.changes ?? [])];
  let since = own.length === 0 && changes.length > 0 ? revision : (before?.changesSince ?? 0);
  if (since === revision) kept.length = 0;
  while (kept.length + own.length > fits) {
    since = kept[0]?.[3] ?? since;
    while (kept[0]?.[3] === since) kept.shift();
  }
  const parts = indexParts([...entries.values()]);
  const list = [...kept, ...own];
  const document: HeadDocument = {
    version: 1,
    fleet,
    namespace,
    revision,
    previous: previous?.hash ?? null,
    transaction: composition.transaction,
    atMs,
    action: plan.action,
    ...(plan.message === undefined ? {} : { message: plan.message }),
    counts,
    index: parts.map(contentHash),
    changes: list,
    changesSince: since,
    // A further step says nothing new: hosts that take it now need what the first one changed.
    bodies:
      changes.length === 0
        ? { ...before?.bodies }
        : inlined(changes, bodies, composition.budget - FRAME_BYTES - list.length * 320),
    ...(stage === undefined ? {} : { stage: { ...stage, base: baseOf(previous, stage.id) } }),
  };
  const payload = JSON.stringify(document);
  const held: Held = {
    namespace,
    head: document,
    hash: contentHash(payload),
    sealed: sealDocument(TYPES.head, payload, key),
    key: key.id,
    entries,
  };
  return { namespace, held, parts, bodies, previous };
}
