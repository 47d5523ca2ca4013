/** A namespace that a host follows: what is in force, what Consul has, and what stands between the two. */
import type { TrysailError } from '../lib/errors.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Held } from './accept-head.ts';
import type { Stage } from './documents.ts';
import type { KeyWatch } from './key-watch.ts';

export interface Followed {
  readonly watch: KeyWatch;
  held: Held | undefined;
  /** What Consul has; undefined: no answer yet, or no such key. */
  bytes: Uint8Array | undefined;
  /** Whether `bytes` was judged, by the list of publishers that holds. */
  judged: boolean;
  /** Taken and not in force yet, with when it was first wanted. */
  next: { readonly held: Held; readonly bodies: ReadonlyMap<string, string>; readonly sinceMs: number } | undefined;
  problem: Diagnostic | undefined;
  /** Of the head that was judged last. */
  stage?: Stage | undefined;
  error: TrysailError | undefined;
  /** What the leader said when it was asked beside the watch: Consul's index of the head, and when. */
  leader?: { readonly index: number; readonly atMs: number };
}

export type FollowedNamespaces = ReadonlyMap<string, Followed>;

const revisionOf = (held: Held | undefined): number => held?.head.revision ?? 0;

/** The followed namespaces that changed in the same step as this head and are not known to have done so. */
export function missingHalves(followed: FollowedNamespaces, { namespace, head }: Held): readonly string[] {
  return Object.entries(head.transaction.revisions).flatMap(([other, revision]) => {
    const partner = followed.get(other);
    if (partner === undefined || other === namespace) return [];
    return Math.max(revisionOf(partner.held), revisionOf(partner.next?.held)) >= revision ? [] : [other];
  });
}

/**
 * The namespaces whose next revision can be put in force now, all at once: whole steps, and halves that have waited.
 * @param hasWaited by when it was first wanted
 */
export function readyNamespaces(
  followed: FollowedNamespaces,
  hasWaited: (sinceMs: number) => boolean,
): ReadonlySet<string> {
  const ready = new Set([...followed].flatMap(([name, { next }]) => (next === undefined ? [] : [name])));
  const waits = (name: string): boolean => {
    const next = followed.get(name)?.next;
    if (next === undefined || hasWaited(next.sinceMs)) return false;
    return Object.entries(next.held.head.transaction.revisions).some(([other, revision]) => {
      const partner = followed.get(other);
      if (partner === undefined || other === name || revisionOf(partner.held) >= revision) return false;
      return !ready.has(other) || revisionOf(partner.next?.held) < revision;
    });
  };
  // Who waits keeps others waiting.
  for (let before = -1; before !== ready.size; ) {
    before = ready.size;
    for (const name of ready) if (waits(name)) ready.delete(name);
  }
  return ready;
}
