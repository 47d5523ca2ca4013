/** Which rate limits stand at a gateway of this host, and for which of its servers. */
import type { GatewayRole, Host } from '../../model/host.ts';
import type { Mesh } from '../../model/mesh.ts';
import { type GatewayRateLimit, isAtGateway, mayLimit } from '../../model/rate-limit.ts';
import { narrower } from '../gateway/gateway-rules.ts';
import { type BoundServer, selectingGateways } from '../gateway/gateway-servers.ts';
import { gatewayCalling } from '../view/calling.ts';
import { specificity } from '../view/host-pattern.ts';
import { appliedLimits, type OwnCall, serverCalls } from './rate-limit-calls.ts';
import type { AppliedLimit } from './rate-limit-filters.ts';

/** A server as far as limits are concerned. */
export type LimitedServer = Pick<BoundServer, 'gateway' | 'hosts'>;

/** Those that hold for a gateway of this host: of the Gateways that it serves, by those who may. */
export function gatewayRateLimits(
  { rateLimits, gateways, config }: Pick<Mesh, 'rateLimits' | 'gateways' | 'config'>,
  role: GatewayRole,
): readonly GatewayRateLimit[] {
  const all = rateLimits.filter(isAtGateway);
  if (all.length === 0) return [];
  const served = new Map(
    selectingGateways(gateways, role).map(({ meta }) => [`${meta.namespace}/${meta.name}`, meta.namespace]),
  );
  return all.filter((rateLimit) => {
    const namespace = served.get(rateLimit.gateway.name);
    return namespace !== undefined && mayLimit(rateLimit, namespace, config.rootNamespace);
  });
}

/** Whether requests that a server takes may be for one of the hosts of a limit. */
export function concerns({ gateway: { name, hosts } }: GatewayRateLimit, server: LimitedServer): boolean {
  return (
    server.gateway === name &&
    (hosts.length === 0 || server.hosts.some(({ host }) => hosts.some((one) => narrower(one, host) !== undefined)))
  );
}

/** The limit with those of its hosts that callers of its Gateway's servers can ask for; none where it is for all of them. */
function atServers(rateLimit: GatewayRateLimit, servers: readonly LimitedServer[]): GatewayRateLimit {
  const { gateway } = rateLimit;
  const offered = servers.filter((server) => server.gateway === gateway.name).flatMap(({ hosts }) => hosts);
  const coversAll = offered.every(({ host }) => gateway.hosts.some((one) => specificity(one, host) !== undefined));
  const hosts = coversAll
    ? []
    : gateway.hosts.filter((one) => offered.some(({ host }) => narrower(one, host) !== undefined));
  return { ...rateLimit, gateway: { ...gateway, hosts } };
}

/**
 * The limits of a route configuration.
 * @param rateLimits those of the gateway
 * @param port as Gateways name it
 * @param servers whose requests go by it
 */
export function limitsAtServers(
  rateLimits: readonly GatewayRateLimit[],
  role: GatewayRole,
  port: number,
  servers: readonly LimitedServer[],
): readonly AppliedLimit[] {
  const chosen = rateLimits.filter(
    (rateLimit) =>
      (rateLimit.ports.length === 0 || rateLimit.ports.includes(port)) &&
      servers.some((server) => concerns(rateLimit, server)),
  );
  return appliedLimits(
    chosen.map((rateLimit) => atServers(rateLimit, servers)),
    role,
  );
}

/** The calls that Envoy itself makes because of limits at the gateways of this host. */
export function gatewayCalls(mesh: Mesh, host: Host): readonly OwnCall[] {
  return (host.gateways ?? []).flatMap((role) =>
    serverCalls(mesh, gatewayCalling(role), gatewayRateLimits(mesh, role)),
  );
}

/** Whether a limit is shared out among the live instances. */
function isShared({ limits, server }: GatewayRateLimit): boolean {
  return server === undefined && limits.some(({ scope }) => scope === 'fleet');
}

/** The services of this host's gateways by whose instances limits of the fleet are shared out. */
export function sharingGateways(mesh: Mesh, { gateways = [] }: Pick<Host, 'gateways'>): readonly string[] {
  return gateways.flatMap((role) =>
    role.registered !== undefined && gatewayRateLimits(mesh, role).some(isShared) ? [role.serviceHost] : [],
  );
}
