/** PeerAuthentication: what inbound ports demand of their callers. */
import type { ResourceMeta } from './resource-meta.ts';

export type MtlsMode = 'DISABLE' | 'PERMISSIVE' | 'STRICT';

export interface PeerAuthentication {
  readonly meta: ResourceMeta;
  /** Labels of the workloads that it selects; undefined selects all of its namespace (or, in the root namespace, all). */
  readonly selector: Readonly<Record<string, string>> | undefined;
  /** Undefined inherits. */
  readonly mode: MtlsMode | undefined;
  /** By workload port. */
  readonly portModes: ReadonlyMap<number, MtlsMode>;
}
