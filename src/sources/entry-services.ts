/** All ServiceEntries → services, each host of each entry one; those that did not change are taken over. */

import type { Diagnostic } from '../model/diagnostic.ts';
import { hasLabels } from '../model/labels.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { describeObject, type ResourceMeta } from '../model/resource-meta.ts';
import { buildEntryService, claimOf, type EntryInputs, type EntryService } from './entry-service.ts';
import type { ServiceEntry } from './kinds/service-entry.ts';
import type { ServiceRecord } from './kinds/service-record.ts';
import type { WorkloadEntry } from './kinds/workload-entry.ts';
import { sharedList, sharedValue } from './sharing.ts';

export interface EntryServices {
  /** By canonical host. */
  readonly byHost: ReadonlyMap<string, EntryService>;
  readonly diagnostics: readonly Diagnostic[];
}

/** Whether workloads of some namespaces see a resource; undefined namespaces see everything. */
function isVisible(
  meta: ResourceMeta,
  exportTo: readonly string[],
  namespaces: readonly string[] | undefined,
): boolean {
  if (namespaces === undefined || exportTo.length === 0 || exportTo.includes('*')) return true;
  return exportTo.some((to) => namespaces.includes(to === '.' ? meta.namespace : to));
}

/** The namespaces that see an entry; undefined: all. */
function readersOf(config: MeshConfig, { meta, exportTo }: ServiceEntry): ReadonlySet<string> | undefined {
  const written = exportTo.length > 0 ? exportTo : (config.defaultServiceExportTo ?? []);
  if (written.length === 0 || written.includes('*')) return undefined;
  return new Set(written.flatMap((to) => (to === '~' ? [] : [to === '.' ? meta.namespace : to])));
}

/** Whether some namespace sees both. */
function compete(config: MeshConfig, a: ServiceEntry, b: ServiceEntry): boolean {
  const [ofA, ofB] = [readersOf(config, a), readersOf(config, b)];
  if (ofA === undefined || ofB === undefined) return (ofA ?? ofB)?.size !== 0;
  return [...ofA].some((namespace) => ofB.has(namespace));
}

/** How near an entry is to callers of a namespace: its own first, then what it sees; 0 of all where none is said. */
function distance(config: MeshConfig, entry: ServiceEntry, seenFrom: string | undefined): number {
  if (seenFrom === undefined) return 0;
  const readers = readersOf(config, entry);
  if (readers !== undefined && !readers.has(seenFrom)) return 2;
  return entry.meta.namespace === seenFrom ? 0 : 1;
}

/** Whose each host is: of the nearest entries the oldest's. */
function holders(
  config: MeshConfig,
  entries: readonly ServiceEntry[],
  seenFrom: string | undefined,
): ReadonlyMap<string, ServiceEntry> {
  const held = new Map<string, ServiceEntry>();
  for (const entry of entries)
    for (const writtenHost of entry.hosts) {
      const { host, owner } = claimOf(config, entry, writtenHost);
      const holder = held.get(host);
      if (owner !== undefined) continue;
      if (holder === undefined || distance(config, entry, seenFrom) < distance(config, holder, seenFrom))
        held.set(host, entry);
    }
  return held;
}

function sameInputs(a: EntryInputs | undefined, b: EntryInputs): boolean {
  return a?.entry === b.entry && a.config === b.config && a.record === b.record && a.selected === b.selected;
}

function rebuilt(inputs: EntryInputs, before: EntryService | undefined): EntryService {
  const built = buildEntryService(inputs);
  return { ...built, service: sharedValue(before?.service, built.service) };
}

/**
 * Oldest entry first; a host that two entries claim is that of the one in the namespace of the callers, else the older one's.
 * @param clientNamespaces what none of them sees is left out; undefined: nothing is
 * @param seenFrom the one namespace whose calls are looked at; undefined: there are several
 */
export function buildEntryServices(
  config: MeshConfig,
  entries: readonly ServiceEntry[],
  workloadEntries: readonly WorkloadEntry[],
  records: ReadonlyMap<string, ServiceRecord>,
  clientNamespaces: readonly string[] | undefined,
  previous: EntryServices | undefined,
  seenFrom?: string,
): EntryServices {
  const byHost = new Map<string, EntryService>();
  const diagnostics: Diagnostic[] = [];
  const visible = entries.filter((entry) => {
    const exportTo = entry.exportTo.length > 0 ? entry.exportTo : (config.defaultServiceExportTo ?? []);
    return isVisible(entry.meta, exportTo, clientNamespaces);
  });
  const held = holders(config, visible, seenFrom);
  for (const entry of visible) {
    const { meta, workloadSelector } = entry;
    const selected =
      workloadSelector === undefined
        ? []
        : workloadEntries.filter(
            (candidate) =>
              candidate.meta.namespace === meta.namespace && hasLabels(candidate.workload.labels, workloadSelector),
          );
    for (const writtenHost of entry.hosts) {
      const { host, owner } = claimOf(config, entry, writtenHost);
      const before = previous?.byHost.get(host);
      const inputs: EntryInputs = {
        config,
        entry,
        writtenHost,
        selected: sharedList(before?.inputs.selected, selected),
        record: records.get(host),
      };
      const built = before !== undefined && sameInputs(before.inputs, inputs) ? before : rebuilt(inputs, before);
      const holder = held.get(host) ?? entry;
      if (owner === undefined && (holder !== entry || byHost.has(host))) {
        if (!compete(config, holder, entry)) continue;
        const isNearer = distance(config, holder, seenFrom) < distance(config, entry, seenFrom);
        diagnostics.push({
          code: 'TRY0302',
          severity: 'warning',
          object: describeObject(meta),
          source: meta.source,
          message: `the host ${writtenHost} is that of ${describeObject(holder.meta)} already, which ${isNearer ? `comes first in namespace ${seenFrom ?? ''}` : 'is older'}`,
          remedy: 'Remove it from one of the two.',
        });
      } else {
        diagnostics.push(...built.diagnostics);
        if (built.service !== undefined) byHost.set(host, built);
      }
    }
  }
  return { byHost, diagnostics };
}
