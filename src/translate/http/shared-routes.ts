/** The route configuration of one port on which many services are called: the Host of a request says which. */
import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { VirtualHostSchema } from '../../gen/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '../../gen/envoy/config/route/v3/route_pb.ts';
import type { Resource } from '../../xds/resource.ts';
import { isIpAddress } from '../ip-address.ts';
import { duration } from '../messages.ts';
import { addressDomains, nameDomains } from './host-domains.ts';
import { ROUTE_CONFIG_RULES, type Route } from './http-routes.ts';
import { routeMatch } from './route-match.ts';

/** What becomes of requests to hosts that nobody is. */
export type UnknownHosts = { readonly cluster: string } | 'refused';

/**
 * The domains of each of these services on a port. A name that several would have is whose it is canonically, then
 * whose it is first: Envoy refuses a route configuration in which one stands twice.
 */
export function claimedDomains(
  port: number,
  services: readonly { readonly names: readonly string[]; readonly addresses: readonly string[] }[],
): readonly (readonly string[])[] {
  const claimed = services.map((): string[] => []);
  const taken = new Set<string>();
  const claim = (i: number, domains: readonly string[]): void => {
    for (const domain of domains) {
      if (taken.has(domain)) continue;
      taken.add(domain);
      claimed[i]?.push(domain);
    }
  };
  const most = Math.max(0, ...services.map(({ names }) => names.length));
  for (let rank = 0; rank < most; rank++)
    for (const [i, { names }] of services.entries()) {
      const name = names[rank];
      if (name !== undefined) claim(i, isIpAddress(name) ? addressDomains(name, port) : nameDomains(name, port));
    }
  for (const [i, { addresses }] of services.entries())
    for (const address of addresses) if (isIpAddress(address)) claim(i, addressDomains(address, port));
  return claimed;
}

/** A virtual host, encoded: of a thousand on one port a change makes one anew. */
export function encodeVirtualHost(name: string, domains: readonly string[], routes: readonly Route[]): Uint8Array {
  return toBinary(
    VirtualHostSchema,
    create(VirtualHostSchema, {
      name,
      domains: [...domains],
      routes: [...routes],
      includeRequestAttemptCount: true,
    }),
  );
}

function unknownHosts(unknown: UnknownHosts): Uint8Array {
  const match = routeMatch(undefined);
  if (unknown === 'refused')
    return encodeVirtualHost(
      'block_all',
      ['*'],
      [{ name: 'block_all', match, action: { case: 'directResponse', value: { status: 502 } } }],
    );
  const timeout = duration(0);
  return encodeVirtualHost(
    'allow_any',
    ['*'],
    [
      {
        name: 'allow_any',
        match,
        action: {
          case: 'route',
          value: {
            clusterSpecifier: { case: 'cluster', value: unknown.cluster },
            timeout,
            maxStreamDuration: { grpcTimeoutHeaderMax: timeout },
          },
        },
      },
    ],
  );
}

/** @param virtualHosts encoded, with domains that no two of them share */
export function sharedRouteConfig(name: string, virtualHosts: readonly Uint8Array[], unknown: UnknownHosts): Resource {
  const head = create(RouteConfigurationSchema, { name, ...ROUTE_CONFIG_RULES });
  const writer = new BinaryWriter().raw(toBinary(RouteConfigurationSchema, head));
  const { number } = RouteConfigurationSchema.field.virtualHosts;
  for (const host of [...virtualHosts, unknownHosts(unknown)]) writer.tag(number, WireType.LengthDelimited).bytes(host);
  return { name, value: writer.finish() };
}
