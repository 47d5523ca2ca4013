/** The kinds of the API: those that are read, and those that are known and are not. */
import type { ResourceMeta } from '../model/resource-meta.ts';
import { destinationRuleKind } from './kinds/destination-rule.ts';
import { envoyFilterKind } from './kinds/envoy-filter.ts';
import { gatewayKind } from './kinds/gateway.ts';
import type { Kind } from './kinds/kind.ts';
import { meshConfigKind } from './kinds/mesh-config.ts';
import { peerAuthenticationKind } from './kinds/peer-authentication.ts';
import { proxyConfigKind } from './kinds/proxy-config.ts';
import { rateLimitKind } from './kinds/rate-limit.ts';
import { serviceEntryKind } from './kinds/service-entry.ts';
import { serviceRecordKind } from './kinds/service-record.ts';
import { sidecarKind } from './kinds/sidecar.ts';
import { virtualServiceKind } from './kinds/virtual-service.ts';
import { workloadEntryKind } from './kinds/workload-entry.ts';
import { workloadGroupKind } from './kinds/workload-group.ts';

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
