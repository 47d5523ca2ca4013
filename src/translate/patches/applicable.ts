/** Which EnvoyFilters hold for whom, and in which order their patches are applied. */
import type { EnvoyFilter, EnvoyPatch } from '../../model/envoy-filter.ts';
import { hasLabels } from '../../model/labels.ts';
import type { Mesh } from '../../model/mesh.ts';
import { compareAge } from '../../model/resource-meta.ts';
import type { Client } from '../view/calling.ts';

/** Lower priority first; then the root namespace; then age. https://istio.io/latest/docs/reference/config/networking/envoy-filter/ */
export function orderedFilters({
  envoyFilters,
  config,
}: Pick<Mesh, 'envoyFilters' | 'config'>): readonly EnvoyFilter[] {
  const allowed = config.envoyFilterNamespaces ?? [];
  const outside = ({ meta }: EnvoyFilter): number => Number(meta.namespace !== config.rootNamespace);
  return envoyFilters
    .filter(({ meta }) => allowed.includes(meta.namespace) || allowed.includes('*'))
    .toSorted((a, b) => a.priority - b.priority || outside(a) - outside(b) || compareAge(a.meta, b.meta));
}

function selects(
  { meta, workloadSelector }: EnvoyFilter,
  rootNamespace: string,
  client: Pick<Client, 'namespace' | 'labels'>,
): boolean {
  if (meta.namespace !== rootNamespace && meta.namespace !== client.namespace) return false;
  return workloadSelector === undefined || hasLabels(client.labels, workloadSelector);
}

/** Those that select one of these workloads, in the order of `filters`. */
export function filtersFor(
  filters: readonly EnvoyFilter[],
  rootNamespace: string,
  workloads: readonly Pick<Client, 'namespace' | 'labels'>[],
): readonly EnvoyFilter[] {
  return filters.filter((filter) => workloads.some((workload) => selects(filter, rootNamespace, workload)));
}

/** The patches for a resource of these workloads: a filter counts that selects one of them. */
export function patchesFor(
  filters: readonly EnvoyFilter[],
  rootNamespace: string,
  workloads: readonly Pick<Client, 'namespace' | 'labels'>[],
): readonly EnvoyPatch[] {
  return filtersFor(filters, rootNamespace, workloads).flatMap(({ patches }) => patches);
}
