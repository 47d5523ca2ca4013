/** A change as files of resources: those that stay, and those that are to be written, each with the age that it will have. */
import type { ResourceFile } from '../sources/resource-reader.ts';
import type { Held } from './accept-head.ts';
import type { NamespaceChanges } from './compose-head.ts';
import { entryKey } from './documents.ts';
import { resourceFiles } from './fleet-resources.ts';

/** A namespace with the bodies of its resources, by hash. */
export interface Loaded {
  readonly held: Held;
  readonly bodies: ReadonlyMap<string, string>;
}

/** What of a namespace a change leaves as it is; all of it without one. */
function keptFiles({ held, bodies }: Loaded, changes: NamespaceChanges | undefined): readonly ResourceFile[] {
  const gone = new Set([...(changes?.puts ?? []), ...(changes?.deletes ?? [])].map(entryKey));
  const entries = new Map([...held.entries].filter(([key]) => !gone.has(key)));
  return resourceFiles({ namespace: held.namespace, entries }, (hash) => bodies.get(hash));
}

/** What a change writes, as files named `new:<kind>/<namespace>/<name>`. */
function newFiles({ current: { namespace, held }, puts }: NamespaceChanges): readonly ResourceFile[] {
  return puts.map(({ kind, name, text, created }) => {
    const key = `${kind}/${namespace}/${name}`;
    const createdMs = held?.entries.get(entryKey({ kind, name }))?.createdMs ?? created?.createdMs ?? Date.now();
    return { file: `new:${key}`, text, single: { key, createdMs } };
  });
}

/** All resources of the fleet before and after a change. */
export interface PlannedFiles {
  readonly before: readonly ResourceFile[];
  readonly after: readonly ResourceFile[];
}

/** @param all what is published now, of every namespace that can be read */
export function plannedFiles(all: readonly Loaded[], changes: readonly NamespaceChanges[]): PlannedFiles {
  const of = ({ held }: Loaded): NamespaceChanges | undefined =>
    changes.find(({ current }) => current.namespace === held.namespace);
  return {
    before: all.flatMap((loaded) => keptFiles(loaded, undefined)),
    after: [...all.flatMap((loaded) => keptFiles(loaded, of(loaded))), ...changes.flatMap(newFiles)],
  };
}
