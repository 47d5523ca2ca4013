/** What is wrong or doubtful in a configuration: what its reading says, and what the rules find. */
import { compareDiagnostics, type Diagnostic } from '../model/diagnostic.ts';
import { serviceOfHost } from '../model/host-names.ts';
import type { Mesh } from '../model/mesh.ts';
import type { ResourceFile } from '../sources/resource-reader.ts';
import type { ResourceSet } from '../sources/resource-set.ts';
import type { AnalysisInput, KnownWorkload } from './analysis-rule.ts';
import { located } from './located.ts';
import { RULES } from './rules.ts';
import { isTold } from './suppressed.ts';

export interface AnalyzeOptions {
  /** Services of the mesh's host templates may be in Consul alone: that one is not known says nothing of it. */
  readonly mayBeElsewhere: boolean;
  readonly serviceEntries?: AnalysisInput['serviceEntries'];
}

function workloadsOf({ services, endpoints }: Mesh): readonly KnownWorkload[] {
  return [...services.values()].flatMap(({ host, namespace, external }) =>
    external ? [] : (endpoints.get(host) ?? []).map(({ labels }) => ({ namespace, labels })),
  );
}

/**
 * Everything that is to be said of a mesh, most severe first, each once.
 * @param workloads that no service has among its endpoints
 */
export function analyze(
  mesh: Mesh,
  { mayBeElsewhere, serviceEntries = [] }: AnalyzeOptions,
  read: readonly Diagnostic[] = mesh.diagnostics,
  workloads: readonly KnownWorkload[] = [],
): readonly Diagnostic[] {
  const input: AnalysisInput = {
    mesh,
    serviceEntries,
    workloads: [...workloadsOf(mesh), ...workloads],
    workloadsElsewhere: mayBeElsewhere,
    lookUp: (host) =>
      mesh.services.get(host) ??
      (mayBeElsewhere && serviceOfHost(mesh.config, host) !== undefined ? 'unknown' : 'missing'),
  };
  // Without Consul's catalogue the reading cannot know what is in it.
  const told = mayBeElsewhere
    ? read.filter(({ code, message }) => !(code === 'IST0101' && message.startsWith('nothing is known of ')))
    : read;
  const all = [...told, ...RULES.flatMap(({ check }) => check(input))];
  const once = new Map(
    all.filter(isTold(mesh, serviceEntries)).map((diagnostic) => [JSON.stringify(diagnostic), diagnostic]),
  );
  return [...once.values()].sort(compareDiagnostics);
}

/**
 * The same for resources that were read, with the workloads that they describe, and at the lines where things are written.
 * @param files what they were read from
 * @param read what their reading found
 */
export function analyzeResources(
  mesh: Mesh,
  files: readonly ResourceFile[],
  { serviceEntries, workloadEntries }: Pick<ResourceSet, 'serviceEntries' | 'workloadEntries'>,
  options: Pick<AnalyzeOptions, 'mayBeElsewhere'>,
  read: readonly Diagnostic[] = mesh.diagnostics,
): readonly Diagnostic[] {
  const workloads = workloadEntries.map(({ meta: { namespace }, workload: { labels } }) => ({ namespace, labels }));
  const found = located(analyze(mesh, { ...options, serviceEntries }, read, workloads), files);
  return found.toSorted(compareDiagnostics);
}
