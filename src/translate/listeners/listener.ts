/** What our listeners have in common: addresses, listener filters, direction. */
import type { AddressSchema } from '../../gen/envoy/config/core/v3/address_pb.ts';
import { TrafficDirection } from '../../gen/envoy/config/core/v3/base_pb.ts';
import type {
  FilterChainMatchSchema,
  FilterChainSchema,
} from '../../gen/envoy/config/listener/v3/listener_components_pb.ts';
import { ListenerSchema } from '../../gen/envoy/config/listener/v3/listener_pb.ts';
import type { SocketAddress, SocketPath } from '../../model/host.ts';
import type { MeshConfig } from '../../model/mesh-config.ts';
import type { Resource } from '../../xds/resource.ts';
import { duration, type Fields, resource } from '../messages.ts';
import { listenerName } from '../names.ts';
import { type AccessLog, listenerLoggers } from './access-log.ts';
import { HTTP_INSPECTOR, type ListenerFilter, TLS_INSPECTOR } from './listener-filters.ts';

export type FilterChain = Omit<Fields<typeof FilterChainSchema>, 'filterChainMatch'> & {
  readonly filterChainMatch?: Fields<typeof FilterChainMatchSchema>;
};
type ListenerInit = Fields<typeof ListenerSchema>;
type Address = NonNullable<Fields<typeof AddressSchema>['address']>;

/**
 * What http_inspector reports of requests in plain text that are taken for such: HTTP/1.0, which need name no host, passes
 * as bytes where the protocol is detected.
 */
export const PLAIN_HTTP1 = ['http/1.1'];
export const PLAIN_HTTP2 = ['h2c'];

/** Which inspectors the matches of chains need. Each waits for the first bytes of the caller. */
export interface Inspection {
  readonly tls: boolean;
  readonly http: boolean;
}

/** Filter chains, and how one of them is chosen. */
export interface ListenerChains {
  readonly filterChains: readonly FilterChain[];
  /** Taken when no chain matches; undefined: the connection is closed. */
  readonly defaultFilterChain?: FilterChain | undefined;
  readonly inspect: Inspection;
}

export interface ListenerSpec extends ListenerChains {
  readonly address: SocketAddress | SocketPath;
  readonly direction: 'inbound' | 'outbound';
  /** Where connections stand that no chain takes; undefined: nowhere. */
  readonly accessLog: AccessLog | undefined;
  /** For how long a caller that says nothing may keep the protocol open; absent or 0: for ever. */
  readonly detectionTimeoutMs?: MeshConfig['protocolDetectionTimeoutMs'];
}

function socketAddress({ address, port }: SocketAddress): Address {
  return { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: port } } };
}

function envoyAddress(at: ListenerSpec['address']): Address {
  // Its owner decides who may connect: the folder is the calling user's alone.
  return 'path' in at ? { case: 'pipe', value: { path: at.path, mode: 0o666 } } : socketAddress(at);
}

function common(
  direction: ListenerSpec['direction'],
  chains: Pick<ListenerSpec, 'filterChains' | 'defaultFilterChain' | 'accessLog'>,
  listenerFilters: readonly ListenerFilter[],
  detectionTimeoutMs = 0,
): ListenerInit {
  return {
    trafficDirection: direction === 'inbound' ? TrafficDirection.INBOUND : TrafficDirection.OUTBOUND,
    filterChains: [...chains.filterChains],
    accessLog: listenerLoggers(chains.accessLog),
    ...(chains.defaultFilterChain !== undefined && { defaultFilterChain: chains.defaultFilterChain }),
    listenerFilters: [...listenerFilters],
    // As in Istio: a caller that is slow to speak waits, it is not taken for something that it is not.
    ...(listenerFilters.length > 0 && {
      listenerFiltersTimeout: duration(detectionTimeoutMs),
      continueOnListenerFiltersTimeout: true,
    }),
  };
}

/** A listener at the address that callers dial. */
export function listener(spec: ListenerSpec): Resource {
  const name = listenerName(spec.address);
  const filters = [...(spec.inspect.tls ? [TLS_INSPECTOR] : []), ...(spec.inspect.http ? [HTTP_INSPECTOR] : [])];
  const address = { address: envoyAddress(spec.address) };
  return resource(name, ListenerSchema, {
    name,
    address,
    ...common(spec.direction, spec, filters, spec.detectionTimeoutMs),
  });
}

export interface CaptureListenerSpec {
  readonly name: string;
  /** Where captured connections arrive; never empty. */
  readonly addresses: readonly SocketAddress[];
  readonly direction: 'inbound' | 'outbound';
  readonly filterChains: readonly FilterChain[];
  readonly defaultFilterChain?: FilterChain | undefined;
  readonly listenerFilters: readonly ListenerFilter[];
  readonly accessLog: ListenerSpec['accessLog'];
  readonly detectionTimeoutMs?: ListenerSpec['detectionTimeoutMs'];
  /** Whether connections arrive with a destination that is not the listener's (TPROXY). Needs CAP_NET_ADMIN. */
  readonly transparent: boolean;
  /** Whether an address may be one that the host does not have. */
  readonly freebind: boolean;
}

/** A listener at which connections to many destinations arrive. */
export function captureListener(spec: CaptureListenerSpec): Resource {
  const [first, ...others] = spec.addresses.map((at) => ({ address: socketAddress(at) }));
  return resource(spec.name, ListenerSchema, {
    name: spec.name,
    ...(first !== undefined && { address: first }),
    additionalAddresses: others.map((address) => ({ address })),
    ...common(spec.direction, spec, spec.listenerFilters, spec.detectionTimeoutMs),
    ...(spec.transparent && { transparent: true }),
    ...(spec.freebind && { freebind: true }),
  });
}
