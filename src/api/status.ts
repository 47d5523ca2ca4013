/**
 * What `trysail status -o json` prints and the fleet's page shows: the whole state of one host as JSON. Times are
 * ISO 8601 in UTC; absent facts are absent keys. Keys are added, never renamed or given another meaning.
 */
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Mode } from '../model/host.ts';

/** ISO 8601, UTC. */
export type Timestamp = string;

export interface Status {
  readonly agent: AgentStatus;
  readonly host: HostStatus;
  readonly services: readonly ServiceStatus[];
  readonly upstreams: readonly UpstreamStatus[];
  /** What this host serves as a gateway; absent: it is none. */
  readonly gateways?: readonly GatewayServerStatus[];
  /** Services that were learnt when they were first called; absent where nothing is learnt (`discovery.onDemand`). */
  readonly learnt?: readonly LearntStatus[];
  /** Absent with `registry: files`. */
  readonly consul?: ConsulStatus;
  /** Absent where the host takes no fleet configuration (`mesh.fleet.trust`). */
  readonly fleet?: FleetStatus;
  /** Which mesh configuration holds; absent while the agent starts. */
  readonly meshConfig?: MeshConfigStatus;
  readonly envoy: EnvoyStatus;
  /** One entry a type that Envoy asked for. */
  readonly xds: readonly XdsTypeStatus[];
  readonly certificates: CertificatesStatus;
  /** What still takes or uses plain text, and why. */
  readonly plainText: readonly PlainText[];
  /** Most severe first. */
  readonly diagnostics: readonly Diagnostic[];
}

export interface LearntStatus {
  /** Canonical host. */
  readonly service: string;
  readonly lastUsed: Timestamp;
}

export interface AgentStatus {
  readonly version: string;
  readonly pid: number;
  readonly since: Timestamp;
  /** `starting` until Envoy has acknowledged its first configuration, `draining` during a graceful stop. */
  readonly state: 'starting' | 'running' | 'draining';
  /** Whether it serves what was kept on disk because its sources have not answered since it started. */
  readonly lastGood: boolean;
}

export interface HostStatus {
  readonly name: string;
  readonly address: string;
  /** `region/zone/subzone`. */
  readonly locality?: string;
  readonly trustDomain: string;
}

export interface HealthStatus {
  readonly state: 'passing' | 'warning' | 'critical' | 'unknown';
  /** When it became so. */
  readonly since?: Timestamp;
  /** The check's own words. */
  readonly output?: string;
}

export interface ServiceStatus {
  readonly namespace: string;
  readonly name: string;
  readonly version?: string;
  /** SPIFFE id. */
  readonly identity?: string;
  /** Port that peers dial; absent: it only calls others. */
  readonly port?: number;
  /** What the mesh does for it. */
  readonly mode: Mode;
  /**
   * Where others can reach its application past the proxy, such as `0.0.0.0:8080`: what the mesh forbids is not forbidden
   * there. Absent: nowhere, or Envoy is not between them anyhow.
   */
  readonly bypassable?: readonly string[];
  /** Whether Consul knows it; absent with `registry: files`. */
  readonly registered?: boolean;
  /** Why it is not registered. */
  readonly registrationError?: string;
  readonly application: HealthStatus;
  readonly proxy: HealthStatus;
}

export interface UpstreamStatus {
  /** Canonical host of the service. */
  readonly service: string;
  readonly port?: number;
  /** `127.0.0.1:9082`. */
  readonly listen: string;
  readonly endpoints: { readonly healthy: number; readonly total: number };
  /** `mixed`: mutual TLS with the endpoints that offer it. */
  readonly tls: 'mtls' | 'mixed' | 'plain';
}

/** A server of a Gateway on this host. */
export interface GatewayServerStatus {
  /** The gateway of agent.yaml, `namespace/name`. */
  readonly role: string;
  /** The resource, `namespace/name`. */
  readonly gateway: string;
  /** As the Gateway names it. */
  readonly port: number;
  readonly protocol: string;
  /** Where Envoy listens: `0.0.0.0:8443`. */
  readonly listen: string;
  /** Istio's mode of TLS; absent: plain text. */
  readonly tls?: string;
  readonly hosts: readonly string[];
  /** `namespace/name`, oldest first. */
  readonly virtualServices: readonly string[];
  readonly serving: boolean;
  /** Why it does not serve. */
  readonly problem?: string;
}

export interface ConsulStatus {
  readonly connected: boolean;
  readonly address: string;
  readonly lastContact?: Timestamp;
  /** Open blocking queries. */
  readonly watches: number;
  /** What fails now, one sentence each. */
  readonly errors: readonly string[];
}

export interface FleetStatus {
  /** Of the list of publishers; absent: none was seen yet. */
  readonly revision?: number;
  /** Whether resource files of the host count too. */
  readonly localResources: 'allow' | 'deny';
  /** The namespaces that are followed. */
  readonly namespaces: readonly FleetNamespaceStatus[];
}

export interface FleetNamespaceStatus {
  readonly namespace: string;
  /** In force; absent: nothing was published in it. */
  readonly revision?: number;
  readonly publishedAt?: Timestamp;
  readonly publisher?: string;
  /** Whether it is what Consul has for this host: false while that is away, refused, or on its way. */
  readonly current: boolean;
  /** Of a change that goes out in steps, such as `5% (2 of 3)`; absent: none does, or it is through. */
  readonly step?: string;
  /** Whether this host has that change already. */
  readonly takesPart?: boolean;
}

export interface MeshConfigStatus {
  /** Absent: the defaults. */
  readonly file?: string;
  /** The MeshConfig whose fields stand in the place of the file's; absent: there is none. */
  readonly resource?: {
    /** A file, or `consul:<namespace>/MeshConfig/mesh@<revision>`. */
    readonly source: string;
    readonly fields: readonly string[];
  };
}

export interface EnvoyStatus {
  readonly state: 'stopped' | 'starting' | 'running' | 'draining' | 'crashed';
  readonly ready: boolean;
  readonly version?: string;
  readonly pid?: number;
  /** Hot-restart epoch. */
  readonly epoch?: number;
  /** How often it ended unasked since the agent started. */
  readonly restarts: number;
  readonly since?: Timestamp;
  /** Why it does not run or is not ready. */
  readonly error?: string;
}

export interface XdsTypeStatus {
  /** The short name of the message, such as `Cluster`, `ClusterLoadAssignment`, `Secret`. */
  readonly type: string;
  /** Resources that Envoy was sent, those it acknowledged, and how many responses it has not answered yet. */
  readonly sent: number;
  readonly acknowledged: number;
  readonly inFlight: number;
  readonly rejected: readonly { readonly name: string; readonly why: string }[];
}

export interface CertificateStatus {
  readonly spiffeId: string;
  /** Hexadecimal. */
  readonly serial?: string;
  readonly notAfter?: Timestamp;
  readonly nextRenewal?: Timestamp;
  /** Why there is none, or why the last renewal failed. */
  readonly error?: string;
}

export interface CertificatesStatus {
  readonly provider: 'trysail-ca' | 'files' | 'none';
  readonly workloads: readonly CertificateStatus[];
  /** The host's own credential, good for the CA only. */
  readonly host?: CertificateStatus;
  readonly roots: readonly { readonly subject: string; readonly sha256: string; readonly notAfter: Timestamp }[];
}

export interface PlainText {
  /** Whether this host takes it (inbound) or uses it (outbound). */
  readonly direction: 'inbound' | 'outbound';
  /** Such as `port 9080 of default/reviews` or `ratings.default.mesh: 2 of 5 endpoints`. */
  readonly what: string;
  /** Such as `PERMISSIVE by default` or `the Service record says migrating`. */
  readonly why: string;
}
