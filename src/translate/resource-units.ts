/** The units of which translation consists, one a resource: memoised by their inputs, and kept when they fail. */
import { errorMessage } from '../lib/errors.ts';
import { sameBytes } from '../lib/same-bytes.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Resource, Resources, TypeUrl } from '../xds/resource.ts';
import { Memo } from './memo.ts';
import { CLUSTER, LISTENER, LOAD_ASSIGNMENT, ROUTE_CONFIG, SECRET } from './type-urls.ts';
import type { Client } from './view/calling.ts';

export type Kind = 'secrets' | 'clusters' | 'loadAssignments' | 'listeners' | 'routeConfigs';

/** How many units were built since the translator exists. */
export type Recomputed = Readonly<Record<Kind, number>>;

type ByName = ReadonlyMap<string, Resource>;

const TYPE_OF: Readonly<Record<Kind, TypeUrl>> = {
  secrets: SECRET,
  clusters: CLUSTER,
  loadAssignments: LOAD_ASSIGNMENT,
  listeners: LISTENER,
  routeConfigs: ROUTE_CONFIG,
};

const LABELS: Readonly<Record<Kind, string>> = {
  secrets: 'certificate files',
  clusters: 'cluster',
  loadAssignments: 'endpoints of',
  listeners: 'listener',
  routeConfigs: 'routes',
};

/** Whom a resource is for, where not everybody on the host. */
export interface Owner {
  readonly context: 'SIDECAR_INBOUND' | 'SIDECAR_OUTBOUND' | 'GATEWAY';
  readonly workload: Pick<Client, 'namespace' | 'labels'>;
}

/** In the order in which Envoy wants them: what is referred to before what refers to it. */
const KINDS = [
  'secrets',
  'clusters',
  'loadAssignments',
  'listeners',
  'routeConfigs',
] as const satisfies readonly Kind[];

function sameResource(a: Resource | undefined, b: Resource | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.name === b.name && sameBytes(a.value, b.value);
}

function holdsSame(last: ByName, resources: ReadonlyMap<string, Resource>): boolean {
  if (last.size !== resources.size) return false;
  for (const [name, value] of resources) if (last.get(name) !== value) return false;
  return true;
}

/** Sorted by name; the map of the last call if it holds the same objects. */
function share(last: ByName | undefined, resources: ByName): ByName {
  if (last === resources || (last !== undefined && holdsSame(last, resources))) return last;
  let before: string | undefined;
  for (const name of resources.keys()) {
    if (before !== undefined && before > name) return new Map([...resources].toSorted(([a], [b]) => (a < b ? -1 : 1)));
    before = name;
  }
  return resources;
}

function emptyKinds(): Record<Kind, Map<string, Resource>> {
  return {
    secrets: new Map(),
    clusters: new Map(),
    loadAssignments: new Map(),
    listeners: new Map(),
    routeConfigs: new Map(),
  };
}

/** The resources of one translation after another; what did not change is the same object. */
export class ResourceUnits {
  readonly #memos: Readonly<Record<Kind, Memo<Resource | undefined>>> = {
    secrets: new Memo(sameResource),
    clusters: new Memo(sameResource),
    loadAssignments: new Memo(sameResource),
    listeners: new Memo(sameResource),
    routeConfigs: new Memo(sameResource),
  };
  #last: Resources | undefined;
  #made: Record<Kind, ByName> = emptyKinds();
  /** The maps of `#made` that are ours to change; those of the last translation are not. */
  #ours = emptyKinds();
  /** What the last translation has and this one is to make anew. */
  readonly #stale: Readonly<Record<Kind, Set<string>>> = {
    secrets: new Set(),
    clusters: new Set(),
    loadAssignments: new Set(),
    listeners: new Set(),
    routeConfigs: new Set(),
  };
  /** Kinds of which this translation has made what the last one did not have. */
  readonly #grown = new Set<Kind>();
  #recorded: (readonly [Kind, string])[] | undefined;
  #failures: Diagnostic[] = [];
  #owners = new Map<string, Owner | 'nobody'>();

  get recomputed(): Recomputed {
    const { secrets, clusters, loadAssignments, listeners, routeConfigs } = this.#memos;
    return {
      secrets: secrets.recomputed,
      clusters: clusters.recomputed,
      loadAssignments: loadAssignments.recomputed,
      listeners: listeners.recomputed,
      routeConfigs: routeConfigs.recomputed,
    };
  }

  /** What could not be built, and therefore was kept from the translation before or left out. */
  get failures(): readonly Diagnostic[] {
    return this.#failures;
  }

  /** Begins a translation with nothing. */
  begin(): void {
    for (const kind of KINDS) this.#grown.add(kind);
    this.#ours = emptyKinds();
    this.#made = { ...this.#ours };
    this.#failures = [];
    this.#owners = new Map();
  }

  /** Begins a translation with all that the last one made. */
  resume(): void {
    this.#ours = emptyKinds();
    for (const kind of KINDS) this.#made[kind] = this.#last?.get(TYPE_OF[kind]) ?? new Map();
  }

  /** The map of a kind, to change it. */
  #change(kind: Kind): Map<string, Resource> {
    if (this.#made[kind] !== this.#ours[kind]) this.#ours[kind] = new Map(this.#made[kind]);
    this.#made[kind] = this.#ours[kind];
    return this.#ours[kind];
  }

  /** Says whom a resource is for, `nobody` where it only leads to what is for somebody; the first of a name holds. */
  own(kind: Kind, name: string, owner: Owner | 'nobody'): void {
    const key = `${TYPE_OF[kind]} ${name}`;
    if (!this.#owners.has(key)) this.#owners.set(key, owner);
  }

  /** Whom a resource is for; undefined: everybody on the host. */
  owner(type: TypeUrl, name: string): Owner | 'nobody' | undefined {
    return this.#owners.get(`${type} ${name}`);
  }

  /** Remembers the names of the resources that `part` makes. */
  record(part: () => void): readonly (readonly [Kind, string])[] {
    const recorded: (readonly [Kind, string])[] = [];
    this.#recorded = recorded;
    try {
      part();
    } finally {
      this.#recorded = undefined;
    }
    return recorded;
  }

  /** Has a resource of the last translation made anew; it goes if nobody does. */
  delete(kind: Kind, name: string): void {
    if (this.#made[kind].has(name)) this.#stale[kind].add(name);
  }

  /** Makes a resource, or takes that of the last time if `inputs` are the same; the first of a name holds. */
  make(kind: Kind, name: string, inputs: readonly unknown[], build: () => Resource | undefined): Resource | undefined {
    this.#recorded?.push([kind, name]);
    const known = this.#made[kind].get(name);
    if (known !== undefined && !this.#stale[kind].delete(name)) return known;
    const made = this.#makeOrKeep(kind, name, inputs, build);
    if (made !== undefined && known === undefined) this.#grown.add(kind);
    if (made !== undefined && made !== known) this.#change(kind).set(name, made);
    if (made === undefined && known !== undefined) this.#change(kind).delete(name);
    return made;
  }

  #makeOrKeep(
    kind: Kind,
    name: string,
    inputs: readonly unknown[],
    build: () => Resource | undefined,
  ): Resource | undefined {
    try {
      return this.#memos[kind].get(name, inputs, build);
    } catch (error) {
      return this.#failed(`${LABELS[kind]} ${name}`, error, this.#last?.get(TYPE_OF[kind])?.get(name));
    }
  }

  /** Ends a translation that began with nothing: what it did not ask for is forgotten. */
  sweep(): void {
    for (const memo of Object.values(this.#memos)) memo.sweep();
  }

  /** What was made; the same object as the last time if nothing is another. */
  finish(): Resources {
    for (const kind of KINDS) {
      for (const name of this.#stale[kind]) this.#change(kind).delete(name);
      this.#stale[kind].clear();
    }
    const last = this.#last;
    const next = new Map(
      KINDS.map((kind) => {
        const [type, made] = [TYPE_OF[kind], this.#made[kind]];
        return [type, this.#grown.has(kind) ? share(last?.get(type), made) : made];
      }),
    );
    this.#grown.clear();
    const same = last !== undefined && [...next].every(([type, byName]) => last.get(type) === byName);
    this.#last = same ? last : next;
    return this.#last;
  }

  /**
   * What `build` makes, or, when that fails, what was last made: one thing that cannot be built must not take the others
   * with it.
   * @param what names it in the diagnostic
   */
  lastGood<T>(what: string, build: () => T, kept: () => T | undefined): T | undefined {
    try {
      return build();
    } catch (error) {
      return this.#failed(what, error, kept());
    }
  }

  #failed<T>(what: string, error: unknown, last: T | undefined): T | undefined {
    this.#failures.push({
      code: 'TRY0405',
      severity: 'error',
      object: what,
      message: `it cannot be encoded (${errorMessage(error)}); ${last === undefined ? 'it is left out' : 'its last good version stays'}`,
      remedy:
        'Look for a value out of range in the resources that it comes from, and report it: they should have been refused.',
    });
    return last;
  }
}
