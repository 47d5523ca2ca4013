/** The resources of the API that hold, typed, and what was wrong with the others. */
import type { DestinationRule } from '../model/destination-rule.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { EnvoyFilter } from '../model/envoy-filter.ts';
import type { Gateway } from '../model/gateway.ts';
import type { MeshSettings } from '../model/mesh-settings.ts';
import type { PeerAuthentication } from '../model/peer-authentication.ts';
import type { ProxyConfig } from '../model/proxy-config.ts';
import type { RateLimit } from '../model/rate-limit.ts';
import type { Sidecar } from '../model/sidecar.ts';
import type { VirtualService } from '../model/virtual-service.ts';
import type { WorkloadGroup } from '../model/workload-group.ts';
import type { ServiceEntry } from './kinds/service-entry.ts';
import type { ServiceRecord } from './kinds/service-record.ts';
import type { WorkloadEntry } from './kinds/workload-entry.ts';

/**
 * Each list is oldest first. Hosts are as written. An unchanged resource keeps its object, an unchanged list its array.
 */
export interface ResourceSet {
  readonly virtualServices: readonly VirtualService[];
  readonly destinationRules: readonly DestinationRule[];
  readonly peerAuthentications: readonly PeerAuthentication[];
  readonly serviceEntries: readonly ServiceEntry[];
  readonly workloadEntries: readonly WorkloadEntry[];
  readonly serviceRecords: readonly ServiceRecord[];
  readonly gateways: readonly Gateway[];
  readonly sidecars: readonly Sidecar[];
  readonly rateLimits: readonly RateLimit[];
  readonly envoyFilters: readonly EnvoyFilter[];
  readonly proxyConfigs: readonly ProxyConfig[];
  readonly workloadGroups: readonly WorkloadGroup[];
  readonly meshSettings: readonly MeshSettings[];
  readonly diagnostics: readonly Diagnostic[];
}

export const EMPTY_RESOURCES: ResourceSet = {
  virtualServices: [],
  destinationRules: [],
  peerAuthentications: [],
  serviceEntries: [],
  workloadEntries: [],
  serviceRecords: [],
  gateways: [],
  sidecars: [],
  rateLimits: [],
  envoyFilters: [],
  proxyConfigs: [],
  workloadGroups: [],
  meshSettings: [],
  diagnostics: [],
};
