/** Whether this host has IPv6 at all. */
import { readFile } from 'node:fs/promises';

/** `::1` as the kernel's table of IPv6 addresses has it. https://tldp.org/HOWTO/Linux+IPv6-HOWTO/ch11s04.html */
const LOOPBACK = /^0{31}1 /m;

/** Whether `::1` can be listened at. Never rejects. @param table text of /proc/net/if_inet6; tests only */
export async function hasIpv6(table?: string): Promise<boolean> {
  // Without IPv6 in the kernel there is no such file; where it is switched off, it is empty.
  return LOOPBACK.test(table ?? (await readFile('/proc/net/if_inet6', 'utf8').catch(() => '')));
}
