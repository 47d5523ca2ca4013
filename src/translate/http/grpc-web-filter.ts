/** What lets browsers call gRPC: their form of it becomes gRPC, and answers become theirs. */
import { GrpcWebSchema } from '../../gen/envoy/extensions/filters/http/grpc_web/v3/grpc_web_pb.ts';
import type { Protocol } from '../../model/service.ts';
import { pack } from '../messages.ts';
import type { HttpFilter } from './http-filters.ts';

/** Other requests pass it as they are. https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/grpc_web_filter */
export const GRPC_WEB: HttpFilter = {
  name: 'envoy.filters.http.grpc_web',
  configType: { case: 'typedConfig', value: pack(GrpcWebSchema, {}) },
};

/** The filter where one of the ports that a listener is for speaks it. */
export function grpcWebFilters(protocols: readonly Protocol[]): readonly HttpFilter[] {
  return protocols.includes('GRPC-WEB') ? [GRPC_WEB] : [];
}
