/** What the machine says of itself where agent.yaml is silent. */
import { readFileSync } from 'node:fs';
import { availableParallelism, hostname, networkInterfaces } from 'node:os';
import type { Machine } from './settings-complete.ts';

/** The interface of the default route, from Linux' routing table: destination and mask are zero. */
function defaultInterface(): string | undefined {
  try {
    for (const line of readFileSync('/proc/net/route', 'utf8').split('\n').slice(1)) {
      const [name, destination, , , , , , mask] = line.split('\t');
      if (destination === '00000000' && mask === '00000000') return name;
    }
  } catch {
    // No such table: the settings must tell the address.
  }
  return undefined;
}

/** Host name, address of the default route's interface (IPv4 before IPv6) and cores. Reads, and asks nobody. */
export function thisMachine(): Machine {
  const name = defaultInterface();
  const addresses = (name === undefined ? undefined : networkInterfaces()[name]) ?? [];
  const usable = addresses.filter(({ internal, scopeid }) => !internal && !scopeid);
  const found = usable.find(({ family }) => family === 'IPv4') ?? usable[0];
  return { hostName: hostname(), address: found?.address, cores: availableParallelism() };
}
