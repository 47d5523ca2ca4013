/** A response to one client while it is being composed, resource by resource. */
import { NOTHING } from './held-versions.ts';
import type { Held, PreparedResource } from './prepared-resource.ts';
import type { Delivery } from './subscription.ts';
import type { Entry, TypeTable } from './type-table.ts';

const isPrepared = (held: Held): held is PreparedResource => 'resource' in held;

export interface DraftOptions {
  readonly kind: 'sotw' | 'delta';
  readonly table: TypeTable;
  readonly supportsTtl: boolean;
  /** Whether `deliveries` are noted. */
  readonly notesDeliveries: boolean;
}

export class ResponseDraft {
  readonly #options: DraftOptions;
  /** Two names may stand for one resource. */
  readonly #sentNames: Set<string> | undefined;
  readonly frames: Uint8Array[] = [];
  /** Names of resources that the client is to drop. */
  readonly removed = new Set<string>();
  readonly entries: Entry[] = [];
  /** Those of the entries that the client held nothing of. */
  readonly fresh: Entry[] = [];
  readonly deliveries: Delivery[] = [];

  constructor(options: DraftOptions) {
    this.#options = options;
    this.#sentNames = options.table.hasAliases ? new Set() : undefined;
  }

  get isEmpty(): boolean {
    return this.frames.length === 0 && this.removed.size === 0;
  }

  /** @param held what the client has of the entry; undefined: it has not asked for it */
  add(entry: Entry, resource: PreparedResource, held: Held | undefined): void {
    const { kind, table, supportsTtl, notesDeliveries } = this.#options;
    const isHeld = held !== undefined && held !== NOTHING;
    if (!isHeld) this.fresh.push(entry);
    this.entries.push(entry);
    // An alias that stands for another resource than before leaves the former one behind.
    if (kind === 'delta' && isHeld && held.name !== resource.name && !table.has(held.name)) this.removed.add(held.name);
    if (this.#sentNames?.has(resource.name) === true) return;
    this.#sentNames?.add(resource.name);
    if (notesDeliveries)
      this.deliveries.push({ resource, before: held !== undefined && isPrepared(held) ? held : undefined });
    this.frames.push(kind === 'delta' ? resource.deltaFrame(supportsTtl) : resource.sotwFrame(supportsTtl));
  }

  /** @param name of the resource that the client has of the entry */
  remove(entry: Entry, name: string): void {
    this.removed.add(name);
    this.entries.push(entry);
  }

  /** The word that there is nothing of this name, of a type that has such a word. */
  addAbsent(entry: Entry, frame: Uint8Array): void {
    this.frames.push(frame);
    this.entries.push(entry);
  }
}
