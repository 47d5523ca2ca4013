/** ProxyConfig: how Envoy itself runs beside the workloads that it selects. */
import type { ResourceMeta } from './resource-meta.ts';

export interface ProxyConfig {
  readonly meta: ResourceMeta;
  /** Undefined: all workloads of its namespace (in the root namespace: of the mesh). */
  readonly selector: Readonly<Record<string, string>> | undefined;
  /** Worker threads; 0: as many as the host has cores. Undefined: nothing is said. */
  readonly concurrency: number | undefined;
}
