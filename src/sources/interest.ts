/** Which services of Consul's catalogue this host has to follow. */

import type { Gateway } from '../model/gateway.ts';
import type { GatewayRole } from '../model/host.ts';
import { canonicalHost, consulNameOf, type ServiceName, serviceOfHost } from '../model/host-names.ts';
import { hasLabels } from '../model/labels.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import type { Sidecar } from '../model/sidecar.ts';
import { mergeDelegates } from './delegates.ts';
import { claimOf } from './entry-service.ts';
import { hostResolver, renamedHosts } from './host-resolution.ts';
import { rateLimitHosts } from './rate-limit-interest.ts';
import { indexRecords } from './registered-services.ts';
import type { ResourceSet } from './resource-set.ts';
import { destinationsOf } from './virtual-service-destinations.ts';

export interface InterestInputs {
  readonly config: MeshConfig;
  readonly resources: ResourceSet;
  /** Canonical or written hosts of the services that this host calls. */
  readonly upstreamHosts: Iterable<string>;
  /** The gateways that this host is; absent: none. */
  readonly gateways?: readonly GatewayRole[];
  /** The services that it runs; absent: none. */
  readonly localServices?: readonly ServiceName[];
}

/** The Gateways that a host serves. */
function servedGateways({ gateways }: ResourceSet, roles: readonly GatewayRole[]): readonly Gateway[] {
  return gateways.filter(({ selector }) => roles.some(({ labels }) => hasLabels(labels, selector)));
}

/** The services that sidecars may call through these Gateways, as far as their servers name them one by one. */
function passedHosts(gateways: readonly Gateway[]): readonly string[] {
  return gateways.flatMap(({ servers }) =>
    servers.flatMap(({ tls, hosts }) =>
      tls?.mode === 'AUTO_PASSTHROUGH' ? hosts.flatMap(({ host }) => (host.includes('*') ? [] : [host])) : [],
    ),
  );
}

/** Where Sidecars of the host's workloads send calls to hosts that nobody knows. */
function egressProxies(
  sidecars: readonly Sidecar[],
  { rootNamespace }: Pick<MeshConfig, 'rootNamespace'>,
  localServices: readonly ServiceName[],
): readonly string[] {
  const own = new Set([rootNamespace, ...localServices.map(({ namespace }) => namespace)]);
  return sidecars.flatMap(({ meta, outboundTrafficPolicy }) => {
    const host = outboundTrafficPolicy?.egressProxy?.host;
    return host !== undefined && own.has(meta.namespace) ? [host] : [];
  });
}

function covers(pattern: string, host: string): boolean {
  return pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) : pattern === host;
}

/**
 * The Consul names of the upstreams, of what Sidecars name as egress proxies, and of the destinations of the
 * VirtualServices on them and on the host’s gateways. Hosts that a ServiceEntry
 * describes are not asked for: configuration is believed, whatever somebody registers under that name.
 */
export function interestOf(inputs: InterestInputs): ReadonlySet<string> {
  const { config, resources, upstreamHosts, gateways = [], localServices = [] } = inputs;
  const records = indexRecords(config, resources.serviceRecords);
  const resolver = hostResolver(config, renamedHosts(config, resources.serviceRecords));
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
  const limits = resources.rateLimits.map((limit) => resolver.rateLimit(limit));
  const served = servedGateways(resources, gateways);
  for (const host of rateLimitHosts(config, limits, { localServices, served, gateways })) hosts.add(host);
  const sidecars = resources.sidecars.map((sidecar) => resolver.sidecar(sidecar));
  for (const host of egressProxies(sidecars, config, localServices)) hosts.add(host);
  for (const host of passedHosts(served)) hosts.add(resolver.host(host, 'default'));
  const names = new Set(served.map(({ meta }) => `${meta.namespace}/${meta.name}`));
  const written = resources.virtualServices.map((virtualService) => resolver.virtualService(virtualService));
  for (const virtualService of mergeDelegates(written).virtualServices) {
    const isCalled = virtualService.hosts.some((pattern) => upstreams.some((host) => covers(pattern, host)));
    if (!isCalled && virtualService.gateways?.some((gateway) => names.has(gateway)) !== true) continue;
    for (const { destination } of destinationsOf(virtualService)) hosts.add(destination.host);
  }
  const consulNames = [...hosts].flatMap((host) => {
    if (described.has(host)) return [];
    const record = records.byHost.get(host);
    if (record !== undefined) return [record.consulName];
    const service = serviceOfHost(config, host);
    return service === undefined ? [] : [consulNameOf(service)];
  });
  return new Set(consulNames.sort());
}
