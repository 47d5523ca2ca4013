/** Listener filters: what is found out about a connection before a filter chain is chosen for it. */
import type {
  ListenerFilterChainMatchPredicateSchema,
  ListenerFilterSchema,
} from '../../gen/envoy/config/listener/v3/listener_components_pb.ts';
import { HttpInspectorSchema } from '../../gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.ts';
import { OriginalDstSchema } from '../../gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.ts';
import { OriginalSrcSchema } from '../../gen/envoy/extensions/filters/listener/original_src/v3/original_src_pb.ts';
import { ProxyProtocolSchema } from '../../gen/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.ts';
import { TlsInspectorSchema } from '../../gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts';
import { type Fields, pack } from '../messages.ts';

export type ListenerFilter = Fields<typeof ListenerFilterSchema>;
type Predicate = Fields<typeof ListenerFilterChainMatchPredicateSchema>;

/** Waits for the caller's first bytes. */
export const TLS_INSPECTOR: ListenerFilter = {
  name: 'envoy.filters.listener.tls_inspector',
  configType: { case: 'typedConfig', value: pack(TlsInspectorSchema, {}) },
};

/** Waits for the caller's first bytes. */
export const HTTP_INSPECTOR: ListenerFilter = {
  name: 'envoy.filters.listener.http_inspector',
  configType: { case: 'typedConfig', value: pack(HttpInspectorSchema, {}) },
};

/** Takes for the connection's addresses those that a load balancer wrote before its first byte; closes it without them. */
export const PROXY_PROTOCOL: ListenerFilter = {
  name: 'envoy.filters.listener.proxy_protocol',
  configType: { case: 'typedConfig', value: pack(ProxyProtocolSchema, {}) },
};

/** Takes for the connection's local address the one that the caller dialled. */
export const ORIGINAL_DESTINATION: ListenerFilter = {
  name: 'envoy.filters.listener.original_dst',
  configType: { case: 'typedConfig', value: pack(OriginalDstSchema, {}) },
};

/** Istio's mark of connections that carry the caller's address; the rules of capture know it. */
const CALLER_ADDRESS_MARK = 1337;

/** Calls the application from the caller's address. Needs CAP_NET_ADMIN. */
export const ORIGINAL_SOURCE: ListenerFilter = {
  name: 'envoy.filters.listener.original_src',
  configType: { case: 'typedConfig', value: pack(OriginalSrcSchema, { mark: CALLER_ADDRESS_MARK }) },
};

function anyOf(ports: readonly number[]): Predicate {
  const rules = ports.map(
    (port): Predicate => ({ rule: { case: 'destinationPortRange', value: { start: port, end: port + 1 } } }),
  );
  const [only, ...others] = rules;
  return only !== undefined && others.length === 0 ? only : { rule: { case: 'orMatch', value: { rules } } };
}

/** The filter, for connections to these ports alone; none for no ports. */
export function onPorts(filter: ListenerFilter, ports: Iterable<number>): readonly ListenerFilter[] {
  const sorted = [...new Set(ports)].toSorted((a, b) => a - b);
  if (sorted.length === 0) return [];
  return [{ ...filter, filterDisabled: { rule: { case: 'notMatch', value: anyOf(sorted) } } }];
}
