/** What one client holds of one type, and what it has asked for, at eight bytes a name. */
import type { Held } from './prepared-resource.ts';
import type { Entry, TypeTable } from './type-table.ts';

/** Asked for, and not held. */
export const NOTHING: Held = { name: '', version: '' };

/** A note about every entry that the client asked for or holds. A version of '' is not known. */
export class HeldVersions {
  readonly #table: TypeTable;
  readonly #byIndex: (Held | undefined)[] = [];

  constructor(table: TypeTable) {
    this.#table = table;
  }

  /** Undefined: neither held nor asked for. */
  get(entry: Entry): Held | undefined {
    return this.#byIndex[entry.index];
  }

  has(entry: Entry): boolean {
    return this.#byIndex[entry.index] !== undefined;
  }

  set(entry: Entry, held: Held): void {
    if (!this.has(entry)) entry.holders += 1;
    this.#byIndex[entry.index] = held;
  }

  delete(entry: Entry): void {
    if (!this.has(entry)) return;
    this.#byIndex[entry.index] = undefined;
    entry.holders -= 1;
  }

  *[Symbol.iterator](): Generator<readonly [Entry, Held]> {
    for (const [index, held] of this.#byIndex.entries()) {
      const entry = held === undefined ? undefined : this.#table.entryAt(index);
      if (held !== undefined && entry !== undefined) yield [entry, held];
    }
  }
}
