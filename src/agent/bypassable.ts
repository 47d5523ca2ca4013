/**
 * Which applications of this host others can reach past the proxy: those that listen where other machines (or containers)
 * come to, and that no rule of the kernel keeps to the proxy.
 */
import type { ListeningPorts } from '../envoy/port-owner.ts';
import { isLoopback } from './address-forms.ts';
import { serviceKey } from './inbound-ways.ts';
import type { AgentSettings } from './settings.ts';
import { isProxied } from './settings-complete.ts';
import { formatSocketAddress } from './settings-listeners.ts';

export interface BypassableOptions {
  /** Who listens where; our Envoy's own listeners do not count. */
  readonly ports: Pick<ListeningPorts, 'listeners'>;
  /** Envoy's user where that is another one than ours: its sockets are told by it alone. */
  readonly envoyUid: number | undefined;
  /** Whether the kernel turns connections of others to this port to the proxy, or refuses them. */
  readonly isKept: (port: number) => boolean;
}

/** By service (`namespace/name`) in mode `observe` or `full`: where its application takes connections of others. */
export function bypassable(
  { services }: AgentSettings,
  { ports, envoyUid, isKept }: BypassableOptions,
): ReadonlyMap<string, readonly string[]> {
  return new Map(
    services.flatMap((service): (readonly [string, readonly string[]])[] => {
      const { inbound, mode } = service;
      if (inbound === undefined || !isProxied(mode) || isKept(inbound.application.port)) return [];
      const { port } = inbound.application;
      const open = ports
        .listeners(port)
        .filter(({ address, uid }) => !isLoopback(address) && uid !== envoyUid)
        .map(({ address }) => formatSocketAddress({ address, port }));
      return open.length === 0 ? [] : [[serviceKey(service), [...new Set(open)].toSorted()]];
    }),
  );
}
