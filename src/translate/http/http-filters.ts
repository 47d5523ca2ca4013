/** The HTTP filters of all our listeners but those of mode `observe`, in Istio's order. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { CorsSchema } from '../../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts';
import { HTTPFaultSchema } from '../../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts';
import { RouterSchema } from '../../gen/envoy/extensions/filters/http/router/v3/router_pb.ts';
import type { HttpFilterSchema } from '../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { pack } from '../messages.ts';

export type HttpFilter = MessageInitShape<typeof HttpFilterSchema>;

/** The filters that routes configure, by the names under which they do. */
export const FAULT_FILTER = 'envoy.filters.http.fault';
export const CORS_FILTER = 'envoy.filters.http.cors';

/** Both do nothing but where a route says so. */
const FAULT: HttpFilter = {
  name: FAULT_FILTER,
  configType: { case: 'typedConfig', value: pack(HTTPFaultSchema, {}) },
};
const CORS: HttpFilter = { name: CORS_FILTER, configType: { case: 'typedConfig', value: pack(CorsSchema, {}) } };
const ROUTER: HttpFilter = {
  name: 'envoy.filters.http.router',
  configType: { case: 'typedConfig', value: pack(RouterSchema, {}) },
};

/**
 * @param first what judges requests before anything is done with them: limits
 * @param last what prepares the way to where the router sends them
 */
export function httpFilters(
  first: readonly HttpFilter[] = [],
  last: readonly HttpFilter[] = [],
): readonly HttpFilter[] {
  return [...first, FAULT, CORS, ...last, ROUTER];
}
