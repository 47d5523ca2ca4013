/** The services of the catalogue and those of ServiceEntries as one mesh has them. */
import { changedKeys } from '../lib/changed-keys.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Endpoint, Service } from '../model/service.ts';
import type { EntryServices } from './entry-services.ts';
import type { RegisteredService } from './registered-service.ts';
import { sharedMap } from './sharing.ts';

/** Both maps by canonical host, in the order of the hosts. */
export interface JoinedServices {
  readonly services: ReadonlyMap<string, Service>;
  readonly endpoints: ReadonlyMap<string, readonly Endpoint[]>;
  /** Hosts of which the catalogue says that nobody serves them, and of which no record speaks. */
  readonly absent: ReadonlyMap<string, Service>;
  readonly diagnostics: readonly Diagnostic[];
  /** What it was made of. */
  readonly registered: ReadonlyMap<string, RegisteredService>;
  readonly entries: EntryServices;
}

function isAbsent({ inputs: { instances, record } }: RegisteredService): boolean {
  return instances?.length === 0 && record === undefined;
}

/** The common change: the endpoints of some services and nothing else; undefined when more has changed. */
function withEndpoints(
  last: JoinedServices,
  registered: ReadonlyMap<string, RegisteredService>,
): JoinedServices | undefined {
  const names = changedKeys(last.registered, registered);
  if (names === undefined) return undefined;
  let endpoints: Map<string, readonly Endpoint[]> | undefined;
  for (const name of names) {
    const [before, now] = [last.registered.get(name), registered.get(name)];
    if (before === undefined || now === undefined) return undefined;
    const { service, diagnostics } = now;
    const same = before.service === service && before.diagnostics === diagnostics && isAbsent(before) === isAbsent(now);
    if (!same) return undefined;
    // Another may hold its host.
    if (now.endpoints === before.endpoints || last.services.get(service.host) !== service) continue;
    endpoints ??= new Map(last.endpoints);
    endpoints.set(service.host, now.endpoints);
  }
  return { ...last, endpoints: endpoints ?? last.endpoints, registered };
}

/** The catalogue first: where it and a ServiceEntry have one host, the catalogue's service holds, as in Istio. */
export function joinServices(
  registered: ReadonlyMap<string, RegisteredService>,
  entries: EntryServices,
  last: JoinedServices | undefined,
): JoinedServices {
  const alike = last?.entries === entries ? withEndpoints(last, registered) : undefined;
  if (alike !== undefined) return alike;
  const found: (readonly [string, Service, readonly Endpoint[]])[] = [];
  const diagnostics: Diagnostic[] = [];
  const holders = new Map<string, Service>();
  for (const one of registered.values()) {
    const { service, endpoints } = one;
    const holder = holders.get(service.host);
    if (holder === undefined) {
      holders.set(service.host, service);
      found.push([service.host, service, endpoints]);
      diagnostics.push(...one.diagnostics);
      continue;
    }
    diagnostics.push({
      code: 'TRY0302',
      severity: 'error',
      object: `service ${service.namespace}/${service.name}`,
      message: `its host ${service.host} is that of ${holder.namespace}/${holder.name} already`,
      remedy: 'Use {service} and {namespace} in the first template of serviceHosts.',
    });
  }
  for (const [host, { service, endpoints, inputs }] of entries.byHost) {
    if (service === undefined) continue;
    if (!holders.has(host)) {
      found.push([host, service, endpoints]);
      continue;
    }
    const { meta } = inputs.entry;
    diagnostics.push({
      code: 'TRY0302',
      severity: 'warning',
      object: `ServiceEntry ${meta.namespace}/${meta.name}`,
      source: meta.source,
      message: `the host ${host} is that of a service in Consul, which holds`,
      remedy: 'Remove the host from the ServiceEntry, or deregister the service.',
    });
  }
  const sorted = found.sort(([a], [b]) => (a < b ? -1 : Number(a > b)));
  return {
    services: sharedMap(last?.services, new Map(sorted.map(([host, service]) => [host, service]))),
    endpoints: sharedMap(last?.endpoints, new Map(sorted.map(([host, , endpoints]) => [host, endpoints]))),
    absent: sharedMap(
      last?.absent,
      new Map([...registered.values()].filter(isAbsent).map(({ service }) => [service.host, service])),
    ),
    diagnostics,
    registered,
    entries,
  };
}
