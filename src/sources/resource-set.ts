/** The resources of the API that hold, typed, and what was wrong with the others. */
import type { DestinationRule } from '../model/destination-rule.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { EnvoyFilter } from '../model/envoy-filter.ts';
import type { Gateway } from '../model/gateway.ts';
import type { MeshSettings } from '../model/mesh-settings.ts';
import type { PeerAuthentication } from '../model/peer-authentication.ts';
import type { ProxyConfig } from '../model/proxy-config.ts';
import type { RateLimit } from '../model/rate-limit.ts';
import type { ResourceMeta } from '../model/resource-meta.ts';
import type { Sidecar } from '../model/sidecar.ts';
import type { VirtualService } from '../model/virtual-service.ts';
import type { WorkloadGroup } from '../model/workload-group.ts';
import { destinationRuleKind } from './kinds/destination-rule.ts';
import { envoyFilterKind } from './kinds/envoy-filter.ts';
import { gatewayKind } from './kinds/gateway.ts';
import type { Kind } from './kinds/kind.ts';
import { meshConfigKind } from './kinds/mesh-config.ts';
import { peerAuthenticationKind } from './kinds/peer-authentication.ts';
import { proxyConfigKind } from './kinds/proxy-config.ts';
import { rateLimitKind } from './kinds/rate-limit.ts';
import { type ServiceEntry, serviceEntryKind } from './kinds/service-entry.ts';
import { type ServiceRecord, serviceRecordKind } from './kinds/service-record.ts';
import { sidecarKind } from './kinds/sidecar.ts';
import { virtualServiceKind } from './kinds/virtual-service.ts';
import { type WorkloadEntry, workloadEntryKind } from './kinds/workload-entry.ts';
import { workloadGroupKind } from './kinds/workload-group.ts';

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

/** The kinds that are supported, by `kind`; each names the list that it fills. */
export const KINDS: Readonly<Record<string, Kind<{ readonly meta: ResourceMeta }>>> = {
  VirtualService: virtualServiceKind,
  DestinationRule: destinationRuleKind,
  Gateway: gatewayKind,
  PeerAuthentication: peerAuthenticationKind,
  ServiceEntry: serviceEntryKind,
  Sidecar: sidecarKind,
  WorkloadEntry: workloadEntryKind,
  Service: serviceRecordKind,
  EnvoyFilter: envoyFilterKind,
  ProxyConfig: proxyConfigKind,
  WorkloadGroup: workloadGroupKind,
  RateLimit: rateLimitKind,
  MeshConfig: meshConfigKind,
};

/** Kinds of Istio's API that are known and not supported. */
export const UNSUPPORTED_KINDS: Readonly<Record<string, string>> = {
  AuthorizationPolicy: 'security.istio.io',
  RequestAuthentication: 'security.istio.io',
  Telemetry: 'telemetry.istio.io',
  WasmPlugin: 'extensions.istio.io',
  TrafficExtension: 'extensions.istio.io',
};
