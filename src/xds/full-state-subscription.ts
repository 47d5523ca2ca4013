/**
 * A subscription to clusters or listeners in the state of the world: every response is complete, and what it lacks the
 * client deletes. So that nothing breaks before its replacement is made, a removal waits by keeping the resource in.
 */
import { blamedNames } from './blame.ts';
import { addPending, type Pending } from './change-queue.ts';
import type { PreparedResource } from './prepared-resource.ts';
import {
  type Delivery,
  type Gate,
  type InFlight,
  type Outgoing,
  type Rejection,
  type ResourceStatus,
  Subscription,
  TooManyNames,
} from './subscription.ts';
import { type Entry, type Snapshot, snapshotOf, type TypeTable, wantedOf } from './type-table.ts';

const NOTHING: Snapshot = snapshotOf(new Map());

interface Step {
  readonly from: Snapshot;
  readonly to: Snapshot;
  /** `to`, with what only `from` has. */
  readonly union: Snapshot;
  /** Whether `to` lacks something that `from` has. */
  readonly removes: boolean;
  /** In `to`, and not so in `from`. */
  readonly changed: readonly Delivery[];
}

/** The last step of each table: streams mostly take the same one. */
const lastSteps = new WeakMap<TypeTable, Step>();

function step(table: TypeTable, from: Snapshot, to: Snapshot): Step {
  const last = lastSteps.get(table);
  if (last?.from === from && last.to === to) return last;
  const gone = [...from.resources].filter(([name]) => !to.resources.has(name));
  const made: Step = {
    from,
    to,
    union: gone.length === 0 ? to : snapshotOf(new Map([...to.resources, ...gone])),
    removes: gone.length > 0,
    changed: [...to.resources.values()]
      .map((resource) => ({ resource, before: from.resources.get(resource.name) }))
      .filter(({ resource, before }) => resource !== before),
  };
  lastSteps.set(table, made);
  return made;
}

export class FullStateSubscription extends Subscription {
  readonly kind = 'sotw' as const;
  #wantsAll = false;
  #everNamed = false;
  readonly #named = new Set<Entry>();
  #held: Snapshot = NOTHING;
  /** Whether what the client holds is in doubt because it refused the last response. */
  #refusedHeld = false;
  #wantedCache: Snapshot | undefined;
  #asked = false;
  #heartbeatDue = false;
  #refused: { readonly snapshot: Snapshot; readonly lacking: ReadonlySet<string> } | undefined;
  /** What the last response was made from, for the case that it is refused. */
  #lastStep: Step | undefined;
  #upserts: Pending | undefined;
  #removals: Pending | undefined;

  get wantsAll(): boolean {
    return this.#wantsAll;
  }

  get nameCount(): number {
    return this.#named.size;
  }

  get upserts(): Pending | undefined {
    return this.#upserts;
  }

  get removals(): Pending | undefined {
    return this.#removals;
  }

  get owesAnswer(): boolean {
    return this.#asked;
  }

  get hasRejected(): boolean {
    return this.#refused !== undefined;
  }

  /**
   * The names of a request: all that the client wants from now on.
   * @param heldVersion the version that the client holds from an earlier stream; only for the first request
   */
  setNames(names: readonly string[], heldVersion: string | undefined): void {
    if (names.length > this.context.maxNames)
      throw new TooManyNames(`${names.length} names of ${this.table.typeUrl} asked for`);
    if (names.length > 0) this.#everNamed = true;
    const wanted = new Set(names);
    const wantsAll = wanted.delete('*') || !this.#everNamed;
    let changed = wantsAll !== this.#wantsAll;
    this.#wantsAll = wantsAll;
    if (wantsAll) this.table.everything.add(this);
    else this.table.everything.delete(this);
    for (const entry of this.#named) {
      if (wanted.has(entry.name)) continue;
      this.#named.delete(entry);
      entry.subscribers.delete(this.number);
      this.table.forget(entry);
      const { current } = entry;
      changed ||= current !== undefined && (!wantsAll || current.resource.onDemand === true);
    }
    for (const name of wanted) {
      const entry = this.table.entry(name);
      if (this.#named.has(entry)) continue;
      this.#named.add(entry);
      entry.subscribers.add(this.number);
      changed = true;
    }
    if (!wantsAll && this.#named.size === 0) this.#refused = undefined;
    if (changed && !wantsAll && this.#held !== NOTHING) {
      // What it no longer wants it has dropped.
      this.#held = snapshotOf(new Map([...this.#held.resources].filter(([name]) => wanted.has(name))));
    }
    if (heldVersion !== undefined && heldVersion !== '' && wantsAll && heldVersion === this.#wanted().version) {
      // It has it all from before: nothing to send until something changes.
      this.#held = this.#wanted();
      this.acknowledged = { version: heldVersion, at: Date.now() };
      return;
    }
    if (changed || heldVersion !== undefined) this.#asked = true;
  }

  changed(entry: Entry, generation: number): void {
    this.#refused = undefined;
    const nowMs = performance.now();
    // Whether it is an upsert or a removal shows when the sets are compared.
    if (wantedOf(entry, this.number) === undefined) this.#removals = addPending(this.#removals, generation, nowMs);
    else this.#upserts = addPending(this.#upserts, generation, nowMs);
    this.context.wake();
  }

  pendingResources(): Iterable<PreparedResource> {
    if (this.#upserts === undefined) return [];
    return step(this.table, this.#held, this.#wanted()).changed.map(({ resource }) => resource);
  }

  compose(gate: Gate, nowMs: number): Outgoing | undefined {
    const { typeUrl } = this.table;
    const wanted = this.#wanted();
    const next = step(this.table, this.#held, wanted);
    const mayUpsert = this.#asked || (gate.upserts && this.#upserts !== undefined);
    const mayRemove = gate.removals && this.#removals !== undefined;
    const heartbeat = this.#heartbeatDue && this.#upserts === undefined && this.#removals === undefined;
    if (!mayUpsert && !mayRemove && !heartbeat) return undefined;
    // A removal alone is not to let an upsert slip through that its own gate holds.
    if (!mayUpsert && this.#upserts !== undefined) return undefined;
    const target = gate.removals || this.#removals === undefined ? wanted : next.union;
    const isNews = target.version !== this.#held.version || this.#refusedHeld;
    const carriesChanges = isNews && !this.#asked;
    const generation = this.#asked
      ? 0
      : Math.min(
          this.#upserts?.first ?? Number.POSITIVE_INFINITY,
          mayRemove ? (this.#removals?.first ?? 0) : Number.POSITIVE_INFINITY,
        );
    const send = this.#asked || isNews || heartbeat;
    this.#asked = false;
    this.#heartbeatDue = false;
    this.#upserts = undefined;
    if (target === wanted) this.#removals = undefined;
    if (!send) return undefined;

    const frames: Uint8Array[] = [];
    for (const resource of target.resources.values()) frames.push(resource.sotwFrame(this.context.supportsTtl));
    const content = { kind: this.kind, typeUrl, version: target.version, frames, removed: [] };
    const response = this.context.encoder.encode(content, this.lastSerial);
    this.#lastStep = next;
    this.#held = target;
    this.#refusedHeld = false;
    this.#refused = undefined;
    this.noteSent(response, {
      version: target.version,
      generation: carriesChanges || generation === 0 ? generation : Number.POSITIVE_INFINITY,
      sentAtMs: nowMs,
      entries: [],
      fresh: [],
    });
    return { response, deliveries: next.changed, carriesChanges };
  }

  protected refuse(_inFlight: InFlight, message: string): Pick<Rejection, 'names' | 'blamed'> {
    const sent = this.#held;
    const before = this.#lastStep?.from ?? NOTHING;
    const changed = (this.#lastStep?.changed ?? []).map(({ resource }) => resource.name);
    const blamed = blamedNames(message, sent.resources.keys());
    const suspects = blamed.length > 0 ? blamed : changed;
    this.#refused = {
      snapshot: sent,
      lacking: new Set(suspects.filter((name) => !before.resources.has(name))),
    };
    this.#held = snapshotOf(before.resources);
    this.#refusedHeld = true;
    return { names: suspects, blamed: blamed.length > 0 };
  }

  lacks(name: string): boolean {
    return this.#refused?.lacking.has(name) === true;
  }

  sendAgain(): void {
    // The next response carries it anyway.
  }

  heartbeat(): void {
    if (this.context.supportsTtl && this.table.expiring.size > 0 && this.inFlight === undefined)
      this.#heartbeatDue = true;
  }

  *statuses(): Generator<ResourceStatus> {
    const sent = this.#refused?.snapshot ?? this.#held;
    const wanted = this.#wanted();
    for (const [name, { version }] of wanted.resources) {
      if (!sent.resources.has(name)) yield { name, version, state: 'unsent' };
      else if (this.#refused !== undefined) yield { name, version, state: 'rejected' };
      else yield { name, version, state: this.inFlight === undefined ? 'acknowledged' : 'sent' };
    }
    for (const entry of this.#named)
      if (entry.current === undefined) yield { name: entry.name, version: '', state: 'missing' };
  }

  close(): void {
    this.table.everything.delete(this);
    for (const entry of this.#named) {
      entry.subscribers.delete(this.number);
      this.table.forget(entry);
    }
    this.#named.clear();
    this.table.leave(this.number);
  }

  #wanted(): Snapshot {
    const everything = this.#wantsAll ? this.table.snapshot() : NOTHING;
    const named = [...this.#named].flatMap(({ current }) => current ?? []);
    if (this.#wantsAll && named.every(({ name }) => everything.resources.has(name))) return everything;
    const resources = new Map(everything.resources);
    for (const resource of named) resources.set(resource.name, resource);
    const made = snapshotOf(resources);
    // The same set is the same object, so that steps are found again.
    if (this.#wantedCache?.version !== made.version) this.#wantedCache = made;
    return this.#wantedCache ?? made;
  }
}
