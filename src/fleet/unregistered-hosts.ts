/** Hosts that follow the fleet and have registered no service: all that is known of them is what they say themselves. */
import type { KvStore } from '../consul/kv.ts';
import { META } from '../model/registration.ts';
import type { CatalogueState } from '../sources/catalogue-state.ts';
import { concerned, fleetHosts, type HostGateway } from './host-status.ts';

export interface UnregisteredHost {
  readonly host: string;
  /** What it says that it runs; empty: it says nothing, and may call others all the same. */
  readonly gateways: readonly HostGateway[];
}

/**
 * Those that follow one of these namespaces and live, sorted.
 * @param catalogue all services of Consul
 * @throws TrysailError `CONSUL_…`
 */
export async function unregisteredHosts(
  kv: Pick<KvStore, 'list'>,
  { services }: CatalogueState,
  namespaces: readonly string[],
): Promise<readonly UnregisteredHost[]> {
  const registered = new Set([...services.values()].flat().map(({ meta }) => meta[META.host]));
  return concerned(await fleetHosts(kv), namespaces)
    .filter(({ host, silent }) => !silent && !registered.has(host))
    .map(({ host, gateways }) => ({ host, gateways }))
    .sort((a, b) => (a.host < b.host ? -1 : 1));
}
