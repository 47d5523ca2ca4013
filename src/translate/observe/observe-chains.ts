/** What a listener of mode `observe` does with a connection: filter chains for the listeners of both directions. */
import type { AccessLog } from '../listeners/access-log.ts';
import type { FilterChain, ListenerSpec } from '../listeners/listener.ts';
import { tcpProxy } from '../listeners/network-filters.ts';
import type { ProtocolKind } from '../protocol-kind.ts';
import { observeHttp } from './observe-http.ts';

export interface ObserveSpec {
  readonly kind: ProtocolKind;
  /** Where all of it goes. */
  readonly cluster: string;
  /** Prefix of the HTTP statistics, such as `inbound_10.0.0.5_8080`. */
  readonly statPrefix: string;
  readonly accessLog: AccessLog | undefined;
}

/** The chains of a listener, with the inspectors that they need. */
export type ObserveChains = Pick<ListenerSpec, 'filterChains' | 'defaultFilterChain' | 'inspect'>;

/** HTTP/1.0 is not among them: Envoy would make 1.1 of it. */
const REQUESTS = ['http/1.1', 'h2c'];

/**
 * A port that is said to speak HTTP: requests, counted one by one; whatever does not begin as a request passes as it is.
 * All others, AUTO among them: bytes, counted by connection. Nobody waits there for the caller to speak first.
 */
export function observeChains({ kind, cluster, statPrefix, accessLog }: ObserveSpec): ObserveChains {
  const bytes: FilterChain = {
    name: 'observe-tcp',
    filters: [tcpProxy({ statPrefix: cluster, cluster, idleTimeoutMs: 0, hash: undefined, accessLog })],
  };
  if (kind === 'tcp' || kind === 'auto') return { filterChains: [bytes], inspect: { tls: false, http: false } };
  return {
    filterChains: [
      {
        name: 'observe-http',
        filterChainMatch: { applicationProtocols: REQUESTS },
        filters: [observeHttp({ statPrefix, cluster, accessLog })],
      },
    ],
    defaultFilterChain: bytes,
    inspect: { tls: false, http: true },
  };
}
