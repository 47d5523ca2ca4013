/** DestinationRule as translation needs it: host completed to its canonical name, durations in milliseconds. */
import type { ResourceMeta } from './resource-meta.ts';

export interface DestinationRule {
  readonly meta: ResourceMeta;
  /** Canonical host name, or a wildcard such as `*.default.mesh`. */
  readonly host: string;
  readonly trafficPolicy: TrafficPolicy | undefined;
  readonly subsets: readonly Subset[];
  readonly exportTo: readonly string[];
  /** Labels of the calling workloads that it is for; undefined: all that see it. */
  readonly workloadSelector?: Readonly<Record<string, string>>;
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
  readonly tls?: ClientTls;
}

export interface TrafficPolicy extends TrafficPolicyBlocks {
  /** Replace all blocks of the rule for one port. */
  readonly portLevelSettings: readonly PortTrafficPolicy[];
  readonly tunnel?: Tunnel;
  /** The PROXY protocol's header that connections begin with. */
  readonly proxyProtocol?: 'V1' | 'V2';
  readonly retryBudget?: RetryBudget;
}

export type ClientTlsMode = 'DISABLE' | 'SIMPLE' | 'MUTUAL' | 'ISTIO_MUTUAL';

/** How connections to endpoints are secured. Paths are files of this host. */
export interface ClientTls {
  readonly mode: ClientTlsMode;
  readonly clientCertificate?: string;
  readonly privateKey?: string;
  /** Undefined in SIMPLE and MUTUAL: the system's roots. */
  readonly caCertificates?: string;
  readonly caCrl?: string;
  /** A folder of the host's credentials, by name. */
  readonly credentialName?: string;
  /** Empty: by the host name that is called. */
  readonly subjectAltNames: readonly string[];
  readonly sni?: string;
  readonly insecureSkipVerify: boolean;
}

/** Connections are led through an HTTP proxy. */
export interface Tunnel {
  readonly protocol: 'CONNECT' | 'POST';
  readonly targetHost: string;
  readonly targetPort: number;
}

export interface RetryBudget {
  /** Of active requests, 0–100. */
  readonly percent: number;
  readonly minRetryConcurrency: number;
  readonly budgetIntervalMs?: number;
}

export interface PortTrafficPolicy extends TrafficPolicyBlocks {
  readonly port: number;
}

export type LoadBalancer = (
  | { readonly kind: 'simple'; readonly simple: 'ROUND_ROBIN' | 'LEAST_REQUEST' | 'RANDOM' | 'PASSTHROUGH' }
  | { readonly kind: 'consistentHash'; readonly hash: ConsistentHash }
) & {
  /** Undefined: the mesh's. */
  readonly locality?: LocalityLoadBalancing;
  readonly zoneAware?: ZoneAwareLoadBalancing;
  readonly warmup?: Warmup;
};

export interface LocalityLoadBalancing {
  readonly enabled: boolean;
  /** Shares by the client's locality: `to` from `region/zone/*` to percents that total 100. */
  readonly distribute: readonly { readonly from: string; readonly to: Readonly<Record<string, number>> }[];
  readonly failover: readonly { readonly from: string; readonly to: string }[];
  /** Labels, `key` or `key=value`, in order. */
  readonly failoverPriority: readonly string[];
}

export interface ZoneAwareLoadBalancing {
  readonly enabled: boolean;
  /** 0–100. */
  readonly routingEnabledPercent?: number;
  readonly minClusterSize?: number;
  readonly failTrafficOnPanic?: boolean;
}

export interface Warmup {
  readonly durationMs: number;
  /** 0–100. */
  readonly minimumPercent: number;
  /** 1 or more: linear at 1. */
  readonly aggression: number;
}

export interface ConsistentHash {
  readonly key:
    | { readonly kind: 'header'; readonly name: string }
    | {
        readonly kind: 'cookie';
        readonly name: string;
        readonly path: string | undefined;
        readonly ttlMs: number | undefined;
        readonly attributes?: readonly { readonly name: string; readonly value: string }[];
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
  readonly http2KeepAlive?: { readonly intervalMs: number | undefined; readonly timeoutMs: number | undefined };
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
  /** Statuses that count as errors, besides 5xx. */
  readonly httpErrorCodes?: readonly number[];
}
