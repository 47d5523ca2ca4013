/** What lets browsers call gRPC: their form of it becomes gRPC, and answers become theirs. */
import { GrpcWebSchema } from '../../gen/envoy/extensions/filters/http/grpc_web/v3/grpc_web_pb.ts';
import { pack } from '../messages.ts';
import type { HttpFilter } from './http-filters.ts';

/** Other requests pass it as they are. https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/grpc_web_filter */
export const GRPC_WEB: HttpFilter = {
  name: 'envoy.filters.http.grpc_web',
  configType: { case: 'typedConfig', value: pack(GrpcWebSchema, {}) },
};
