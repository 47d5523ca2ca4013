/**
 * A subscription that is told what changed: every delta one, and those of the state of the world whose responses need
 * not be complete (endpoints, routes, secrets).
 */
import { blamedNames } from './blame.ts';
import { ChangeQueue, type Pending } from './change-queue.ts';
import { HeldVersions, NOTHING } from './held-versions.ts';
import { absentFrame, COLLECTIVE_TYPES, type PreparedResource } from './prepared-resource.ts';
import { TYPE_URL } from './resource.ts';
import { ResponseDraft } from './response-draft.ts';
import {
  type Gate,
  type InFlight,
  type Outgoing,
  type Rejection,
  type ResourceStatus,
  Subscription,
  type SubscriptionContext,
  TooManyNames,
} from './subscription.ts';
import { type Entry, type TypeTable, wantedOf } from './type-table.ts';

interface Refused {
  /** Whether the client's message names it: then it stays away until it changes itself. */
  readonly blamed: boolean;
  readonly lacking: boolean;
}

export class NamedSubscription extends Subscription {
  readonly kind: 'sotw' | 'delta';
  #wantsAll = false;
  #everNamed = false;
  #namesWanted = 0;
  /** A first answer is due even if it is empty. */
  #greet = false;
  readonly #known: HeldVersions;
  readonly #asked = new Set<Entry>();
  readonly #upserts = new ChangeQueue();
  readonly #removals = new ChangeQueue();
  readonly #heartbeats = new Set<Entry>();
  readonly #refused = new Map<Entry, Refused>();

  constructor(kind: 'sotw' | 'delta', table: TypeTable, context: SubscriptionContext) {
    super(table, context);
    this.kind = kind;
    this.#known = new HeldVersions(table);
  }

  get wantsAll(): boolean {
    return this.#wantsAll;
  }

  get nameCount(): number {
    return this.#namesWanted;
  }

  get upserts(): Pending | undefined {
    return this.#upserts.pending;
  }

  get removals(): Pending | undefined {
    return this.#removals.pending;
  }

  get owesAnswer(): boolean {
    return this.#greet || this.#asked.size > 0;
  }

  get hasRejected(): boolean {
    return this.#refused.size > 0;
  }

  /** The names of a state-of-the-world request: all that the client wants from now on. */
  setNames(names: readonly string[]): void {
    const wanted = new Set(names);
    this.#checkLimit(wanted.size);
    for (const [entry] of this.#known) if (!wanted.has(entry.name)) this.#unsubscribe(entry);
    for (const name of wanted) {
      const entry = this.table.entry(name);
      if (!entry.subscribers.has(this.number)) this.#subscribe(entry);
    }
  }

  /**
   * The names of a delta request.
   * @param initialVersions what the client holds from an earlier stream; only for the first request of the type
   */
  changeNames(
    subscribe: readonly string[],
    unsubscribe: readonly string[],
    initialVersions: ReadonlyMap<string, string> | undefined,
  ): void {
    const collective = COLLECTIVE_TYPES.has(this.table.typeUrl);
    for (const name of unsubscribe) {
      if (collective && name === '*') this.#leaveEverything();
      else this.#unsubscribe(this.table.entry(name));
    }
    this.#checkLimit(this.#namesWanted + subscribe.length);
    for (const name of subscribe) {
      if (collective && name === '*') this.#wantEverything();
      else this.#subscribe(this.table.entry(name));
    }
    if (subscribe.length > 0 || unsubscribe.length > 0) this.#everNamed = true;
    if (initialVersions === undefined) return;
    if (collective && !this.#everNamed) this.#wantEverything();
    this.#takeOver(initialVersions);
    this.#greet = this.#wantsAll && initialVersions.size === 0;
  }

  changed(entry: Entry, generation: number): void {
    this.#refused.delete(entry);
    // What was refused along with others, and may be in order, goes with the next change.
    for (const [other, { blamed }] of this.#refused) {
      if (blamed) continue;
      this.#refused.delete(other);
      this.#queue(other, generation);
    }
    // Once a resource is gone that was never sent, there is no trace of it left.
    if (this.#wanted(entry) === undefined && !this.#known.has(entry)) this.#asked.delete(entry);
    this.#queue(entry, generation);
    this.context.wake();
  }

  *pendingResources(): Generator<PreparedResource> {
    for (const entry of this.#upserts) {
      const wanted = this.#wanted(entry);
      if (wanted !== undefined) yield wanted;
    }
  }

  compose(gate: Gate, nowMs: number): Outgoing | undefined {
    const { kind, table, upserts, removals } = this;
    const { supportsTtl } = this.context;
    const draft = new ResponseDraft({ kind, table, supportsTtl, notesDeliveries: gate.deliveries });
    let generation = this.owesAnswer ? 0 : Number.POSITIVE_INFINITY;
    this.#answer(draft);
    const carriesChanges = gate.upserts && upserts !== undefined && this.#change(draft, gate, nowMs);
    if (carriesChanges) generation = Math.min(generation, upserts.first);
    if (gate.removals && removals !== undefined) {
      this.#remove(draft);
      generation = Math.min(generation, removals.first);
    }
    let { version } = table;
    const { frames, removed, entries, fresh, deliveries } = draft;
    if (draft.isEmpty && !this.#greet) {
      for (const { current } of this.#heartbeats) if (current !== undefined) frames.push(current.heartbeatFrame(kind));
      this.#heartbeats.clear();
      if (frames.length === 0) return undefined;
      // A heartbeat must not look like an update.
      version = this.acknowledged?.version ?? version;
    }
    this.#greet = false;
    const content = { kind, typeUrl: table.typeUrl, version, frames, removed: [...removed] };
    const response = this.context.encoder.encode(content, this.lastSerial);
    this.noteSent(response, { version, generation, sentAtMs: nowMs, entries, fresh });
    return { response, deliveries, carriesChanges };
  }

  /** What the client has just asked for. */
  #answer(draft: ResponseDraft): void {
    for (const entry of this.#asked) {
      const wanted = this.#wanted(entry);
      if (wanted !== undefined) {
        this.#give(draft, entry, wanted);
        this.#upserts.delete(entry);
      } else if (this.kind === 'delta' && this.context.announceMissing && this.#known.has(entry)) {
        if (this.table.typeUrl === TYPE_URL.virtualHost) draft.addAbsent(entry, absentFrame(entry.name));
        else draft.remove(entry, entry.name);
        this.#release(entry);
        this.#removals.delete(entry);
      }
    }
    this.#asked.clear();
  }

  /** What has changed, as far as the gate lets it pass; returns whether anything has. */
  #change(draft: ResponseDraft, gate: Gate, nowMs: number): boolean {
    let hasChanged = false;
    for (const entry of this.#upserts) {
      const current = this.#wanted(entry);
      if (current !== undefined && gate.holds(current)) {
        // What keeps it back is not time, so it does not become overdue.
        this.#upserts.postpone(nowMs);
        continue;
      }
      this.#upserts.delete(entry);
      if (current === undefined || this.#known.get(entry)?.version === current.version) continue;
      this.#give(draft, entry, current);
      hasChanged = true;
    }
    return hasChanged;
  }

  /** What is gone. */
  #remove(draft: ResponseDraft): void {
    for (const entry of this.#removals) {
      const held = this.#known.get(entry);
      if (held !== undefined && held !== NOTHING) draft.remove(entry, held.name);
      this.#release(entry);
    }
    this.#removals.clear();
  }

  #give(draft: ResponseDraft, entry: Entry, resource: PreparedResource): void {
    draft.add(entry, resource, this.#known.get(entry));
    this.#known.set(entry, resource);
    this.#refused.delete(entry);
  }

  protected refuse({ entries, fresh }: InFlight, message: string): Pick<Rejection, 'names' | 'blamed'> {
    const isFresh = new Set(fresh);
    const blamed = new Set(
      blamedNames(
        message,
        entries.map((entry) => entry.current?.name ?? entry.name),
      ),
    );
    for (const sentEntry of entries) {
      const entry = this.table.entry(sentEntry.name);
      if (!this.#wantsAll && !entry.subscribers.has(this.number)) {
        this.table.forget(entry);
        continue;
      }
      // Envoy may have applied a part of it: what it holds is not known.
      this.#known.set(entry, { name: entry.current?.name ?? entry.name, version: '' });
      const isBlamed = blamed.has(entry.current?.name ?? entry.name);
      // With the faulty ones known, the others need not wait.
      if (blamed.size > 0 && !isBlamed) this.#queue(entry, this.context.generation());
      else this.#refused.set(entry, { blamed: isBlamed, lacking: isFresh.has(sentEntry) });
    }
    if (blamed.size > 0) return { names: [...blamed], blamed: true };
    return { names: entries.map((entry) => entry.name), blamed: false };
  }

  lacks(name: string): boolean {
    for (const [entry, { lacking }] of this.#refused) if (lacking && entry.name === name) return true;
    return false;
  }

  sendAgain(name: string): void {
    const entry = this.table.entry(name);
    const { current } = entry;
    const isDue = this.#upserts.has(entry) && this.#known.get(entry)?.version !== current?.version;
    const isWanted = current !== undefined && entry.subscribers.has(this.number);
    if (isWanted && !isDue && !this.#refused.has(entry)) this.#asked.add(entry);
    else this.table.forget(entry);
  }

  heartbeat(): void {
    if (!this.context.supportsTtl) return;
    for (const resource of this.table.expiring.values()) {
      const entry = this.table.entry(resource.name);
      if (this.#known.get(entry) === resource) this.#heartbeats.add(entry);
    }
  }

  *statuses(): Generator<ResourceStatus> {
    const inFlight = new Set(this.inFlight?.entries);
    for (const [entry, held] of this.#known) {
      const { name, current } = entry;
      const version = held.version === '' ? (current?.version ?? '') : held.version;
      if (this.#refused.has(entry)) yield { name, version: current?.version ?? version, state: 'rejected' };
      else if (current === undefined) yield { name, version: '', state: 'missing' };
      else if (inFlight.has(entry)) yield { name, version, state: 'sent' };
      else yield { name, version, state: held === NOTHING ? 'unsent' : 'acknowledged' };
    }
  }

  close(): void {
    this.table.everything.delete(this);
    for (const [entry] of this.#known) {
      entry.subscribers.delete(this.number);
      this.#known.delete(entry);
      this.table.forget(entry);
    }
    this.table.leave(this.number);
  }

  #checkLimit(count: number): void {
    if (count > this.context.maxNames) throw new TooManyNames(`${count} names of ${this.table.typeUrl} asked for`);
  }

  #subscribe(entry: Entry): void {
    if (!entry.subscribers.has(this.number)) {
      entry.subscribers.add(this.number);
      this.#namesWanted += 1;
    }
    if (!this.#known.has(entry)) this.#known.set(entry, NOTHING);
    if (entry.current !== undefined || this.kind === 'delta') this.#asked.add(entry);
  }

  #unsubscribe(entry: Entry): void {
    if (entry.subscribers.delete(this.number)) {
      this.#namesWanted -= 1;
      // It still belongs to everything, or it does not exist: the client must hear which.
      if (this.#wantsAll) this.#asked.add(entry);
      else this.#drop(entry);
    }
    this.table.forget(entry);
  }

  #wantEverything(): void {
    if (this.#wantsAll) return;
    this.#wantsAll = true;
    this.table.everything.add(this);
    for (const entry of this.table.entriesOfEverything()) this.#asked.add(entry);
    this.#greet = true;
  }

  #leaveEverything(): void {
    this.#everNamed = true;
    this.#wantsAll = false;
    this.#greet = false;
    this.table.everything.delete(this);
    for (const [entry] of this.#known) if (!entry.subscribers.has(this.number)) this.#drop(entry);
    for (const entry of this.#asked) if (!entry.subscribers.has(this.number)) this.#asked.delete(entry);
    for (const entry of this.#upserts) if (!entry.subscribers.has(this.number)) this.#upserts.delete(entry);
  }

  #takeOver(initialVersions: ReadonlyMap<string, string>): void {
    for (const [name, version] of initialVersions) {
      const entry = this.table.entry(name);
      if (!this.#wantsAll && !entry.subscribers.has(this.number)) {
        this.table.forget(entry);
        continue;
      }
      this.#asked.delete(entry);
      const wanted = this.#wanted(entry);
      if (wanted?.version === version) {
        this.#known.set(entry, wanted);
      } else {
        this.#known.set(entry, { name, version });
        this.#queue(entry, this.context.generation());
      }
    }
  }

  #wanted(entry: Entry): PreparedResource | undefined {
    return wantedOf(entry, this.number);
  }

  #queue(entry: Entry, generation: number): void {
    if (this.#wanted(entry) !== undefined) {
      this.#removals.delete(entry);
      this.#upserts.add(entry, generation);
      return;
    }
    this.#upserts.delete(entry);
    const held = this.#known.get(entry);
    if (held === undefined || held === NOTHING) return;
    if (this.kind === 'sotw' || !this.context.announceMissing) {
      // There is no way to say it.
      this.#release(entry);
      return;
    }
    this.#removals.add(entry, generation);
  }

  /** The client no longer holds it; it may still want it. */
  #release(entry: Entry): void {
    if (entry.subscribers.has(this.number)) this.#known.set(entry, NOTHING);
    else this.#drop(entry);
  }

  #drop(entry: Entry): void {
    this.#asked.delete(entry);
    this.#upserts.delete(entry);
    this.#removals.delete(entry);
    this.#heartbeats.delete(entry);
    this.#refused.delete(entry);
    this.#known.delete(entry);
    this.table.forget(entry);
  }
}
