/** The part of a mesh that calls of one service can meet: translating all of a large one for one question takes seconds. */
import type { Mesh } from '../model/mesh.ts';
import type { Service } from '../model/service.ts';
import { destinationsOf } from '../sources/virtual-service-destinations.ts';
import { bestSpecificity, specificity } from '../translate/view/host-pattern.ts';

/**
 * The mesh with the service, the VirtualServices that name it, and the services to which these lead, alone. All rules
 * besides stay: they are found by the hosts of services.
 */
export function narrowedMesh(mesh: Mesh, service: Service): Mesh {
  const names = [service.host, ...service.aliases];
  const virtualServices = mesh.virtualServices.filter(
    ({ hosts }) =>
      bestSpecificity(hosts, names) !== undefined ||
      hosts.some((host) => specificity(service.host, host) !== undefined),
  );
  const proxies = mesh.sidecars.flatMap(({ outboundTrafficPolicy: policy }) => policy?.egressProxy?.host ?? []);
  const led = virtualServices.flatMap((one) => destinationsOf(one).map(({ destination }) => destination.host));
  const hosts = new Set([service.host, ...led, ...proxies]);
  const kept = <T>(all: ReadonlyMap<string, T>): ReadonlyMap<string, T> =>
    new Map([...all].filter(([host]) => hosts.has(host)));
  return { ...mesh, virtualServices, services: kept(mesh.services), endpoints: kept(mesh.endpoints), gateways: [] };
}
