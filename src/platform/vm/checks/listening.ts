/** Questions to the list of listeners: who is at an address, and how a listener is named. */
import type { Listener } from './host-check.ts';

const isAny = (address: string): boolean => address === '0.0.0.0' || address === '::';
const isLoopback = (address: string): boolean => address === '::1' || address.startsWith('127.');

/** Whether connections to `wanted` can arrive at a listener on `address`. */
function covers(address: string, wanted: string): boolean {
  if (address === wanted || address === '::') return true;
  return (isAny(address) || isAny(wanted)) && address.includes(':') === wanted.includes(':');
}

/** The listeners that have a port of an address, alone or with all others. */
export function listenersAt(
  listeners: readonly Listener[],
  { address, port }: { readonly address: string; readonly port: number },
): readonly Listener[] {
  return listeners.filter((listener) => listener.port === port && covers(listener.address, address));
}

/** Whether other hosts can reach what listens there. */
export function reachable({ address }: Listener): boolean {
  return !isLoopback(address);
}

/** Such as `nginx (pid 812)` or `a process of user 33`. */
export function describeListener({ pid, program, uid }: Listener): string {
  return pid === undefined ? `a process of user ${uid}` : `${program ?? 'a process'} (pid ${pid})`;
}

/** `10.0.0.5:80`, `[::1]:80`. */
export function formatAddress({ address, port }: { readonly address: string; readonly port: number }): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** `3 ports`, `1 port`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}
