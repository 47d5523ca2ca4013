/** The ports at which a workload serves, by what services say of their endpoints. */

import { isIP } from 'node:net';
import { canonicalHost } from '../model/host-names.ts';
import { hasLabels } from '../model/labels.ts';
import type { Endpoint, Service, ServicePort } from '../model/service.ts';
import type { Configuration } from './configuration.ts';
import type { DescribedWorkload } from './described-workload.ts';

export interface ServedPort {
  readonly service: Service;
  readonly port: ServicePort;
  /** Port of the workload. */
  readonly number: number;
  /** Whom it is there, by what configuration says of that endpoint; else by the service's name. */
  readonly account: string;
}

/** Endpoints have the WorkloadEntry's namespace and name as their id, or their address and place in the ServiceEntry. */
function accountOf({ mesh, resources }: Configuration, service: Service, { id }: Endpoint): string {
  const entry = resources.workloadEntries.find(({ meta }) => id === `${meta.namespace}/${meta.name}`);
  if (entry !== undefined) return entry.workload.serviceAccount ?? service.name;
  const written = resources.serviceEntries
    .filter(
      ({ meta, hosts }) =>
        meta.namespace === service.namespace &&
        hosts.some((host) => canonicalHost(mesh.config, host, meta.namespace) === service.host),
    )
    .flatMap(({ endpoints }) => endpoints.filter(({ address }, i) => id === `${address}#${i}`));
  return written[0]?.serviceAccount ?? service.name;
}

function isItself(workload: DescribedWorkload, { namespace }: Service, endpoint: Endpoint): boolean {
  if (namespace === workload.namespace && endpoint.id === `${workload.namespace}/${workload.name ?? ''}`) return true;
  return workload.address !== undefined && isIP(workload.address) !== 0 && endpoint.address === workload.address;
}

/** Services that select a workload which is not among the WorkloadEntries, with the port that each dials. */
function selecting({ mesh, resources }: Configuration, workload: DescribedWorkload): readonly ServedPort[] {
  return resources.serviceEntries.flatMap((entry) => {
    const selector = entry.workloadSelector;
    const selected =
      selector !== undefined && entry.meta.namespace === workload.namespace && hasLabels(workload.labels, selector);
    if (!selected) return [];
    return entry.hosts.flatMap((host) => {
      const service = mesh.services.get(canonicalHost(mesh.config, host, entry.meta.namespace));
      if (service === undefined) return [];
      return service.ports.map((port) => ({
        service,
        port,
        number: entry.ports.find(({ number }) => number === port.number)?.targetPort ?? port.number,
        account: service.name,
      }));
    });
  });
}

/** Each port of the workload once, sorted by number: where several services have it, the first by host name holds. */
export function servedPorts(configuration: Configuration, workload: DescribedWorkload): readonly ServedPort[] {
  const { mesh } = configuration;
  const byEndpoint = [...mesh.services.values()].flatMap((service) =>
    service.external
      ? []
      : (mesh.endpoints.get(service.host) ?? [])
          .filter((endpoint) => isItself(workload, service, endpoint))
          .flatMap((endpoint) =>
            service.ports.map((port) => ({
              service,
              port,
              number: endpoint.ports[port.number] ?? port.number,
              account: accountOf(configuration, service, endpoint),
            })),
          ),
  );
  const known = new Set(byEndpoint.map(({ service }) => service));
  // Of what is an endpoint already that says the ports.
  const selected = selecting(configuration, workload).filter(({ service }) => !known.has(service));
  const served = new Map<number, ServedPort>();
  for (const one of [...byEndpoint, ...selected]) if (!served.has(one.number)) served.set(one.number, one);
  return [...served.values()].toSorted((a, b) => a.number - b.number);
}
