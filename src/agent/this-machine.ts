/** What the machine says of itself where agent.yaml is silent. */
import { availableParallelism } from 'node:os';
import { TrysailError } from '../lib/errors.ts';
import { hostAddress, hostName } from '../platform/vm/host-address.ts';
import type { Machine } from './settings-complete.ts';

/** Host name, address of the default route's interface and cores. Reads, and asks nobody. */
export async function thisMachine(): Promise<Machine> {
  let address: string | undefined;
  try {
    address = await hostAddress();
  } catch (error) {
    // Only a host whose settings do not name the address needs one: the settings complain then, at their place.
    if (!(error instanceof TrysailError)) throw error;
  }
  return { hostName: hostName(), address, cores: availableParallelism() };
}
