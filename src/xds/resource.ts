/**
 * What this library serves: named, typed, already serialised resources. It knows Envoy's discovery protocol and
 * nothing of where the bytes come from.
 */

/** Type URLs of the resources that Envoy discovers. https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol */
export const TYPE_URL = {
  cluster: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  endpoint: 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
  listener: 'type.googleapis.com/envoy.config.listener.v3.Listener',
  route: 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
  virtualHost: 'type.googleapis.com/envoy.config.route.v3.VirtualHost',
  secret: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
} as const;

export type TypeUrl = (typeof TYPE_URL)[keyof typeof TYPE_URL];

/**
 * One resource. Immutable: a changed resource is a new object, and the same object means unchanged.
 */
export interface Resource {
  readonly name: string;
  /** The serialised message that `typeUrl` names (not wrapped in an Any). Never changed after it is handed over. */
  readonly value: Uint8Array;
  /** Further names by which a client may subscribe to it. */
  readonly aliases?: readonly string[];
  /**
   * Of clusters and listeners: not part of everything, and sent only to who asks for it by this name, as Envoy's
   * on-demand cluster discovery does beside its wildcard. The other types are sent by name anyway.
   * https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/on_demand_updates_filter
   */
  readonly onDemand?: true;
  /** After how long without renewal a client that can expire resources drops it, in milliseconds. */
  readonly ttlMs?: number;
}

/** Everything that is served: by type, then by name. Immutable and structurally shared. */
export type Resources = ReadonlyMap<TypeUrl, ReadonlyMap<string, Resource>>;
