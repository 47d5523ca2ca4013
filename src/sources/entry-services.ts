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

function sameInputs(a: EntryInputs | undefined, b: EntryInputs): boolean {
  return a?.entry === b.entry && a.config === b.config && a.record === b.record && a.selected === b.selected;
}

function rebuilt(inputs: EntryInputs, before: EntryService | undefined): EntryService {
  const built = buildEntryService(inputs);
  return { ...built, service: sharedValue(before?.service, built.service) };
}

/** Oldest entry first; a host that two entries claim is the older one's. */
export function buildEntryServices(
  config: MeshConfig,
  entries: readonly ServiceEntry[],
  workloadEntries: readonly WorkloadEntry[],
  records: ReadonlyMap<string, ServiceRecord>,
  clientNamespaces: readonly string[] | undefined,
  previous: EntryServices | undefined,
): EntryServices {
  const byHost = new Map<string, EntryService>();
  const diagnostics: Diagnostic[] = [];
  for (const entry of entries) {
    const { meta, workloadSelector } = entry;
    const exportTo = entry.exportTo.length > 0 ? entry.exportTo : (config.defaultServiceExportTo ?? []);
    if (!isVisible(meta, exportTo, clientNamespaces)) continue;
    const selected =
      workloadSelector === undefined
        ? []
        : workloadEntries.filter(
            (candidate) =>
              candidate.meta.namespace === meta.namespace && hasLabels(candidate.workload.labels, workloadSelector),
          );
    for (const writtenHost of entry.hosts) {
      const { host } = claimOf(config, entry, writtenHost);
      const before = previous?.byHost.get(host);
      const inputs: EntryInputs = {
        config,
        entry,
        writtenHost,
        selected: sharedList(before?.inputs.selected, selected),
        record: records.get(host),
      };
      const built = before !== undefined && sameInputs(before.inputs, inputs) ? before : rebuilt(inputs, before);
      const holder = byHost.get(host);
      if (holder !== undefined) {
        diagnostics.push({
          code: 'TRY0302',
          severity: 'warning',
          object: describeObject(meta),
          source: meta.source,
          message: `the host ${writtenHost} is that of ${describeObject(holder.inputs.entry.meta)} already, which is older`,
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
