/** Consul's catalogue as it is at this moment, for commands: what an agent follows, read once. */
import type { ConsulClient } from '../consul/client.ts';
import { Slots } from '../lib/slots.ts';
import { readInstances } from '../sources/catalogue-instances.ts';
import type { CatalogueInstance, CatalogueState } from '../sources/catalogue-state.ts';

/** Reads under way at once. */
const READS = 16;

export interface CatalogueNow {
  readonly catalogue: CatalogueState;
  /** Services that were not read, because there are more than `maxServices`. */
  readonly left: number;
}

/**
 * Reads all services with their instances, at most `maxServices`, by name.
 * @throws TrysailError `CONSUL_…`
 */
export async function catalogueNow(
  { catalogServices, health }: Pick<ConsulClient, 'catalogServices' | 'health'>,
  maxServices: number,
): Promise<CatalogueNow> {
  const { value } = await catalogServices({ stale: true });
  const names = [...value.keys()].filter((name) => name !== 'consul').sort();
  const slots = new Slots(READS);
  const services = await Promise.all(
    names.slice(0, maxServices).map(async (name): Promise<[string, readonly CatalogueInstance[]]> => {
      const answer = await slots.run(async () => health(name, { stale: true }));
      return [name, readInstances(answer.value).instances];
    }),
  );
  return {
    catalogue: { services: new Map(services), diagnostics: [] },
    left: Math.max(0, names.length - maxServices),
  };
}
