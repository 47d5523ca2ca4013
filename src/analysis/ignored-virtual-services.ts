/** VirtualServices that name a service and have no say for a caller, each with the reason. */

import type { IgnoredVirtualService } from '../model/explanation.ts';
import type { Mesh } from '../model/mesh.ts';
import { describeObject } from '../model/resource-meta.ts';
import type { Service } from '../model/service.ts';
import { gatewaysOf } from '../translate/http/client-conditions.ts';
import type { Client } from '../translate/view/calling.ts';
import { bestSpecificity } from '../translate/view/host-pattern.ts';
import { hasAuthority } from '../translate/view/virtual-service-choice.ts';
import { isVisible } from '../translate/view/visibility.ts';
import { place } from './considered.ts';

/** @param holds the one that has a say, as `describeObject` names it */
export function ignoredVirtualServices(
  { virtualServices, config }: Mesh,
  service: Service,
  client: Client,
  holds: string | undefined,
): readonly IgnoredVirtualService[] {
  const names = [service.host, ...service.aliases];
  const chosen = virtualServices.find(({ meta }) => describeObject(meta) === holds);
  const chosenRank = chosen === undefined ? undefined : bestSpecificity(chosen.hosts, names);
  return virtualServices.flatMap((virtualService): IgnoredVirtualService[] => {
    const { meta, hosts, exportTo, http } = virtualService;
    const rank = bestSpecificity(hosts, names);
    if (virtualService === chosen || rank === undefined) return [];
    const gateways = gatewaysOf(virtualService);
    // What a gateway does with whatever comes is no answer to a question about this service.
    if (!gateways.includes('mesh') && hosts.every((host) => host === '*')) return [];
    const reason = !isVisible(exportTo, meta.namespace, client.namespace)
      ? `it is not exported to namespace ${client.namespace}`
      : !hasAuthority(meta, {
            client: client.namespace,
            service: service.namespace,
            root: config.rootNamespace,
          })
        ? `it was published in ${meta.namespace}, which is neither the caller's nor the service's namespace`
        : !gateways.includes('mesh')
          ? `it is for ${gateways.join(', ')}, not for the mesh`
          : http.length === 0
            ? 'it has no HTTP routes'
            : chosen === undefined || chosenRank === undefined
              ? 'none of its routes is for this caller and port, or its Sidecar does not import it'
              : rank < chosenRank
                ? `${describeObject(chosen.meta)} names the host more closely`
                : `${describeObject(chosen.meta)} is older, and two for one host are not joined`;
    return [{ virtualService: describeObject(meta), source: place(meta.source), reason }];
  });
}
