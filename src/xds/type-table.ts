/** The resources of one type, and who wants which of them: a change costs only its subscribers. */
import { BitSet } from './bit-set.ts';
import { type PreparedResource, prepareResource, sameContent } from './prepared-resource.ts';
import type { Resource, TypeUrl } from './resource.ts';

/** A name that exists, or that somebody asked for. */
export interface Entry {
  readonly name: string;
  /** What the name stands for now; a resource of another name when this one is an alias. */
  current: PreparedResource | undefined;
  /** Small and dense; given to another entry after this one is forgotten. */
  readonly index: number;
  /** Who asked for it by name: numbers of subscribers. */
  readonly subscribers: BitSet;
  /** How many subscribers keep a note about it; an entry with neither is forgotten. */
  holders: number;
}

export interface Subscriber {
  /** As `join` gave it. */
  readonly number: number;
  /** What `entry` stands for has changed, appeared or gone, as part of the change numbered `generation`. */
  changed(entry: Entry, generation: number): void;
}

/** What the subscriber with this number is to have of an entry: what is on demand only if it asked for that name. */
export function wantedOf({ current, subscribers }: Entry, number: number): PreparedResource | undefined {
  return current?.resource.onDemand !== true || subscribers.has(number) ? current : undefined;
}

/** A set of resources at one moment. */
export interface Snapshot {
  readonly resources: ReadonlyMap<string, PreparedResource>;
  /** Depends on nothing but names and contents. */
  readonly version: string;
}

type MutableMark = [number, number];

function addMark(mark: MutableMark, { mark: [high, low] }: PreparedResource): void {
  mark[0] ^= high;
  mark[1] ^= low;
}

const versionText = ([high, low]: MutableMark): string =>
  (high >>> 0).toString(16).padStart(8, '0') + (low >>> 0).toString(16).padStart(8, '0');

/** `resources` with their version; the map must not change afterwards. */
export function snapshotOf(resources: ReadonlyMap<string, PreparedResource>): Snapshot {
  const mark: MutableMark = [0, 0];
  for (const resource of resources.values()) addMark(mark, resource);
  return { resources, version: versionText(mark) };
}

const NONE: ReadonlyMap<string, Resource> = new Map();

export class TypeTable {
  readonly typeUrl: string;
  /** Those who want all resources. */
  readonly everything = new Set<Subscriber>();
  readonly #entries = new Map<string, Entry>();
  /** Alias → the name of the resource that carries it. */
  readonly #aliases = new Map<string, string>();
  readonly #byIndex: (Entry | undefined)[] = [];
  readonly #freeIndexes: number[] = [];
  readonly #members: (Subscriber | undefined)[] = [];
  readonly #freeNumbers: number[] = [];
  readonly #expiring = new Map<string, PreparedResource>();
  readonly #mark: MutableMark = [0, 0];
  #source: ReadonlyMap<string, Resource> = NONE;
  #snapshot: Snapshot | undefined;

  constructor(typeUrl: string) {
    this.typeUrl = typeUrl;
  }

  /** The version of the whole set with what is on demand, for the eyes of people. */
  get version(): string {
    return versionText(this.#mark);
  }

  has(name: string): boolean {
    return this.#source.has(name);
  }

  /** What stands behind a name or alias. */
  find(name: string): PreparedResource | undefined {
    return this.#entries.get(name)?.current ?? this.#behindAlias(name);
  }

  get hasAliases(): boolean {
    return this.#aliases.size > 0;
  }

  /** Resources that clients drop unless they are renewed, by name. */
  get expiring(): ReadonlyMap<string, PreparedResource> {
    return this.#expiring;
  }

  /** What everything is now, without what is on demand; the same object until something changes. */
  snapshot(): Snapshot {
    if (this.#snapshot === undefined) {
      const resources = new Map<string, PreparedResource>();
      for (const { name, current } of this.entriesOfEverything())
        if (current !== undefined) resources.set(name, current);
      this.#snapshot = snapshotOf(resources);
    }
    return this.#snapshot;
  }

  /** The entries of every resource that exists and is not on demand, under its own name. */
  *entriesOfEverything(): Generator<Entry> {
    for (const entry of this.#entries.values())
      if (entry.current?.name === entry.name && entry.current.resource.onDemand !== true) yield entry;
  }

  /** The entry of a name, made if need be. The caller notes itself in it, or calls `forget`. */
  entry(name: string): Entry {
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      const target = this.#aliases.get(name);
      const current = target === undefined ? undefined : this.#entries.get(target)?.current;
      const index = this.#freeIndexes.pop() ?? this.#byIndex.length;
      entry = { name, index, current, subscribers: new BitSet(), holders: 0 };
      this.#byIndex[index] = entry;
      this.#entries.set(name, entry);
    }
    return entry;
  }

  /** Drops an entry that stands for nothing and that nobody wants. */
  forget(entry: Entry): void {
    const isResource = entry.current?.name === entry.name;
    const isWanted = entry.holders > 0 || entry.subscribers.size > 0;
    if (isResource || isWanted || this.#byIndex[entry.index] !== entry) return;
    this.#entries.delete(entry.name);
    this.#byIndex[entry.index] = undefined;
    this.#freeIndexes.push(entry.index);
  }

  entryAt(index: number): Entry | undefined {
    return this.#byIndex[index];
  }

  /** Gives a subscriber its number, by which entries know it. */
  join(subscriber: Subscriber): number {
    const number = this.#freeNumbers.pop() ?? this.#members.length;
    this.#members[number] = subscriber;
    return number;
  }

  /** The subscriber has taken itself out of all entries. */
  leave(number: number): void {
    this.#members[number] = undefined;
    this.#freeNumbers.push(number);
  }

  /** Takes over a new set; compares by reference, then by bytes. */
  replace(typeUrl: TypeUrl, next: ReadonlyMap<string, Resource>, generation: number): void {
    const previous = this.#source;
    if (previous === next) return;
    this.#source = next;
    let kept = 0;
    for (const [name, resource] of next) {
      const before = previous.get(name);
      if (before !== undefined) kept += 1;
      if (before === resource || (before !== undefined && sameContent(before, resource))) continue;
      // The key is what clients ask for.
      const named = resource.name === name ? resource : { ...resource, name };
      this.#set(name, prepareResource(typeUrl, named), generation);
    }
    if (kept === previous.size) return;
    for (const name of previous.keys()) if (!next.has(name)) this.#set(name, undefined, generation);
  }

  #set(name: string, resource: PreparedResource | undefined, generation: number): void {
    this.#snapshot = undefined;
    const entry = this.entry(name);
    const before = entry.current?.name === name ? entry.current : undefined;
    if (before !== undefined) addMark(this.#mark, before);
    if (resource !== undefined) addMark(this.#mark, resource);
    if (resource?.resource.ttlMs === undefined) this.#expiring.delete(name);
    else this.#expiring.set(name, resource);

    const aliases = new Set([...(before?.resource.aliases ?? []), ...(resource?.resource.aliases ?? [])]);
    for (const alias of before?.resource.aliases ?? [])
      if (this.#aliases.get(alias) === name) this.#aliases.delete(alias);
    for (const alias of resource?.resource.aliases ?? []) this.#aliases.set(alias, name);

    entry.current = resource ?? this.#behindAlias(name);
    const isOfEverything = [before, resource].some((one) => one !== undefined && one.resource.onDemand !== true);
    this.#notify(entry, generation, isOfEverything);
    for (const alias of aliases) {
      const other = this.#entries.get(alias);
      // A resource of this very name goes before an alias.
      if (other === undefined || other === entry || other.current?.name === alias) continue;
      other.current = this.#behindAlias(alias);
      for (const number of other.subscribers) this.#members[number]?.changed(other, generation);
    }
    this.forget(entry);
  }

  #behindAlias(alias: string): PreparedResource | undefined {
    const target = this.#aliases.get(alias);
    const current = target === undefined ? undefined : this.#entries.get(target)?.current;
    return current?.name === target ? current : undefined;
  }

  #notify(entry: Entry, generation: number, isOfEverything: boolean): void {
    for (const number of entry.subscribers) this.#members[number]?.changed(entry, generation);
    if (!isOfEverything) return;
    for (const subscriber of this.everything)
      if (!entry.subscribers.has(subscriber.number)) subscriber.changed(entry, generation);
  }
}
