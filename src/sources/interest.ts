/** Which services of Consul's catalogue this host has to follow. */
import { canonicalHost, consulNameOf, serviceOfHost } from '../model/host-names.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { mergeDelegates } from './delegates.ts';
import { claimOf } from './entry-service.ts';
import { hostResolver } from './host-resolution.ts';
import { indexRecords } from './registered-services.ts';
import type { ResourceSet } from './resource-set.ts';
import { destinationsOf } from './virtual-service-destinations.ts';

export interface InterestInputs {
  readonly config: MeshConfig;
  readonly resources: ResourceSet;
  /** Canonical or written hosts of the services that this host calls. */
  readonly upstreamHosts: Iterable<string>;
}

function covers(pattern: string, host: string): boolean {
  return pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) : pattern === host;
}

/**
 * The Consul names of the upstreams and of the destinations of the VirtualServices on them. Hosts that a ServiceEntry
 * describes are not asked for: configuration is believed, whatever somebody registers under that name.
 */
export function interestOf({ config, resources, upstreamHosts }: InterestInputs): ReadonlySet<string> {
  const records = indexRecords(config, resources.serviceRecords, undefined);
  const resolver = hostResolver(config, resources.serviceRecords, undefined);
  const described = new Set(
    resources.serviceEntries.flatMap((entry) =>
      entry.hosts.flatMap((written) => {
        const { host, owner } = claimOf(config, entry, written);
        return owner === undefined ? [host] : [];
      }),
    ),
  );
  const hosts = new Set(
    [...upstreamHosts].map((host) => resolver.host(canonicalHost(config, host, 'default'), 'default')),
  );
  const upstreams = [...hosts];
  const written = resources.virtualServices.map((virtualService) => resolver.virtualService(virtualService));
  for (const virtualService of mergeDelegates(written).virtualServices) {
    if (!virtualService.hosts.some((pattern) => upstreams.some((host) => covers(pattern, host)))) continue;
    for (const { destination } of destinationsOf(virtualService)) hosts.add(destination.host);
  }
  const names = [...hosts].flatMap((host) => {
    if (described.has(host)) return [];
    const record = records.byHost.get(host);
    if (record !== undefined) return [record.consulName];
    const service = serviceOfHost(config, host);
    return service === undefined ? [] : [consulNameOf(service)];
  });
  return new Set(names.sort());
}
