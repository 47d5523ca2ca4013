/** Changes that wait to be sent to one client. */
import type { Entry } from './type-table.ts';

/** How old and how new the waiting changes are. Generations number the calls of `setResources`. */
export interface Pending {
  /** The oldest change among them. */
  readonly first: number;
  /** The newest. */
  readonly latest: number;
  /** Since when, in milliseconds of `performance.now()`. */
  readonly sinceMs: number;
}

/** What waits once a change of `generation` has come as well. */
export function addPending(pending: Pending | undefined, generation: number, nowMs: number): Pending {
  return pending === undefined
    ? { first: generation, latest: generation, sinceMs: nowMs }
    : { ...pending, latest: Math.max(pending.latest, generation) };
}

/** Entries that wait; each once, however often it changes. */
export class ChangeQueue {
  readonly #entries = new Set<Entry>();
  #pending: Pending | undefined;

  /** Undefined when nothing waits. */
  get pending(): Pending | undefined {
    return this.#entries.size === 0 ? undefined : this.#pending;
  }

  add(entry: Entry, generation: number): void {
    this.#pending = addPending(this.pending, generation, performance.now());
    this.#entries.add(entry);
  }

  has(entry: Entry): boolean {
    return this.#entries.has(entry);
  }

  delete(entry: Entry): void {
    this.#entries.delete(entry);
  }

  clear(): void {
    this.#entries.clear();
  }

  /** What waits does so for something other than time: its waiting starts anew. */
  postpone(nowMs: number): void {
    if (this.#pending !== undefined) this.#pending = { ...this.#pending, sinceMs: nowMs };
  }

  [Symbol.iterator](): Iterator<Entry> {
    return this.#entries.values();
  }
}
