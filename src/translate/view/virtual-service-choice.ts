/** Which VirtualService speaks for a service. */
import type { ResourceMeta } from '../../model/resource-meta.ts';
import type { Service } from '../../model/service.ts';
import type { VirtualService } from '../../model/virtual-service.ts';
import { hostIndexes } from './host-index.ts';
import { bestSpecificity } from './host-pattern.ts';
import { isVisible } from './visibility.ts';

const indexOf = hostIndexes<VirtualService>(({ hosts }) => hosts);

/**
 * Whether a VirtualService may say where a client's calls to a service go. What was published to the fleet counts from the
 * client's, the service's and the root namespace alone: nobody changes calls between two namespaces that are others'.
 * @param service undefined: of a name that is no service
 */
export function hasAuthority(
  { namespace, published }: Pick<ResourceMeta, 'namespace' | 'published'>,
  of: { readonly client: string; readonly service: string | undefined; readonly root: string | undefined },
): boolean {
  return published !== true || [of.client, of.service, of.root].includes(namespace);
}

/**
 * The one with the most specific host; among equals the oldest of those that say anything. There is no merging.
 * @param virtualServices oldest first
 * @param namespace the client's
 * @param speaks whether a VirtualService says anything of the calls in question
 */
export function chooseVirtualService(
  virtualServices: readonly VirtualService[],
  service: Pick<Service, 'host' | 'aliases'>,
  namespace: string,
  speaks: (virtualService: VirtualService) => boolean,
): VirtualService | undefined {
  const hosts = [service.host, ...service.aliases];
  let chosen: VirtualService | undefined;
  let chosenSpecificity = -1;
  for (const candidate of indexOf(virtualServices).candidates(hosts)) {
    const found = bestSpecificity(candidate.hosts, hosts);
    if (found === undefined || found <= chosenSpecificity) continue;
    if (!isVisible(candidate.exportTo, candidate.meta.namespace, namespace) || !speaks(candidate)) continue;
    chosen = candidate;
    chosenSpecificity = found;
  }
  return chosen;
}
