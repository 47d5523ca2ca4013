/** Completes the hosts that resources write to canonical names, once a resource. */
import type { DestinationRule } from '../model/destination-rule.ts';
import { canonicalHost, consulNameOf, serviceHosts, serviceOfHost } from '../model/host-names.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import type { VirtualService } from '../model/virtual-service.ts';
import type { ServiceRecord } from './kinds/service-record.ts';

/** A label that no template of Consul names takes for the name of a service: it would split it at the dashes. */
const ANY = 'any--service';

/** `*.shop.svc.cluster.local` → `*.shop.mesh` where a template says so: a wildcard of one namespace under any of its names. */
function canonicalWildcard(config: MeshConfig, written: string): string {
  const service = serviceOfHost(config, written.replace('*', ANY));
  if (service?.name !== ANY) return written;
  const [canonical] = serviceHosts(config, service);
  return canonical.startsWith(`${ANY}.`) ? canonical.replace(ANY, '*') : written;
}

/** Made once for a mesh configuration and its records; remembers what it has resolved. */
export interface HostResolver {
  readonly config: MeshConfig;
  readonly records: readonly ServiceRecord[];
  host(written: string, namespace: string): string;
  /** The resource itself where all of its hosts are canonical already; the same result for the same object. */
  virtualService(virtualService: VirtualService): VirtualService;
  destinationRule(rule: DestinationRule): DestinationRule;
}

/** `previous` is returned when it serves the same configuration and records. */
export function hostResolver(
  config: MeshConfig,
  records: readonly ServiceRecord[],
  previous: HostResolver | undefined,
): HostResolver {
  if (previous?.config === config && previous.records === records) return previous;
  // Templates go from a Consul name to the service that has it by convention; a record may have given it to another.
  const renamed = new Map<string, string>();
  for (const { meta, consulName } of records) {
    if (consulName === consulNameOf(meta)) continue;
    const [canonical, ...aliases] = serviceHosts(config, meta, consulName);
    for (const alias of aliases) renamed.set(alias, canonical);
  }
  const resolved = new WeakMap<object, unknown>();
  const memo = <T extends object>(resource: T, resolve: (resource: T) => T): T => {
    const known = resolved.get(resource);
    if (known !== undefined) return known as T;
    const result = resolve(resource);
    resolved.set(resource, result);
    return result;
  };
  const host = (written: string, namespace: string): string =>
    renamed.get(written) ??
    (written.startsWith('*.') ? canonicalWildcard(config, written) : canonicalHost(config, written, namespace));
  return {
    config,
    records,
    host,
    virtualService: (virtualService) =>
      memo(virtualService, ({ meta, hosts, http, exportTo }) => ({
        meta,
        hosts: [...new Set(hosts.map((name) => host(name, meta.namespace)))],
        http: http.map((route) => ({
          ...route,
          destinations: route.destinations.map((d) => ({ ...d, host: host(d.host, meta.namespace) })),
        })),
        exportTo,
      })),
    destinationRule: (rule) => memo(rule, (r) => ({ ...r, host: host(r.host, r.meta.namespace) })),
  };
}
