/**
 * Machines as loopback addresses, for users without root: 127.77.N.x, where N is the first range that no other run
 * holds. They share one network stack, so packets between them cannot be dropped.
 */
import { createServer, type Server } from 'node:net';
import { CONSUL_PORT, type Machine, REGISTRY } from '../topology.ts';
import type { Network } from './network.ts';

/** Held on the range's first address for as long as the run lives: that is what makes a range taken. */
const LOCK_PORT = 7777;
const RANGES = 200;

/** Takes a free range of loopback addresses. Throws an Error when there is none. */
export async function takeLoopbackRange(): Promise<Network> {
  for (let range = 0; range < RANGES; range += 1) {
    const subnet = `127.77.${range}`;
    const lock = await listen(`${subnet}.1`, LOCK_PORT);
    if (lock === undefined) continue;
    // The lock of a run that was killed is free again while its Consul may still be there.
    const probe = await listen(`${subnet}.${REGISTRY.octet}`, CONSUL_PORT);
    if (probe === undefined) {
      await close(lock);
      continue;
    }
    await close(probe);
    return loopbackNetwork(subnet, lock);
  }
  throw new Error(`all ranges 127.77.0.x to 127.77.${RANGES - 1}.x are in use; stop other demos and try again`);
}

function loopbackNetwork(subnet: string, lock: Server): Network {
  const addressOf = (machine: Machine): string => `${subnet}.${machine.octet}`;
  return {
    mode: 'loopback',
    addressOf,
    loopbackOf: addressOf,
    commandOn: (_machine, argv) => argv,
    processIds: async () => [],
    cut: undefined,
    mend: undefined,
    remove: () => close(lock),
  };
}

async function listen(address: string, port: number): Promise<Server | undefined> {
  const server = createServer((socket) => socket.destroy());
  const bound = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, address, () => resolve(true));
  });
  server.unref();
  return bound ? server : undefined;
}

async function close(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
}
