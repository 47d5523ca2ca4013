/** Where one client's connections to a port of a service go, by the TLS and TCP routes of the VirtualServices it sees. */
import type { Service, ServicePort } from '../../model/service.ts';
import { MESH_GATEWAY, type VirtualService } from '../../model/virtual-service.ts';
import type { ResolvedDestination } from '../view/destination.ts';
import { bestSpecificity, specificity } from '../view/host-pattern.ts';
import {
  type ConnectionRoute,
  hasTcpRoutes,
  hasTlsRoutes,
  type TcpRoutesSpec,
  tcpDestinations,
  tcpRoutes,
  tlsRoutes,
} from './tcp-routes.ts';

export interface ViewedConnections {
  readonly routes: readonly ConnectionRoute[];
  readonly destinations: readonly ResolvedDestination[];
}

const NONE: ViewedConnections = { routes: [], destinations: [] };

/** How closely the rule's hosts name the service; a name that a wildcard service covers is one of its names. */
function closeness({ hosts }: VirtualService, service: Service): number | undefined {
  const names = [service.host, ...service.aliases];
  const best = bestSpecificity(hosts, names);
  if (best !== undefined) return best;
  return hosts.some((host) => specificity(service.host, host) !== undefined) ? 0 : undefined;
}

function isWildcard({ host }: Service): boolean {
  return host.startsWith('*');
}

/** Of a service whose names are resolved as they are called: those alone, and nobody else's. */
function ownRoutes(
  { host, resolution }: Service,
  port: number,
  resolve: TcpRoutesSpec['resolve'],
): readonly ConnectionRoute[] {
  if (resolution !== 'DYNAMIC_DNS') return [];
  const direct = resolve({ host, subset: undefined, port });
  return [{ serverNames: [host], destinationSubnets: [], destinations: [{ ...direct, weight: 1 }] }];
}

const SPEAKING = new WeakMap<readonly VirtualService[], readonly VirtualService[]>();

/** Those of them that have TLS or TCP routes at all. */
export function connectionRules(virtualServices: readonly VirtualService[]): readonly VirtualService[] {
  let speaking = SPEAKING.get(virtualServices);
  if (speaking === undefined) {
    speaking = virtualServices.filter(({ tls = [], tcp = [] }) => tls.length + tcp.length > 0);
    SPEAKING.set(virtualServices, speaking);
  }
  return speaking;
}

/**
 * TLS routes count where the port speaks TLS, TCP routes wherever bytes pass. The VirtualService that names the service
 * most closely holds, the oldest among equals; for a wildcard service all that speak of its names, closest first.
 * @param virtualServices those that the client sees, oldest first
 */
export function viewedConnections(
  virtualServices: readonly VirtualService[],
  service: Service,
  { number: port, protocol }: ServicePort,
  { client, resolve }: Pick<TcpRoutesSpec, 'client' | 'resolve'>,
): ViewedConnections {
  const isTls = protocol === 'TLS' || protocol === 'HTTPS';
  if (!isTls && protocol !== 'TCP' && protocol !== 'AUTO') return NONE;
  const own = ownRoutes(service, port, resolve);
  const speaking = virtualServices.flatMap((virtualService) => {
    const close = closeness(virtualService, service);
    const spec: TcpRoutesSpec = { virtualService, gateway: MESH_GATEWAY, port, client, resolve };
    return close !== undefined && ((isTls && hasTlsRoutes(spec)) || hasTcpRoutes(spec)) ? [{ close, spec }] : [];
  });
  const closest = speaking.toSorted((a, b) => b.close - a.close).map(({ spec }) => spec);
  const held = isWildcard(service) ? closest : closest.slice(0, 1);
  if (held.length === 0 && own.length === 0) return NONE;
  return {
    routes: [...(isTls ? held.flatMap(tlsRoutes) : []), ...held.flatMap(tcpRoutes), ...own],
    destinations: held.flatMap(tcpDestinations),
  };
}
