/** Where peers find a gateway that is registered. */
import type { SocketAddress } from '../model/host.ts';
import type { GatewaySettings } from './settings.ts';

const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** Whether an address stands for all of a host. */
export function isEverywhere(address: string): boolean {
  return WILDCARDS.has(address);
}

/**
 * The address and port of the registration.
 * @param port as Gateways name it
 * @param hostAddress where the host is found
 */
export function gatewayPlace(
  { address, ports }: Pick<GatewaySettings, 'address' | 'ports'>,
  port: number,
  hostAddress: string,
): SocketAddress {
  return { address: isEverywhere(address) ? hostAddress : address, port: ports[port] ?? port };
}
