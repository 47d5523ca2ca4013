/** What a rule of `trysail analyze` is given, and what it says. */
import type { Diagnostic, Severity } from '../model/diagnostic.ts';
import type { Mesh } from '../model/mesh.ts';
import { describeObject, type ResourceMeta } from '../model/resource-meta.ts';
import type { Service } from '../model/service.ts';
import type { ServiceEntry } from '../sources/kinds/service-entry.ts';

/** A workload that configuration or catalogue knows of. */
export interface KnownWorkload {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface AnalysisInput {
  readonly mesh: Mesh;
  readonly workloads: readonly KnownWorkload[];
  /** As written; empty where resources are not at hand. */
  readonly serviceEntries: readonly Pick<ServiceEntry, 'meta' | 'hosts' | 'ports' | 'addresses' | 'external'>[];
  /** There may be workloads of which nobody here knows. */
  readonly workloadsElsewhere: boolean;
  /** `unknown`: services may come from elsewhere, so that nobody can say whether there is one of that name. */
  lookUp(this: void, host: string): Service | 'missing' | 'unknown';
}

export interface AnalysisRule {
  /** The codes that it may report, all of them in `diagnostic-codes.ts`. */
  readonly codes: readonly string[];
  check(this: void, input: AnalysisInput): readonly Diagnostic[];
}

/** A diagnostic about a resource; `line` where something inside of it has one of its own. */
export function finding(
  code: string,
  severity: Severity,
  meta: ResourceMeta,
  path: string | undefined,
  message: string,
  remedy: string,
  source = meta.source,
): Diagnostic {
  return {
    code,
    severity,
    object: describeObject(meta),
    ...(path !== undefined && { path }),
    source,
    message,
    remedy,
  };
}

/** Equal for equal labels, whatever their order. */
export function labelKey(labels: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** `app=web, version=v1`. */
export function labelWords(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map((pair) => pair.join('='))
    .join(', ');
}
