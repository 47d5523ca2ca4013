/** The TLS and TCP routes of a VirtualService as one client's connections to one port at one gateway meet them. */

import { hasLabels } from '../../model/labels.ts';
import type { RouteDestination, SourceConditions, TcpMatch, VirtualService } from '../../model/virtual-service.ts';
import { gatewaysOf } from '../http/client-conditions.ts';
import { protocolKind } from '../protocol-kind.ts';
import type { Client } from '../view/calling.ts';
import type { ResolvedDestination } from '../view/destination.ts';

/** Where connections arrive, and whose they are: what decides which routes count. */
export interface TcpRoutesScope {
  readonly virtualService: VirtualService;
  /** `mesh`, or a gateway as `namespace/name`. */
  readonly gateway: string;
  /** The port that was called: of the service, or of the gateway's server. */
  readonly port: number;
  readonly client: Client;
}

export interface TcpRoutesSpec extends TcpRoutesScope {
  readonly resolve: (destination: Pick<RouteDestination, 'host' | 'subset' | 'port'>) => ResolvedDestination;
}

export interface WeightedCluster extends ResolvedDestination {
  readonly weight: number;
}

/** Which connections, and where their bytes go. */
export interface ConnectionRoute {
  /** Names that the caller may ask for by SNI; empty: any, or none. */
  readonly serverNames: readonly string[];
  /** CIDR ranges or addresses of which one must hold the destination; empty: any. */
  readonly destinationSubnets: readonly string[];
  /** At least one. */
  readonly destinations: readonly WeightedCluster[];
}

/** Whether a match of a TLS or TCP route counts there: unlike HTTP's, all of its conditions must hold. */
function counts(match: SourceConditions & Pick<TcpMatch, 'port'>, { gateway, port, client }: TcpRoutesScope): boolean {
  const { gateways = [], sourceLabels = {}, sourceNamespace } = match;
  return (
    (match.port ?? port) === port &&
    (gateways.length === 0 || gateways.includes(gateway)) &&
    hasLabels(client.labels, sourceLabels) &&
    (sourceNamespace ?? client.namespace) === client.namespace
  );
}

function holdsAt({ virtualService, gateway }: TcpRoutesScope): boolean {
  return gatewaysOf(virtualService).includes(gateway);
}

/** Several destinations of weight 0 take no part; a single one takes all, whatever its weight. */
function weighted(
  destinations: readonly RouteDestination[],
  resolve: TcpRoutesSpec['resolve'],
): readonly WeightedCluster[] {
  const all = destinations.map((destination) => ({ ...resolve(destination), weight: destination.weight }));
  return all.length < 2 ? all : all.filter(({ weight }) => weight > 0);
}

/** Whether any TLS route counts there. */
export function hasTlsRoutes(scope: TcpRoutesScope): boolean {
  return (
    holdsAt(scope) && (scope.virtualService.tls ?? []).some(({ match }) => match.some((one) => counts(one, scope)))
  );
}

/** Whether any TCP route counts there. */
export function hasTcpRoutes(scope: TcpRoutesScope): boolean {
  return (
    holdsAt(scope) &&
    (scope.virtualService.tcp ?? []).some(({ match }) => match.length === 0 || match.some((one) => counts(one, scope)))
  );
}

/** One for each match of the TLS routes that counts, as written. */
export function tlsRoutes(spec: TcpRoutesSpec): readonly ConnectionRoute[] {
  if (!holdsAt(spec)) return [];
  return (spec.virtualService.tls ?? []).flatMap((route) => {
    const destinations = weighted(route.destinations, spec.resolve);
    if (destinations.length === 0) return [];
    return route.match
      .filter((match) => counts(match, spec))
      .map(({ sniHosts, destinationSubnets }) => ({ serverNames: sniHosts, destinationSubnets, destinations }));
  });
}

/** One for each match of the TCP routes that counts, as written, up to the first that takes every connection. */
export function tcpRoutes(spec: TcpRoutesSpec): readonly ConnectionRoute[] {
  const routes: ConnectionRoute[] = [];
  if (!holdsAt(spec)) return routes;
  for (const route of spec.virtualService.tcp ?? []) {
    const destinations = weighted(route.destinations, spec.resolve);
    if (destinations.length === 0) continue;
    const subnets =
      route.match.length === 0
        ? [[]]
        : route.match.filter((match) => counts(match, spec)).map((match) => match.destinationSubnets);
    for (const destinationSubnets of subnets) {
      routes.push({ serverNames: [], destinationSubnets, destinations });
      if (destinationSubnets.length === 0) return routes;
    }
  }
  return routes;
}

/** Whatever the TLS and TCP routes lead to. All of them need a cluster, those of weight 0 too. */
export function tcpDestinations(spec: TcpRoutesSpec): readonly ResolvedDestination[] {
  if (!holdsAt(spec)) return [];
  const { tls = [], tcp = [] } = spec.virtualService;
  return [...tls, ...tcp].flatMap(({ match, destinations }) =>
    match.length === 0 || match.some((one) => counts(one, spec)) ? destinations.map(spec.resolve) : [],
  );
}

/** Whether the peers of these clusters must be told that bytes come: where they take HTTP, that is what they expect. */
export function mustSayBytes(destinations: readonly ResolvedDestination[]): boolean {
  return destinations.some(
    ({ target }) =>
      target !== undefined && target.service.tls !== 'plain' && protocolKind(target.port.protocol) !== 'tcp',
  );
}

/** The port on which names are called that TLS connections to these clusters ask for; undefined: none of them is so. */
export function dynamicPort(destinations: readonly ResolvedDestination[]): number | undefined {
  return destinations.find(({ target }) => target?.service.resolution === 'DYNAMIC_DNS')?.target?.port.number;
}
