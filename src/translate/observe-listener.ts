/** Listeners of mode `observe`, inbound and outbound. */
import type { InboundPort, SocketAddress, SocketPath } from '../model/host.ts';
import type { Resource } from '../xds/resource.ts';
import { listener } from './listener.ts';
import { listenerName } from './names.ts';
import { observeChains } from './observe-chains.ts';
import { type ProtocolKind, protocolKind } from './protocol-kind.ts';

export interface ObserveInboundSpec {
  readonly inbound: Pick<InboundPort, 'listen' | 'protocol'>;
  /** The application's: `observeInboundCluster`. */
  readonly cluster: string;
  readonly accessLogFile: string | undefined;
}

/** The listener at which peers reach an observed application. */
export function observeInboundListener({ inbound, cluster, accessLogFile }: ObserveInboundSpec): Resource {
  const { listen: address, protocol } = inbound;
  return listener({
    address,
    direction: 'inbound',
    ...observeChains({
      kind: protocolKind(protocol),
      cluster,
      statPrefix: `inbound_${listenerName(address)}`,
      accessLogFile,
    }),
  });
}

export interface ObserveOutboundSpec {
  readonly address: SocketAddress | SocketPath;
  readonly kind: ProtocolKind;
  /** The service's: `observeOutboundCluster`. */
  readonly cluster: string;
  readonly accessLogFile: string | undefined;
}

/** The listener through which observed applications call a service. Rules of routing do not count. */
export function observeOutboundListener({ address, kind, cluster, accessLogFile }: ObserveOutboundSpec): Resource {
  return listener({
    address,
    direction: 'outbound',
    ...observeChains({ kind, cluster, statPrefix: `outbound_${listenerName(address)}`, accessLogFile }),
  });
}
