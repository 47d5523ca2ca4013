/** Changes of several namespaces: one half of a change waits for the other, so that nobody sees one without the other. */
import type { Held } from './accept-head.ts';
import type { Fetched } from './fetch-head.ts';

/** A revision that is taken and not in force yet. */
export interface Next extends Fetched {
  /** By `performance.now()`: when something newer than what holds was first taken. */
  readonly sinceMs: number;
}

/** The followed namespaces, by name: what is in force of each, and what is to follow. */
export type Halves = ReadonlyMap<string, { readonly held: Held | undefined; readonly next: Next | undefined }>;

const revisionOf = (held: Held | undefined): number => held?.head.revision ?? 0;

/** The followed namespaces that changed in the same step as this head and are not known to have done so. */
export function missingHalves(followed: Halves, { namespace, head }: Held): readonly string[] {
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
export function readyNamespaces(followed: Halves, hasWaited: (sinceMs: number) => boolean): ReadonlySet<string> {
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
