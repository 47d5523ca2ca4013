/** DestinationRule as translation needs it: host completed to its canonical name, durations in milliseconds. */
import type { ResourceMeta } from './resource-meta.ts';

export interface DestinationRule {
  readonly meta: ResourceMeta;
  /** Canonical host name, or a wildcard such as `*.default.mesh`. */
  readonly host: string;
  readonly trafficPolicy: TrafficPolicy | undefined;
  readonly subsets: readonly Subset[];
  readonly exportTo: readonly string[];
}

export interface Subset {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly trafficPolicy: TrafficPolicy | undefined;
}

/** A block that is undefined is inherited; one that is set replaces the inherited one whole. */
export interface TrafficPolicyBlocks {
  readonly loadBalancer: LoadBalancer | undefined;
  readonly connectionPool: ConnectionPool | undefined;
  readonly outlierDetection: OutlierDetection | undefined;
}

export interface TrafficPolicy extends TrafficPolicyBlocks {
  /** Replace all blocks of the rule for one port. */
  readonly portLevelSettings: readonly PortTrafficPolicy[];
}

export interface PortTrafficPolicy extends TrafficPolicyBlocks {
  readonly port: number;
}

export type LoadBalancer =
  | { readonly kind: 'simple'; readonly simple: 'ROUND_ROBIN' | 'LEAST_REQUEST' | 'RANDOM' }
  | { readonly kind: 'consistentHash'; readonly hash: ConsistentHash };

export interface ConsistentHash {
  readonly key:
    | { readonly kind: 'header'; readonly name: string }
    | {
        readonly kind: 'cookie';
        readonly name: string;
        readonly path: string | undefined;
        readonly ttlMs: number | undefined;
      }
    | { readonly kind: 'sourceIp' }
    | { readonly kind: 'queryParameter'; readonly name: string };
  readonly algorithm:
    | { readonly kind: 'ringHash'; readonly minimumRingSize: number | undefined }
    | { readonly kind: 'maglev'; readonly tableSize: number | undefined };
}

/** Limits that are undefined are Istio's default: none. */
export interface ConnectionPool {
  readonly maxConnections: number | undefined;
  readonly connectTimeoutMs: number | undefined;
  readonly tcpKeepalive:
    | {
        readonly probes: number | undefined;
        readonly timeMs: number | undefined;
        readonly intervalMs: number | undefined;
      }
    | undefined;
  readonly maxConnectionDurationMs: number | undefined;
  readonly tcpIdleTimeoutMs: number | undefined;
  readonly http1MaxPendingRequests: number | undefined;
  readonly http2MaxRequests: number | undefined;
  readonly maxRequestsPerConnection: number | undefined;
  readonly maxRetries: number | undefined;
  readonly httpIdleTimeoutMs: number | undefined;
  readonly h2UpgradePolicy: 'DEFAULT' | 'DO_NOT_UPGRADE' | 'UPGRADE';
  readonly useClientProtocol: boolean;
  readonly maxConcurrentStreams: number | undefined;
}

/** Detectors that are 0 are off; undefined is Istio's default. */
export interface OutlierDetection {
  readonly consecutive5xxErrors: number | undefined;
  readonly consecutiveGatewayErrors: number | undefined;
  readonly intervalMs: number | undefined;
  readonly baseEjectionTimeMs: number | undefined;
  readonly maxEjectionPercent: number | undefined;
  /** Trysail's own: eject one host although `maxEjectionPercent` of few hosts rounds down to none. */
  readonly alwaysEjectOneHost: boolean;
  readonly minHealthPercent: number | undefined;
  readonly splitExternalLocalOriginErrors: boolean;
  readonly consecutiveLocalOriginFailures: number | undefined;
}
