/**
 * The mesh as one host sees it: one immutable value. A change makes a new `Mesh` that shares by reference every part
 * that did not change; translation memoises on those references (design, decision 3), so "equal" must mean "same".
 */
import type { DestinationRule } from './destination-rule.ts';
import type { Diagnostic } from './diagnostic.ts';
import type { EnvoyFilter } from './envoy-filter.ts';
import type { Gateway } from './gateway.ts';
import type { MeshConfig } from './mesh-config.ts';
import type { PeerAuthentication } from './peer-authentication.ts';
import type { ProxyConfig } from './proxy-config.ts';
import type { RateLimit } from './rate-limit.ts';
import type { Endpoint, Service } from './service.ts';
import type { Sidecar } from './sidecar.ts';
import type { VirtualService } from './virtual-service.ts';
import type { WorkloadGroup } from './workload-group.ts';

export interface Mesh {
  readonly config: MeshConfig;
  /** By canonical host. */
  readonly services: ReadonlyMap<string, Service>;
  /** By canonical host, sorted by id; a service may have none. */
  readonly endpoints: ReadonlyMap<string, readonly Endpoint[]>;
  /** Oldest first. */
  readonly virtualServices: readonly VirtualService[];
  /** Oldest first. */
  readonly destinationRules: readonly DestinationRule[];
  /** Oldest first. */
  readonly peerAuthentications: readonly PeerAuthentication[];
  /** Oldest first. */
  readonly gateways: readonly Gateway[];
  /** Oldest first. */
  readonly sidecars: readonly Sidecar[];
  /** Oldest first. */
  readonly rateLimits: readonly RateLimit[];
  /** Oldest first. */
  readonly envoyFilters: readonly EnvoyFilter[];
  /** Oldest first. */
  readonly proxyConfigs: readonly ProxyConfig[];
  /** Oldest first. */
  readonly workloadGroups: readonly WorkloadGroup[];
  /** What was wrong with the sources of this mesh. */
  readonly diagnostics: readonly Diagnostic[];
}
