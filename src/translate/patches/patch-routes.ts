/** Patches of route configurations, their virtual hosts and routes. */
import { clone } from '@bufbuild/protobuf';
import { EXTENSIONS } from '../../envoy-api/extensions.ts';
import {
  type Route,
  RouteSchema,
  type VirtualHost,
  VirtualHostSchema,
} from '../../gen/envoy/config/route/v3/route_components_pb.ts';
import { type RouteConfiguration, RouteConfigurationSchema } from '../../gen/envoy/config/route/v3/route_pb.ts';
import type { EnvoyPatch, RouteConfigurationMatch } from '../../model/envoy-filter.ts';
import { loopbackVirtualHostName } from '../names.ts';
import { mergeMessage } from './merge-message.ts';
import { patchList } from './patch-list.ts';
import { patchValue } from './patch-value.ts';

export type PatchContext = 'SIDECAR_INBOUND' | 'SIDECAR_OUTBOUND' | 'GATEWAY';

/** Whether a patch is for what is made in a context. */
export function isOfContext({ context }: EnvoyPatch, made: PatchContext): boolean {
  return context === 'ANY' || context === made;
}

export function mergeOptions({ operation }: EnvoyPatch): Parameters<typeof mergeMessage>[3] {
  return { extensions: EXTENSIONS, lists: operation === 'MERGE' ? 'append' : 'replace' };
}

/** `reviews.default.mesh:9080`, `http.80`, `https.443.name.gateway.namespace`: the port in a name. */
function portOf(name: string): number | undefined {
  const found = /:(\d+)(?:~|$)/.exec(name) ?? /^https?\.(\d+)/.exec(name) ?? /^(\d+)$/.exec(name);
  return found?.[1] === undefined ? undefined : Number(found[1]);
}

function isGateways(name: string, gateway: string): boolean {
  const [namespace = '', own = ''] = gateway.split('/');
  return name.endsWith(`.${own}.${namespace}`);
}

function isMeant(match: RouteConfigurationMatch | undefined, name: string): boolean {
  if (match === undefined) return true;
  return (
    (match.name === undefined || match.name === name) &&
    (match.portNumber === undefined || match.portNumber === portOf(name)) &&
    (match.portName === undefined || name.split('.')[2] === match.portName) &&
    (match.gateway === undefined || isGateways(name, match.gateway))
  );
}

const ACTIONS = { ROUTE: 'route', REDIRECT: 'redirect', DIRECT_RESPONSE: 'directResponse' } as const;

function isRoute(patch: EnvoyPatch, route: Route): boolean {
  const match = patch.match.routeConfiguration?.vhost?.route;
  if (match?.name !== undefined && match.name !== route.name) return false;
  const { action = 'ANY' } = match ?? {};
  return action === 'ANY' || route.action.case === ACTIONS[action];
}

function isVirtualHost(patch: EnvoyPatch, { name, domains }: VirtualHost): boolean {
  const match = patch.match.routeConfiguration?.vhost;
  return (
    (match?.name === undefined || match.name === name || loopbackVirtualHostName(match.name) === name) &&
    (match?.domainName === undefined || domains.includes(match.domainName))
  );
}

function patchVirtualHost(host: VirtualHost, patches: readonly EnvoyPatch[]): VirtualHost {
  const here = patches.filter((patch) => patch.applyTo === 'HTTP_ROUTE' && isVirtualHost(patch, host));
  const routes = patchList(
    host.routes,
    here,
    {
      selects: isRoute,
      namesOne: ({ match }) => match.routeConfiguration?.vhost?.route?.name !== undefined,
      merge: (patch, route) =>
        mergeMessage(RouteSchema, route, patchValue(RouteSchema, patch.value), mergeOptions(patch)),
      make: ({ value }) => patchValue(RouteSchema, value),
    },
    false,
  );
  host.routes = [...routes];
  return host;
}

/** The route configuration as patched: the same object when no patch is for it. */
export function patchRouteConfiguration(
  routes: RouteConfiguration,
  patches: readonly EnvoyPatch[],
  context: PatchContext,
): RouteConfiguration {
  const meant = patches.filter(
    (patch) =>
      (patch.applyTo === 'ROUTE_CONFIGURATION' || patch.applyTo === 'VIRTUAL_HOST' || patch.applyTo === 'HTTP_ROUTE') &&
      isOfContext(patch, context) &&
      isMeant(patch.match.routeConfiguration, routes.name),
  );
  if (meant.length === 0) return routes;
  const patched = clone(RouteConfigurationSchema, routes);
  for (const patch of meant)
    if (patch.applyTo === 'ROUTE_CONFIGURATION')
      mergeMessage(
        RouteConfigurationSchema,
        patched,
        patchValue(RouteConfigurationSchema, patch.value),
        mergeOptions(patch),
      );
  const hosts = patchList(
    patched.virtualHosts,
    meant.filter(({ applyTo }) => applyTo === 'VIRTUAL_HOST'),
    {
      selects: isVirtualHost,
      namesOne: ({ match }) => {
        const { name, domainName } = match.routeConfiguration?.vhost ?? {};
        return name !== undefined || domainName !== undefined;
      },
      merge: (patch, host) =>
        mergeMessage(VirtualHostSchema, host, patchValue(VirtualHostSchema, patch.value), mergeOptions(patch)),
      make: ({ value }) => patchValue(VirtualHostSchema, value),
    },
    false,
  );
  patched.virtualHosts = hosts.map((host) => patchVirtualHost(host, meant));
  return patched;
}
