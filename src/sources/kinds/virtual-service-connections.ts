/** The TLS and TCP routes of a VirtualService: of connections, not of requests. */
import type { Path } from '../../lib/yaml-document.ts';
import type { TcpMatch, TcpRoute, TlsRoute } from '../../model/virtual-service.ts';
import { isSubnet } from '../field-types.ts';
import type { Report } from './kind.ts';
import { buildDestinations } from './route-destinations.ts';
import { buildSource } from './virtual-service-match.ts';
import type { TcpRouteSpec, TlsRouteSpec } from './virtual-service-schema.ts';

type TcpMatchSpec = Omit<NonNullable<TcpRouteSpec['match']>[number], 'sourceSubnet'>;

/** Whether every name of `pattern` is one of `of`. */
function isWithin(pattern: string, of: string): boolean {
  if (pattern === of || of === '*') return true;
  return of.startsWith('*.') && pattern.length > of.length - 1 && pattern.endsWith(of.slice(1));
}

function buildMatch(spec: TcpMatchSpec, namespace: string, path: Path, report: Report): TcpMatch {
  const { destinationSubnets = [], port } = spec;
  for (const [i, subnet] of destinationSubnets.entries())
    if (!isSubnet(subnet))
      report(
        [...path, 'destinationSubnets', i],
        `"${subnet}" is neither an address nor a range of them`,
        'Write an IP address, or a range such as 10.0.0.0/8.',
      );
  return { destinationSubnets, port, ...buildSource(spec, namespace, path, report) };
}

function checkRoutes(routes: readonly unknown[], path: Path, report: Report): void {
  if (routes.length === 0) report(path, 'has no "route"', 'Add "route" with at least one destination.');
}

/** @param hosts of the VirtualService, of which each `sniHosts` must name a part */
export function buildTlsRoute(
  { match = [], route = [] }: TlsRouteSpec,
  hosts: readonly string[],
  namespace: string,
  path: Path,
  report: Report,
): TlsRoute {
  checkRoutes(route, path, report);
  if (match.length === 0) report(path, 'has no "match"', 'Add "match" with "sniHosts".');
  return {
    match: match.map((spec, i) => {
      const at = [...path, 'match', i];
      const { sniHosts = [] } = spec;
      if (sniHosts.length === 0) report(at, 'has no "sniHosts"', 'Name the servers that the connections ask for.');
      for (const [j, sni] of sniHosts.entries())
        if (!hosts.some((host) => isWithin(sni, host)))
          report(
            [...at, 'sniHosts', j],
            `"${sni}" is none of the hosts of the VirtualService (${hosts.join(', ')})`,
            'Add it to "hosts".',
          );
      return { ...buildMatch(spec, namespace, at, report), sniHosts };
    }),
    destinations: buildDestinations(route, [...path, 'route'], report),
  };
}

export function buildTcpRoute(
  { match = [], route = [] }: TcpRouteSpec,
  namespace: string,
  path: Path,
  report: Report,
): TcpRoute {
  checkRoutes(route, path, report);
  return {
    match: match.map((spec, i) => buildMatch(spec, namespace, [...path, 'match', i], report)),
    destinations: buildDestinations(route, [...path, 'route'], report),
  };
}
