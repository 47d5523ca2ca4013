/** Type URLs of what translation makes; typed by the xds room, of which only types may be imported here. */
import type { TypeUrl } from '../xds/resource.ts';

export const CLUSTER: TypeUrl = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';
export const LOAD_ASSIGNMENT: TypeUrl = 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment';
export const LISTENER: TypeUrl = 'type.googleapis.com/envoy.config.listener.v3.Listener';
export const SECRET: TypeUrl = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';
export const ROUTE_CONFIG: TypeUrl = 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration';
