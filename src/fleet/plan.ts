/** From what a user asks for to the changes of namespaces: apply, prune, delete, roll back. */
import { isDeepStrictEqual } from 'node:util';
import { parse } from 'yaml';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import { YAML_OPTIONS } from '../lib/yaml-syntax.ts';
import type { NamespaceChanges, Put } from './compose-head.ts';
import { type Entry, entryKey } from './documents.ts';
import type { CurrentNamespace } from './fleet-store.ts';
import type { Manifest } from './manifest.ts';
import { contentHash } from './signed-document.ts';

/** What becomes of one resource. */
export interface ResourceChange {
  readonly action: 'created' | 'changed' | 'deleted' | 'unchanged';
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** YAML; undefined: there was, or will be, none. */
  readonly before: string | undefined;
  readonly after: string | undefined;
}

const contentOf = (text: string): unknown => parse(text, { ...YAML_OPTIONS, maxAliasCount: 100 });

function sameContent(a: string, b: string): boolean {
  if (a === b) return true;
  try {
    return isDeepStrictEqual(contentOf(a), contentOf(b));
  } catch (error) {
    throw new TrysailError('FLEET_MANIFEST', `A resource is not YAML: ${errorMessage(error)}.`, { cause: error });
  }
}

/** A namespace as it is, with the bodies of its resources by hash. */
export interface Base {
  readonly current: CurrentNamespace;
  readonly bodies: ReadonlyMap<string, string>;
}

function entryOf({ current }: Base, one: Pick<Entry, 'kind' | 'name'>): Entry | undefined {
  return current.held?.entries.get(entryKey(one));
}

/**
 * The changes that make a namespace have these resources. A resource that says the same in other words, or with other
 * comments, is unchanged.
 * @param prune whether what is not among them is deleted
 */
export function planApply(base: Base, manifests: readonly Manifest[], prune: boolean): NamespaceChanges {
  const puts: Put[] = [];
  for (const { kind, name, text } of manifests) {
    const old = entryOf(base, { kind, name });
    const body = old === undefined ? undefined : base.bodies.get(old.hash);
    if (body === undefined || !sameContent(body, text)) puts.push({ kind, name, text });
  }
  const wanted = new Set(manifests.map(entryKey));
  const entries = [...(base.current.held?.entries.values() ?? [])];
  return { current: base.current, puts, deletes: prune ? entries.filter((entry) => !wanted.has(entryKey(entry))) : [] };
}

/** The changes that bring back the resources of an earlier revision. */
export function planRollback(base: Base, target: Base): NamespaceChanges {
  const puts: Put[] = [];
  const goal = target.current.held?.entries ?? new Map<string, Entry>();
  for (const entry of goal.values()) {
    if (entryOf(base, entry)?.hash === entry.hash) continue;
    const text = target.bodies.get(entry.hash);
    if (text === undefined || contentHash(text) !== entry.hash) continue;
    const { kind, name, created, createdMs } = entry;
    puts.push({ kind, name, text, created: { created, createdMs } });
  }
  const entries = [...(base.current.held?.entries.values() ?? [])];
  return { current: base.current, puts, deletes: entries.filter((entry) => !goal.has(entryKey(entry))) };
}

/** What changes mean for each resource, sorted; with `unchanged` also those that stay. */
export function describeChanges(
  base: Base,
  { puts, deletes }: NamespaceChanges,
  unchanged: readonly Pick<Manifest, 'kind' | 'name'>[] = [],
): readonly ResourceChange[] {
  const { namespace } = base.current;
  const bodyOf = (one: Pick<Entry, 'kind' | 'name'>): string | undefined => {
    const entry = entryOf(base, one);
    return entry === undefined ? undefined : base.bodies.get(entry.hash);
  };
  const touched = new Set([...puts, ...deletes].map(entryKey));
  const changes: ResourceChange[] = [
    ...puts.map(({ kind, name, text }): ResourceChange => {
      const before = bodyOf({ kind, name });
      const action = before === undefined ? 'created' : 'changed';
      return { action, kind, namespace, name, before, after: text };
    }),
    ...deletes.map(({ kind, name }): ResourceChange => {
      const before = bodyOf({ kind, name });
      return { action: 'deleted', kind, namespace, name, before, after: undefined };
    }),
    ...unchanged
      .filter((one) => !touched.has(entryKey(one)))
      .map(({ kind, name }): ResourceChange => {
        const before = bodyOf({ kind, name });
        return { action: 'unchanged', kind, namespace, name, before, after: before };
      }),
  ];
  return changes.sort((a, b) => {
    const [x, y] = [entryKey(a), entryKey(b)];
    return x < y ? -1 : Number(x > y);
  });
}
