/** What resources say of each other and of services that is not so: unknown destinations, two owners of one host. */
import type { DestinationRule } from '../model/destination-rule.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { describeObject, type ResourceMeta } from '../model/resource-meta.ts';
import type { Service } from '../model/service.ts';
import { MESH_GATEWAY, type VirtualService } from '../model/virtual-service.ts';
import { destinationsOf } from './virtual-service-destinations.ts';

/** What a host name stands for, as far as this host can know: it does not follow every service of the catalogue. */
export type HostKnowledge = Service | 'missing' | 'unknown';

/** The namespaces that see a resource; `*` for all. */
function audience(meta: ResourceMeta, exportTo: readonly string[]): readonly string[] {
  if (exportTo.length === 0 || exportTo.includes('*')) return ['*'];
  return exportTo.filter((to) => to !== '~').map((to) => (to === '.' ? meta.namespace : to));
}

function overlap(a: readonly string[], b: readonly string[]): boolean {
  if (a.length === 0 || b.length === 0) return false;
  return a.includes('*') || b.includes('*') || a.some((namespace) => b.includes(namespace));
}

function checkOwners(virtualServices: readonly VirtualService[]): readonly Diagnostic[] {
  const owners = new Map<string, VirtualService[]>();
  const diagnostics: Diagnostic[] = [];
  for (const virtualService of virtualServices) {
    const { meta, exportTo, gateways = [] } = virtualService;
    // At gateways those of one host are merged.
    if (gateways.length > 0 && !gateways.includes(MESH_GATEWAY)) continue;
    for (const host of virtualService.hosts) {
      const others = owners.get(host) ?? [];
      const older = others.find((other) => overlap(audience(other.meta, other.exportTo), audience(meta, exportTo)));
      if (older !== undefined)
        diagnostics.push({
          code: 'IST0109',
          severity: 'error',
          object: describeObject(meta),
          path: 'spec.hosts',
          source: meta.source,
          message: `${host} is routed by ${describeObject(older.meta)} already, which is older and holds`,
          remedy: 'Join the two, or remove the host from one of them.',
        });
      owners.set(host, [...others, virtualService]);
    }
  }
  return diagnostics;
}

/** `reviews.shop`, `reviews.shop.svc`: what a cluster's DNS completes. */
const ABBREVIATED = /^[^.*]+\.[^.*]+(?:\.svc)?$/;

function checkDestinations(
  virtualService: VirtualService,
  lookUp: (host: string) => HostKnowledge,
  hasSubset: (host: string, service: HostKnowledge, subset: string) => boolean,
): readonly Diagnostic[] {
  const { meta } = virtualService;
  const diagnostics: Diagnostic[] = [];
  const common = { code: 'IST0101', severity: 'warning', object: describeObject(meta) } as const;
  for (const { path, destination, source = meta.source } of destinationsOf(virtualService)) {
    const missing = (at: string, message: string, remedy: string): void => {
      diagnostics.push({ ...common, source, path: at, message, remedy });
    };
    const { host, subset, port } = destination;
    const service = lookUp(host);
    if (service === 'missing')
      missing(
        `${path}.host`,
        `nothing is known of ${host}; requests for it fail`,
        ABBREVIATED.test(host)
          ? 'Write the whole name of the service: one with a dot is taken as it stands, and not completed.'
          : 'Correct the name, or start the service.',
      );
    else if (service !== 'unknown' && port !== undefined && !service.ports.some(({ number }) => number === port)) {
      const ports = service.ports.map(({ number }) => number).join(', ');
      missing(`${path}.port`, `${host} has no port ${port}; requests for it fail`, `Use one of: ${ports}.`);
    }
    if (subset !== undefined && !hasSubset(host, service, subset))
      missing(
        `${path}.subset`,
        `no DestinationRule for ${host} has a subset "${subset}"; requests for it fail`,
        `Add the subset to a DestinationRule with host ${host}.`,
      );
  }
  return diagnostics;
}

/** Whether any rule, for the host or for a wildcard that covers it, has a subset. */
function subsetsOf(
  destinationRules: readonly DestinationRule[],
): (host: string, service: HostKnowledge, subset: string) => boolean {
  const subsets = new Map<string, Set<string>>();
  for (const rule of destinationRules) {
    const names = subsets.get(rule.host) ?? new Set();
    for (const { name } of rule.subsets) names.add(name);
    subsets.set(rule.host, names);
  }
  const wildcards = [...subsets].filter(([host]) => host.startsWith('*'));
  return (host, service, subset) =>
    subsets.get(host)?.has(subset) === true ||
    wildcards.some(
      ([wildcard, names]) =>
        names.has(subset) &&
        // Of a service that is not known here nobody knows the further names.
        (typeof service === 'string' || [host, ...service.aliases].some((name) => name.endsWith(wildcard.slice(1)))),
    );
}

/** Both lists oldest first, hosts canonical, delegates apart from their roots. Warnings never keep a resource from being applied. */
export function checkReferences(
  virtualServices: readonly VirtualService[],
  destinationRules: readonly DestinationRule[],
  lookUp: (host: string) => HostKnowledge,
): readonly Diagnostic[] {
  const hasSubset = subsetsOf(destinationRules);
  return [
    ...checkOwners(virtualServices),
    ...virtualServices.flatMap((virtualService) => checkDestinations(virtualService, lookUp, hasSubset)),
  ];
}
