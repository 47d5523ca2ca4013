/** Completes the hosts that resources write to canonical names, once a resource. */
import type { DestinationRule } from '../model/destination-rule.ts';
import { canonicalHost, consulNameOf, serviceHosts, serviceOfHost } from '../model/host-names.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import type { RateLimit } from '../model/rate-limit.ts';
import type { Sidecar } from '../model/sidecar.ts';
import type { RouteDestination, VirtualService } from '../model/virtual-service.ts';
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

/**
 * The canonical hosts of names that records took from other services, by name: templates go from a Consul name to the
 * service that has it by convention; a record may have given it to another.
 */
export function renamedHosts(config: MeshConfig, records: readonly ServiceRecord[]): ReadonlyMap<string, string> {
  const renamed = new Map<string, string>();
  for (const { meta, consulName } of records) {
    if (consulName === consulNameOf(meta)) continue;
    const [canonical, ...aliases] = serviceHosts(config, meta, consulName);
    for (const alias of aliases) renamed.set(alias, canonical);
  }
  return renamed;
}

/** Made once for a mesh configuration and what records rename; remembers what it has resolved. */
export interface HostResolver {
  host(written: string, namespace: string): string;
  /** The resource itself where all of its hosts are canonical already; the same result for the same object. */
  readonly virtualService: (virtualService: VirtualService) => VirtualService;
  readonly destinationRule: (rule: DestinationRule) => DestinationRule;
  readonly sidecar: (sidecar: Sidecar) => Sidecar;
  readonly rateLimit: (rateLimit: RateLimit) => RateLimit;
}

/** @param renamed what `renamedHosts` says of the mesh's records */
export function hostResolver(config: MeshConfig, renamed: ReadonlyMap<string, string>): HostResolver {
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
  const to = <T extends { readonly host: string }>(destination: T, namespace: string): T => ({
    ...destination,
    host: host(destination.host, namespace),
  });
  const resolveVirtualService = (virtualService: VirtualService): VirtualService => {
    const { hosts, http, tls, tcp, exportTo } = virtualService;
    const { namespace } = virtualService.meta;
    const destinationsOf = <R extends { readonly destinations: readonly RouteDestination[] }>(route: R): R => ({
      ...route,
      destinations: route.destinations.map((destination) => to(destination, namespace)),
    });
    return {
      ...virtualService,
      hosts: [...new Set(hosts.map((name) => host(name, namespace)))],
      http: http.map((route) => ({
        ...destinationsOf(route),
        ...(route.mirrors !== undefined && {
          mirrors: route.mirrors.map((mirror) => ({ ...mirror, destination: to(mirror.destination, namespace) })),
        }),
      })),
      ...(tls !== undefined && { tls: tls.map(destinationsOf) }),
      ...(tcp !== undefined && { tcp: tcp.map(destinationsOf) }),
      exportTo: exportTo.length === 0 ? (config.defaultVirtualServiceExportTo ?? exportTo) : exportTo,
    };
  };
  // A host after a namespace is completed in that namespace: `shop/web` is the service `web` of `shop`.
  const resolveSidecar = (sidecar: Sidecar): Sidecar => {
    const { egress, outboundTrafficPolicy: policy, meta } = sidecar;
    return {
      ...sidecar,
      egress: egress?.map((listener) => ({
        ...listener,
        hosts: listener.hosts.map((one) => to(one, /^[.*~]$/.test(one.namespace) ? meta.namespace : one.namespace)),
      })),
      outboundTrafficPolicy:
        policy?.egressProxy === undefined ? policy : { ...policy, egressProxy: to(policy.egressProxy, meta.namespace) },
    };
  };
  return {
    host,
    virtualService: (virtualService) => memo(virtualService, resolveVirtualService),
    destinationRule: (rule) => memo(rule, (r) => ({ ...r, host: host(r.host, r.meta.namespace) })),
    sidecar: (sidecar) => memo(sidecar, resolveSidecar),
    rateLimit: (rateLimit) =>
      memo(rateLimit, ({ server, ...rest }) => ({
        ...rest,
        host: rest.host === undefined ? undefined : host(rest.host, rest.meta.namespace),
        server: server === undefined ? undefined : { ...server, host: host(server.host, rest.meta.namespace) },
      })),
  };
}
