/** The gRPC services by which Envoy discovers configuration, with messages left as bytes. */
import {
  type handleUnaryCall,
  type MethodDefinition,
  type Server,
  type ServerDuplexStream,
  status,
} from '@grpc/grpc-js';
import { errorMessage } from '../lib/errors.ts';
import { TYPE_URL, type TypeUrl } from './resource.ts';

export type ByteStream = ServerDuplexStream<Buffer, Buffer>;

/** One streaming method of a discovery service. */
interface DiscoveryMethod {
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
const DISCOVERY_METHODS: readonly DiscoveryMethod[] = [
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

const CLIENT_STATUS = 'envoy.service.status.v3.ClientStatusDiscoveryService';

const asIs = (bytes: Buffer): Buffer => bytes;

/** A method that takes and gives encoded messages. */
function byteMethod(service: string, method: string, streaming: boolean): MethodDefinition<Buffer, Buffer> {
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

export interface ServiceHandlers {
  readonly accept: (call: ByteStream, mode: 'sotw' | 'delta', typeUrl: TypeUrl | undefined) => void;
  /** Answers an encoded `ClientStatusRequest`; throws when it cannot be. */
  readonly clientStatus: (request: Buffer) => Promise<Buffer>;
}

const invalid = (error: unknown): { readonly code: number; readonly details: string } => ({
  code: status.INVALID_ARGUMENT,
  details: errorMessage(error),
});

/** Lets `server` serve every method. */
export function addServices(server: Server, { accept, clientStatus }: ServiceHandlers): void {
  for (const { service, method, mode, typeUrl } of DISCOVERY_METHODS) {
    server.addService(
      { [method]: byteMethod(service, method, true) },
      { [method]: (call: ByteStream) => accept(call, mode, typeUrl) },
    );
  }
  const fetch: handleUnaryCall<Buffer, Buffer> = (call, answer) => {
    clientStatus(call.request).then(
      (response) => answer(null, response),
      (error: unknown) => answer(invalid(error)),
    );
  };
  const stream = (call: ByteStream): void => {
    call.on('data', (request: Buffer) => {
      clientStatus(request).then(
        (response) => call.write(response),
        (error: unknown) => call.emit('error', invalid(error)),
      );
    });
    call.on('end', () => call.end());
  };
  server.addService(
    {
      streamClientStatus: byteMethod(CLIENT_STATUS, 'StreamClientStatus', true),
      fetchClientStatus: byteMethod(CLIENT_STATUS, 'FetchClientStatus', false),
    },
    { streamClientStatus: stream, fetchClientStatus: fetch },
  );
}
