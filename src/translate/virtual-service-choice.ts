/** Which VirtualService speaks for a service. */
import type { Service } from '../model/service.ts';
import type { VirtualService } from '../model/virtual-service.ts';
import { bestSpecificity } from './host-pattern.ts';
import { isVisible } from './visibility.ts';

/**
 * The one with the most specific host; among equals the oldest, whatever its namespace. There is no merging.
 * @param virtualServices oldest first
 */
export function chooseVirtualService(
  virtualServices: readonly VirtualService[],
  service: Service,
  namespace: string,
): VirtualService | undefined {
  const hosts = [service.host, ...service.aliases];
  let chosen: VirtualService | undefined;
  let chosenSpecificity = -1;
  for (const candidate of virtualServices) {
    if (candidate.http.length === 0 || !isVisible(candidate.exportTo, candidate.meta.namespace, namespace)) continue;
    const found = bestSpecificity(candidate.hosts, hosts);
    if (found === undefined || found <= chosenSpecificity) continue;
    chosen = candidate;
    chosenSpecificity = found;
  }
  return chosen;
}
