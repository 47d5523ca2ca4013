/** Which services a host follows because of rate limits before its own services and at its gateways. */
import type { Gateway } from '../model/gateway.ts';
import type { GatewayRole } from '../model/host.ts';
import { type ServiceName, serviceHosts } from '../model/host-names.ts';
import { hasLabels } from '../model/labels.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { type GatewayRateLimit, isAtGateway, mayLimit, type RateLimit } from '../model/rate-limit.ts';

/** What a host is, as far as limits are concerned. */
export interface LimitedHost {
  readonly localServices: readonly ServiceName[];
  /** Those that its gateways serve. */
  readonly served: readonly Gateway[];
  readonly gateways: readonly GatewayRole[];
}

function isShared({ limits, server }: RateLimit): boolean {
  return server === undefined && limits.some(({ scope }) => scope === 'fleet');
}

/** The services of the gateways at which a limit of the fleet stands, where they are registered. */
function sharingGateways(rateLimit: GatewayRateLimit, { served, gateways }: LimitedHost): readonly string[] {
  const limited = served.filter(({ meta }) => `${meta.namespace}/${meta.name}` === rateLimit.gateway.name);
  return gateways.flatMap(({ labels, registered, serviceHost }) =>
    registered !== undefined && limited.some(({ selector }) => hasLabels(labels, selector)) ? [serviceHost] : [],
  );
}

/**
 * The servers that count for its services and gateways; and, where a limit is shared by the fleet or speaks of a port of
 * a service, the services themselves: their instances share it, their ports are what it names.
 * @param rateLimits with canonical hosts
 * @returns canonical hosts
 */
export function rateLimitHosts(
  config: MeshConfig,
  rateLimits: readonly RateLimit[],
  of: LimitedHost,
): readonly string[] {
  const namespaces = new Map(of.localServices.map((service) => [serviceHosts(config, service)[0], service.namespace]));
  const gateways = new Map(of.served.map(({ meta }) => [`${meta.namespace}/${meta.name}`, meta.namespace]));
  return rateLimits.flatMap((rateLimit) => {
    const { host, ports, server } = rateLimit;
    const atGateway = isAtGateway(rateLimit);
    const namespace = atGateway ? gateways.get(rateLimit.gateway.name) : namespaces.get(host ?? '');
    if (namespace === undefined || !mayLimit(rateLimit, namespace, config.rootNamespace)) return [];
    const shared = isShared(rateLimit);
    const own = atGateway
      ? shared
        ? sharingGateways(rateLimit, of)
        : []
      : host !== undefined && (shared || ports.length > 0)
        ? [host]
        : [];
    return [...own, ...(server === undefined ? [] : [server.host])];
  });
}
