/** TLS and TCP routes of a VirtualService as they were considered for one connection. */
import { BlockList, isIP } from 'node:net';
import type { ConsideredRoute } from '../model/explanation.ts';
import type { Mesh } from '../model/mesh.ts';
import { describeObject } from '../model/resource-meta.ts';
import type { Service, ServicePort } from '../model/service.ts';
import type { VirtualService } from '../model/virtual-service.ts';
import { type ConnectionRoute, type TcpRoutesSpec, tcpRoutes, tlsRoutes } from '../translate/connections/tcp-routes.ts';
import { connectionRules, viewedConnections } from '../translate/connections/viewed-connections.ts';
import { specificity } from '../translate/view/host-pattern.ts';
import type { MeshView } from '../translate/view/mesh-view.ts';
import { place } from './considered.ts';

export interface CalledConnection {
  readonly address: string;
  readonly sni: string | undefined;
}

export interface ConnectionConsideration {
  /** `VirtualService default/db`. */
  readonly virtualService: string;
  readonly considered: readonly ConsideredRoute[];
}

function holds(subnet: string, address: string): boolean {
  const [prefix = '', length] = subnet.split('/');
  const family = isIP(prefix) === 6 ? 'ipv6' : 'ipv4';
  if (isIP(prefix) === 0 || isIP(prefix) !== isIP(address)) return false;
  const list = new BlockList();
  list.addSubnet(prefix, length === undefined ? (family === 'ipv6' ? 128 : 32) : Number(length), family);
  return list.check(address, family);
}

function misfit({ serverNames, destinationSubnets }: ConnectionRoute, called: CalledConnection): string | undefined {
  const { sni, address } = called;
  if (serverNames.length > 0 && !serverNames.some((name) => sni !== undefined && specificity(name, sni) !== undefined))
    return `not: SNI ${serverNames.join(', ')}; it is ${sni === undefined ? 'absent' : `"${sni}"`}`;
  if (destinationSubnets.length > 0 && !destinationSubnets.some((subnet) => holds(subnet, address)))
    return `not: to ${destinationSubnets.join(', ')}; it is to ${address}`;
  return undefined;
}

/** One alternative, with the route that translation makes of it, if it counts for the caller and port. */
interface Alternative {
  readonly name: string;
  readonly source: string;
  readonly made: ConnectionRoute | undefined;
}

function alternatives(spec: TcpRoutesSpec, isTls: boolean): readonly Alternative[] {
  const { virtualService } = spec;
  const { tls = [], tcp = [], meta } = virtualService;
  const alone = (part: Pick<VirtualService, 'tls' | 'tcp'>): TcpRoutesSpec => ({
    ...spec,
    virtualService: { ...virtualService, tls: [], tcp: [], ...part },
  });
  return [
    ...(isTls ? tls : []).flatMap((route, i) =>
      route.match.map((match, j) => ({
        name: `tls[${i}]${route.match.length > 1 ? `.match[${j}]` : ''}`,
        source: place(route.source ?? meta.source),
        made: tlsRoutes(alone({ tls: [{ ...route, match: [match] }] }))[0],
      })),
    ),
    ...tcp.flatMap((route, i) =>
      (route.match.length === 0 ? [undefined] : route.match).map((match, j) => ({
        name: `tcp[${i}]${route.match.length > 1 ? `.match[${j}]` : ''}`,
        source: place(route.source ?? meta.source),
        made: tcpRoutes(alone({ tcp: [{ ...route, match: match === undefined ? [] : [match] }] }))[0],
      })),
    ),
  ];
}

const clustersOf = (route: ConnectionRoute | undefined): string =>
  (route?.destinations ?? []).map((one) => one.cluster).join(' ');

/**
 * The TLS and TCP routes of one VirtualService, in their order.
 * @param isTls whether TLS routes count
 * @param clusters that the connection is led to; undefined: where another VirtualService leads it
 */
export function considerRoutes(
  spec: TcpRoutesSpec,
  isTls: boolean,
  called: CalledConnection,
  clusters: readonly string[] | undefined,
): readonly ConsideredRoute[] {
  let isTaken = clusters === undefined;
  return alternatives(spec, isTls).map(({ name, source, made }): ConsideredRoute => {
    if (made === undefined)
      return { route: name, source, result: 'skipped', reason: 'it is not for this port, gateway or caller' };
    const reason = misfit(made, called);
    if (reason !== undefined) return { route: name, source, result: 'passed', reason };
    if (isTaken || clustersOf(made) !== clusters?.join(' '))
      return { route: name, source, result: 'unreached', reason: 'another takes the connection' };
    isTaken = true;
    return { route: name, source, result: 'taken', reason: undefined };
  });
}

/**
 * The VirtualService whose TLS or TCP routes hold for a port, and what became of each of them; undefined: none has any.
 * @param clusters that the connection is led to
 */
export function considerConnection(
  mesh: Mesh,
  view: MeshView,
  service: Service,
  port: ServicePort,
  called: CalledConnection,
  clusters: readonly string[],
): ConnectionConsideration | undefined {
  const inForce = JSON.stringify(view.connections(service, port).routes);
  if (inForce === '[]') return undefined;
  const common = {
    client: view.client,
    resolve: (destination: Parameters<TcpRoutesSpec['resolve']>[0]) => view.destination(destination, port.number),
  };
  const chosen = connectionRules(mesh.virtualServices).find(
    (one) => JSON.stringify(viewedConnections([one], service, port, common).routes) === inForce,
  );
  if (chosen === undefined) return undefined;
  const spec: TcpRoutesSpec = { virtualService: chosen, gateway: 'mesh', port: port.number, ...common };
  const isTls = port.protocol === 'TLS' || port.protocol === 'HTTPS';
  return { virtualService: describeObject(chosen.meta), considered: considerRoutes(spec, isTls, called, clusters) };
}
