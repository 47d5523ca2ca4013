/** What holds for the whole mesh (`meshconfig.yaml`): Istio's MeshConfig names where Istio has one, ours beside them. */
import type { ConnectionPool, LocalityLoadBalancing, TrafficPolicyBlocks } from './destination-rule.ts';
import type { OutboundTrafficPolicy } from './sidecar.ts';
import type { RetryPolicy } from './virtual-service.ts';

export interface MeshConfig {
  readonly trustDomain: string;
  /** Further trust domains whose identities count as ours. */
  readonly trustDomainAliases: readonly string[];
  /** Resources in this namespace hold for the whole mesh. */
  readonly rootNamespace: string;
  /**
   * Templates of a service's host names; the first makes the canonical one. `{service}`, `{namespace}` and
   * `{consulName}` are replaced.
   */
  readonly serviceHosts: readonly string[];
  /** Whether clients use mutual TLS with meshed services that no DestinationRule speaks of. */
  readonly enableAutoMtls: boolean;
  /** Default of `connectionPool.tcp.connectTimeout`. */
  readonly connectTimeoutMs: number;
  /** Envoy's access log: a path, `/dev/stdout`, or undefined for none. */
  readonly accessLogFile: string | undefined;
  /** What a line of it says; absent: Istio's format. */
  readonly accessLogFormat?: AccessLogFormat;
  /** Absent: `TEXT`. */
  readonly accessLogEncoding?: 'TEXT' | 'JSON';
  /** Whether connections that a listener knows no way for are left out of it; absent: they are in it. */
  readonly disableEnvoyListenerLog?: boolean;
  readonly catalogue: CatalogueConfig;
  /** What becomes of calls to hosts that the mesh does not know; absent: `ALLOW_ANY`. */
  readonly outboundTrafficPolicy?: OutboundTrafficPolicy['mode'];
  /** Absent: Istio's default, failover by locality. */
  readonly localityLbSetting?: LocalityLoadBalancing;
  /** `exportTo` of resources that have none; absent: all namespaces. */
  readonly defaultServiceExportTo?: readonly string[];
  readonly defaultVirtualServiceExportTo?: readonly string[];
  readonly defaultDestinationRuleExportTo?: readonly string[];
  /** Retries of routes that say nothing of them; absent: Istio's default. */
  readonly defaultHttpRetryPolicy?: RetryPolicy;
  /** What DestinationRules begin with. */
  readonly defaultTrafficPolicy?: Pick<TrafficPolicyBlocks, 'connectionPool' | 'outlierDetection'>;
  /** Default of `connectionPool.tcp.tcpKeepalive`. */
  readonly tcpKeepalive?: NonNullable<ConnectionPool['tcpKeepalive']>;
  /** How often names of `DNS` services are resolved; absent: 60 s. */
  readonly dnsRefreshRateMs?: number;
  /** For how long an inbound or outbound port waits for the first bytes to tell the protocol; absent or 0: for ever. */
  readonly protocolDetectionTimeoutMs?: number;
  /** Which HTTP/1.1 connections to endpoints are made HTTP/2 where no DestinationRule says; absent: none. */
  readonly h2UpgradePolicy?: 'DO_NOT_UPGRADE' | 'UPGRADE';
  /** What is made of paths before they are matched; absent: `DEFAULT` (as RFC 3986 normalises). */
  readonly pathNormalization?: 'NONE' | 'BASE' | 'DEFAULT' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES';
  /** The mesh's mutual TLS, on both sides; absent: TLS 1.2 or more, Istio's suites, Envoy's curves. */
  readonly meshMtls?: TlsChoice;
  /** All other TLS, at gateways and to servers outside, where its own rule does not say; absent: the same. */
  readonly tlsDefaults?: TlsChoice;
  /** Whether servers outside are verified where a rule names nothing to verify them by; absent: they are. */
  readonly verifyCertificateAtClient?: boolean;
  /** Names of clusters in Envoy's statistics, with Istio's `%SERVICE%` and the like; absent: the clusters' own. */
  readonly inboundClusterStatName?: string;
  readonly outboundClusterStatName?: string;
  /** What stands before gateways (`defaultConfig.gatewayTopology`); `agent.yaml` goes before it. */
  readonly gatewayTopology?: GatewayTopology;
  /** Threads of Envoy (`defaultConfig.concurrency`); `agent.yaml` goes before it. */
  readonly concurrency?: number;
  /** Trysail's own: namespaces whose EnvoyFilters count; absent: none. */
  readonly envoyFilterNamespaces?: readonly string[];
}

/** The two readings of a format that Envoy can take; absent: as this the text is none. */
export interface AccessLogFormat {
  readonly text?: string;
  /** Fields of a line and their values. */
  readonly json?: AccessLogFields;
}

export type AccessLogValue = string | number | boolean | null | readonly AccessLogValue[] | AccessLogFields;

/** A JSON object whose strings may hold operators. */
export interface AccessLogFields {
  readonly [name: string]: AccessLogValue;
}

/** How TLS is spoken; what is absent or empty is the default. */
export interface TlsChoice {
  readonly minVersion?: 'TLSV1_2' | 'TLSV1_3';
  /** Below TLS 1.3, whose suites cannot be chosen. */
  readonly cipherSuites: readonly string[];
  readonly ecdhCurves: readonly string[];
}

/** What patterns of cluster statistics may hold, as in Istio; the target port is of inbound clusters. */
export const STAT_NAME_PARTS = [
  '%SERVICE%',
  '%SERVICE_NAME%',
  '%SERVICE_FQDN%',
  '%SERVICE_PORT%',
  '%SERVICE_PORT_NAME%',
  '%TARGET_PORT%',
  '%SUBSET_NAME%',
] as const;

/** What becomes of `x-forwarded-client-cert` at a gateway. https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#ForwardClientCertDetails */
export type ForwardedCertificate =
  | 'SANITIZE'
  | 'FORWARD_ONLY'
  | 'APPEND_FORWARD'
  | 'SANITIZE_SET'
  | 'ALWAYS_FORWARD_ONLY';

export interface GatewayTopology {
  /** How many proxies before a gateway are trusted to have written `x-forwarded-for`; absent: none. */
  readonly trustedHops?: number;
  /** Absent: `SANITIZE_SET`. */
  readonly forwardedCertificate?: ForwardedCertificate;
  /** Every connection begins with a header of the PROXY protocol. */
  readonly proxyProtocol: boolean;
}

/** How far the answers of Consul's catalogue are trusted. */
export interface CatalogueConfig {
  /** A service that every token of the mesh can see; while it is invisible, empty answers are failures, not truth. */
  readonly sentinelService: string;
  /** Share of a service's (and of all) instances that must turn critical at once to be taken for a gossip failure, 0–1. */
  readonly massCriticalShare: number;
  /** For how long the endpoints from before a gossip failure are kept, in milliseconds. */
  readonly holdMs: number;
}

export const DEFAULT_MESH_CONFIG: MeshConfig = {
  trustDomain: 'cluster.local',
  trustDomainAliases: [],
  rootNamespace: 'istio-system',
  serviceHosts: [
    '{service}.{namespace}.mesh',
    '{consulName}.service.consul',
    '{service}.{namespace}.svc.cluster.local',
  ],
  enableAutoMtls: true,
  connectTimeoutMs: 10_000,
  accessLogFile: undefined,
  catalogue: { sentinelService: 'consul', massCriticalShare: 0.7, holdMs: 600_000 },
};
