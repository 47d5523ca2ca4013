/** EnvoyFilter: changes of what translation has made, patch by patch. */
import type { ResourceMeta } from './resource-meta.ts';

export interface EnvoyFilter {
  readonly meta: ResourceMeta;
  /** Undefined: all workloads of its namespace (in the root namespace: of the mesh). */
  readonly workloadSelector: Readonly<Record<string, string>> | undefined;
  /** Lower ones are applied first. */
  readonly priority: number;
  readonly patches: readonly EnvoyPatch[];
}

export type PatchTarget =
  | 'LISTENER'
  | 'LISTENER_FILTER'
  | 'FILTER_CHAIN'
  | 'NETWORK_FILTER'
  | 'HTTP_FILTER'
  | 'ROUTE_CONFIGURATION'
  | 'VIRTUAL_HOST'
  | 'HTTP_ROUTE'
  | 'CLUSTER'
  | 'EXTENSION_CONFIG'
  | 'BOOTSTRAP';

export type PatchOperation =
  | 'MERGE'
  | 'MERGE_AND_REPLACE_LIST'
  | 'ADD'
  | 'REMOVE'
  | 'INSERT_BEFORE'
  | 'INSERT_AFTER'
  | 'INSERT_FIRST'
  | 'REPLACE';

export interface EnvoyPatch {
  readonly applyTo: PatchTarget;
  readonly context: 'ANY' | 'SIDECAR_INBOUND' | 'SIDECAR_OUTBOUND' | 'GATEWAY';
  /** The rest of `match`, as it was written and checked. */
  readonly match: Readonly<Record<string, unknown>>;
  readonly operation: PatchOperation;
  /** Envoy's own JSON form; undefined for REMOVE. */
  readonly value: unknown;
}
