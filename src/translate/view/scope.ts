/**
 * What of the mesh a client sees: which Sidecar is its own, which services it may call by that, and which
 * VirtualServices speak for its calls. https://istio.io/latest/docs/reference/config/networking/sidecar/
 */

import { hasLabels } from '../../model/labels.ts';
import type { Mesh } from '../../model/mesh.ts';
import type { Service } from '../../model/service.ts';
import type { Sidecar, SidecarEgress, SidecarHost } from '../../model/sidecar.ts';
import type { VirtualService } from '../../model/virtual-service.ts';
import type { Client } from './calling.ts';
import { specificity } from './host-pattern.ts';
import { isVisible } from './visibility.ts';

export interface Scope {
  /** Undefined: everything that is exported to the client. */
  readonly sidecar: Sidecar | undefined;
  /** Whether the client may call the service; at this port, or at any (of one whose ports nobody knows: at some). */
  calls(service: Service, port?: number): boolean;
  /** Whether a route may lead to the service: one that the client may call, or to which an imported rule sends it. */
  reaches(service: Service): boolean;
  /** Whether a VirtualService counts for calls to this port, or to any. `exportTo` is not looked at. */
  imports(virtualService: VirtualService, port?: number): boolean;
}

/**
 * The Sidecar of a client: in its namespace the oldest whose selector has it, else the oldest without a selector; else
 * the oldest of the root namespace without one.
 */
export function sidecarOf(
  { sidecars, config }: Pick<Mesh, 'sidecars' | 'config'>,
  client: Pick<Client, 'namespace' | 'labels' | 'gateway'>,
): Sidecar | undefined {
  if (client.gateway === true) return undefined;
  const own = sidecars.filter(({ meta }) => meta.namespace === client.namespace);
  return (
    own.find(({ workloadSelector: selector }) => selector !== undefined && hasLabels(client.labels, selector)) ??
    own.find(({ workloadSelector }) => workloadSelector === undefined) ??
    sidecars.find(
      ({ meta, workloadSelector }) => meta.namespace === config.rootNamespace && workloadSelector === undefined,
    )
  );
}

function isIn(namespace: string, { namespace: pattern }: SidecarHost, own: string): boolean {
  return pattern === '*' || (pattern === '.' ? own : pattern) === namespace;
}

function covers(entries: readonly SidecarHost[], namespace: string, own: string, names: readonly string[]): boolean {
  return entries.some(
    (entry) => isIn(namespace, entry, own) && names.some((name) => specificity(entry.host, name) !== undefined),
  );
}

/** One egress listener, of a workload of some namespace. */
interface Imported {
  readonly service: (service: Service) => boolean;
  readonly virtualService: (virtualService: VirtualService) => boolean;
}

function imported({ hosts }: SidecarEgress, own: string): Imported {
  const entries = hosts.filter(({ excluded, namespace }) => !excluded && namespace !== '~');
  const without = hosts.filter(({ excluded }) => excluded);
  return {
    service: ({ host, aliases, namespace }) => {
      const names = [host, ...aliases];
      return covers(entries, namespace, own, names) && !covers(without, namespace, own, names);
    },
    // A wildcard of either side is enough: a rule for *.example.com speaks for the one name that is imported of them.
    virtualService: ({ hosts: names, meta: { namespace } }) =>
      names.some(
        (name) =>
          entries.some(
            (entry) =>
              isIn(namespace, entry, own) &&
              (specificity(entry.host, name) !== undefined || specificity(name, entry.host) !== undefined),
          ) && !covers(without, namespace, own, [name]),
      ),
  };
}

/** The hosts to which a VirtualService sends calls or copies of them. */
export function destinationsOf({ http, tls = [], tcp = [] }: VirtualService): readonly string[] {
  return [
    ...[...http, ...tls, ...tcp].flatMap(({ destinations }) => destinations.map(({ host }) => host)),
    ...http.flatMap(({ mirrors = [] }) => mirrors.map(({ destination }) => destination.host)),
  ];
}

/**
 * The scope of a client.
 * @param sidecar its own, of `sidecarOf`
 * @param virtualServices those of the mesh: where the imported ones lead can be reached, though not called
 */
export function scopeOf(
  sidecar: Sidecar | undefined,
  virtualServices: readonly VirtualService[],
  { namespace }: Pick<Client, 'namespace'>,
): Scope {
  const isExported = (service: Service): boolean => isVisible(service.exportTo ?? [], service.namespace, namespace);
  if (sidecar?.egress === undefined) return { sidecar, calls: isExported, reaches: isExported, imports: () => true };
  const listeners = sidecar.egress.map((listener) => ({
    port: listener.port?.number,
    ...imported(listener, namespace),
  }));
  // A listener with a port has it for itself: what the one without a port imports is not called there.
  const of = (port: number | undefined): readonly (typeof listeners)[number][] => {
    if (port === undefined) return listeners;
    const own = listeners.filter((listener) => listener.port === port);
    return own.length > 0 ? own : listeners.filter((listener) => listener.port === undefined);
  };
  const calls = (service: Service, port?: number): boolean =>
    isExported(service) &&
    (port === undefined
      ? service.ports.length === 0
        ? listeners.some((listener) => listener.service(service))
        : service.ports.some(({ number }) => of(number).some((listener) => listener.service(service)))
      : of(port).some((listener) => listener.service(service)));
  const imports = (virtualService: VirtualService, port?: number): boolean =>
    of(port).some((listener) => listener.virtualService(virtualService));
  const destinations = new Set(
    virtualServices
      .filter((one) => isVisible(one.exportTo, one.meta.namespace, namespace) && imports(one))
      .flatMap(destinationsOf),
  );
  const proxy = sidecar.outboundTrafficPolicy?.egressProxy?.host;
  if (proxy !== undefined) destinations.add(proxy);
  return {
    sidecar,
    calls,
    reaches: (service) => calls(service) || (isExported(service) && destinations.has(service.host)),
    imports,
  };
}
