/** What holds for the whole mesh (`meshconfig.yaml`): Istio's MeshConfig names where Istio has one, ours beside them. */

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
  readonly catalogue: CatalogueConfig;
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
