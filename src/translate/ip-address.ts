/** Whether an endpoint's address is one: Envoy refuses a whole load assignment for a single name in it. */
import { ipVersion } from 'ip-bigint';

/** IPv4 in dotted decimals without leading zeros, or IPv6 without a zone. */
export function isIpAddress(text: string): boolean {
  return ipVersion(text) !== 0 && !text.includes('%');
}

/** Whether packets to the address cannot leave the host. */
export function isLoopback(address: string): boolean {
  return address === '::1' || (address.startsWith('127.') && ipVersion(address) === 4);
}
