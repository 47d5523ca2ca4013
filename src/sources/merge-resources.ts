/** The fleet's configuration and the resource files of a host as one set. The fleet's goes before. */
import { compareDiagnostics, type Diagnostic } from '../model/diagnostic.ts';
import { compareAge, describeObject, type ResourceMeta } from '../model/resource-meta.ts';
import type { ResourceSet } from './resource-set.ts';
import { sharedList } from './sharing.ts';

/** Added to the ages of files: later than any time, so that a file of a host never takes precedence over the fleet. */
const AFTER_THE_FLEET = 1e16;

interface AnyResource {
  readonly meta: ResourceMeta;
}

type Lists = Omit<ResourceSet, 'diagnostics'>;

const AGED = new WeakMap<AnyResource, AnyResource>();

/** The same object for the same resource. */
function aged(resource: AnyResource): AnyResource {
  const known = AGED.get(resource);
  if (known !== undefined) return known;
  const { meta } = resource;
  const made = { ...resource, meta: { ...meta, age: AFTER_THE_FLEET + meta.age } };
  AGED.set(resource, made);
  return made;
}

const keyOf = ({ kind, namespace, name }: ResourceMeta): string => `${kind}/${namespace}/${name}`;

/**
 * Both sets as one, oldest first. Where both have a resource the fleet's holds, with a diagnostic; all of the fleet's are
 * older than all of the host's. Lists that did not change keep their array.
 * @param previous what this function returned before
 */
export function mergeResources(previous: ResourceSet | undefined, fleet: ResourceSet, local: ResourceSet): ResourceSet {
  const diagnostics: Diagnostic[] = [...fleet.diagnostics, ...local.diagnostics];
  const lists: Record<string, readonly AnyResource[]> = {};
  for (const list of Object.keys(fleet) as (keyof ResourceSet)[]) {
    if (list === 'diagnostics') continue;
    const held = new Map(fleet[list].map((resource) => [keyOf(resource.meta), resource]));
    const added: AnyResource[] = [];
    for (const resource of local[list]) {
      const holder = held.get(keyOf(resource.meta));
      if (holder === undefined) added.push(aged(resource));
      else
        diagnostics.push({
          code: 'TRY0708',
          severity: 'warning',
          object: describeObject(resource.meta),
          source: resource.meta.source,
          message: `the fleet's configuration has it too (${holder.meta.source.file}), which holds`,
          remedy: 'Remove the file’s, or delete the fleet’s with "trysail delete".',
        });
    }
    const all: readonly AnyResource[] =
      added.length === 0 ? fleet[list] : [...fleet[list], ...added].sort((a, b) => compareAge(a.meta, b.meta));
    lists[list] = sharedList<AnyResource>(previous?.[list], all);
  }
  const sorted = diagnostics.sort(compareDiagnostics);
  const same = previous !== undefined && JSON.stringify(previous.diagnostics) === JSON.stringify(sorted);
  return { ...(lists as unknown as Lists), diagnostics: same ? previous.diagnostics : sorted };
}
