/** Hosts whose agents have registered services, by Consul's catalogue: some of them may say nothing of themselves. */
import { Slots } from '../lib/slots.ts';
import { serviceOfConsulName } from '../model/host-names.ts';
import { META } from '../model/registration.ts';
import type { OpenFleet } from './fleet.ts';

const READS = 16;
/** Services that are looked at: it is a hint for people, and no reason to read a large catalogue whole. */
const MAX_SERVICES = 200;

/** Names of hosts that run services of some namespaces; sorted. Never rejects: without an answer there are none. */
export async function catalogueHosts({ consul }: OpenFleet, namespaces: readonly string[]): Promise<readonly string[]> {
  if (consul === undefined) return [];
  try {
    const { value } = await consul.catalogServices({ stale: true });
    const names = [...value.keys()].filter((name) => namespaces.includes(serviceOfConsulName(name).namespace));
    const slots = new Slots(READS);
    const answers = await Promise.all(
      names.slice(0, MAX_SERVICES).map(async (name) => slots.run(async () => consul.health(name, { stale: true }))),
    );
    const hosts = answers.flatMap((answer) => answer.value.flatMap(({ meta }) => meta[META.host] ?? []));
    return [...new Set(hosts)].sort();
  } catch {
    return [];
  }
}
