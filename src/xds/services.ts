/** The gRPC services by which Envoy discovers configuration, with messages left as bytes. */
import type { MethodDefinition, ServerDuplexStream, ServiceDefinition } from '@grpc/grpc-js';
import { TYPE_URL, type TypeUrl } from './resource.ts';

export type ByteStream = ServerDuplexStream<Buffer, Buffer>;

/** One streaming method of a discovery service. */
export interface DiscoveryMethod {
  /** The service's full name. */
  readonly service: string;
  readonly method: string;
  readonly mode: 'sotw' | 'delta';
  /** The only type it serves; undefined for all. */
  readonly typeUrl: TypeUrl | undefined;
}

const SINGLE: readonly (readonly [service: string, plural: string, typeUrl: TypeUrl])[] = [
  ['envoy.service.cluster.v3.ClusterDiscoveryService', 'Clusters', TYPE_URL.cluster],
  ['envoy.service.endpoint.v3.EndpointDiscoveryService', 'Endpoints', TYPE_URL.endpoint],
  ['envoy.service.listener.v3.ListenerDiscoveryService', 'Listeners', TYPE_URL.listener],
  ['envoy.service.route.v3.RouteDiscoveryService', 'Routes', TYPE_URL.route],
  ['envoy.service.secret.v3.SecretDiscoveryService', 'Secrets', TYPE_URL.secret],
];

const AGGREGATED = 'envoy.service.discovery.v3.AggregatedDiscoveryService';

/** Every method that is served. VHDS has no state of the world. */
export const DISCOVERY_METHODS: readonly DiscoveryMethod[] = [
  { service: AGGREGATED, method: 'StreamAggregatedResources', mode: 'sotw', typeUrl: undefined },
  { service: AGGREGATED, method: 'DeltaAggregatedResources', mode: 'delta', typeUrl: undefined },
  ...SINGLE.flatMap(([service, plural, typeUrl]): readonly DiscoveryMethod[] => [
    { service, method: `Stream${plural}`, mode: 'sotw', typeUrl },
    { service, method: `Delta${plural}`, mode: 'delta', typeUrl },
  ]),
  {
    service: 'envoy.service.route.v3.VirtualHostDiscoveryService',
    method: 'DeltaVirtualHosts',
    mode: 'delta',
    typeUrl: TYPE_URL.virtualHost,
  },
];

export const CLIENT_STATUS_SERVICE = 'envoy.service.status.v3.ClientStatusDiscoveryService';

const asIs = (bytes: Buffer): Buffer => bytes;

/** A method that takes and gives encoded messages. */
export function byteMethod(service: string, method: string, streaming: boolean): MethodDefinition<Buffer, Buffer> {
  return {
    path: `/${service}/${method}`,
    requestStream: streaming,
    responseStream: streaming,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
}

/** The definitions of all discovery services, by service. */
export function discoveryServices(): ReadonlyMap<string, ServiceDefinition> {
  const services = new Map<string, Record<string, MethodDefinition<Buffer, Buffer>>>();
  for (const { service, method } of DISCOVERY_METHODS) {
    const methods = services.get(service) ?? {};
    methods[method] = byteMethod(service, method, true);
    services.set(service, methods);
  }
  return services;
}
