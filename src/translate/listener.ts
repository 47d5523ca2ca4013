/** What our listeners have in common: address, inspectors, direction. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { AddressSchema } from '../gen/envoy/config/core/v3/address_pb.ts';
import { TrafficDirection } from '../gen/envoy/config/core/v3/base_pb.ts';
import type { FilterChainSchema } from '../gen/envoy/config/listener/v3/listener_components_pb.ts';
import { ListenerSchema } from '../gen/envoy/config/listener/v3/listener_pb.ts';
import { HttpInspectorSchema } from '../gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.ts';
import { TlsInspectorSchema } from '../gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts';
import type { SocketAddress, SocketPath } from '../model/host.ts';
import type { Resource } from '../xds/resource.ts';
import { duration, pack, resource } from './messages.ts';
import { listenerName } from './names.ts';

export type FilterChain = MessageInitShape<typeof FilterChainSchema>;
type ListenerInit = MessageInitShape<typeof ListenerSchema>;

const TLS_INSPECTOR: NonNullable<ListenerInit['listenerFilters']>[number] = {
  name: 'envoy.filters.listener.tls_inspector',
  configType: { case: 'typedConfig', value: pack(TlsInspectorSchema, {}) },
};
const HTTP_INSPECTOR: NonNullable<ListenerInit['listenerFilters']>[number] = {
  name: 'envoy.filters.listener.http_inspector',
  configType: { case: 'typedConfig', value: pack(HttpInspectorSchema, {}) },
};

/** What http_inspector reports of requests in plain text. */
export const PLAIN_HTTP1 = ['http/1.0', 'http/1.1'];
export const PLAIN_HTTP2 = ['h2c'];

/** Which inspectors the matches of chains need. Each waits for the first bytes of the caller. */
export interface Inspection {
  readonly tls: boolean;
  readonly http: boolean;
}

export interface ListenerSpec {
  readonly address: SocketAddress | SocketPath;
  readonly direction: 'inbound' | 'outbound';
  readonly filterChains: readonly FilterChain[];
  /** Taken when no chain matches; undefined: the connection is closed. */
  readonly defaultFilterChain?: FilterChain | undefined;
  readonly inspect: Inspection;
}

function envoyAddress(at: ListenerSpec['address']): NonNullable<MessageInitShape<typeof AddressSchema>['address']> {
  // Its owner decides who may connect: the folder is the calling user's alone.
  if ('path' in at) return { case: 'pipe', value: { path: at.path, mode: 0o666 } };
  const { address, port } = at;
  return { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: port } } };
}

export function listener(spec: ListenerSpec): Resource {
  const name = listenerName(spec.address);
  const listenerFilters = [
    ...(spec.inspect.tls ? [TLS_INSPECTOR] : []),
    ...(spec.inspect.http ? [HTTP_INSPECTOR] : []),
  ];
  return resource(name, ListenerSchema, {
    name,
    address: { address: envoyAddress(spec.address) },
    trafficDirection: spec.direction === 'inbound' ? TrafficDirection.INBOUND : TrafficDirection.OUTBOUND,
    filterChains: [...spec.filterChains],
    ...(spec.defaultFilterChain !== undefined && { defaultFilterChain: spec.defaultFilterChain }),
    listenerFilters,
    // As in Istio: a caller that is slow to speak waits, it is not taken for something that it is not.
    ...(listenerFilters.length > 0 && { listenerFiltersTimeout: duration(0), continueOnListenerFiltersTimeout: true }),
  });
}
