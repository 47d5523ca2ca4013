/** Which services a host follows because of rate limits before its own. */
import { type ServiceName, serviceHosts } from '../model/host-names.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { mayLimit, type RateLimit } from '../model/rate-limit.ts';

/**
 * The servers that count for its services; and, where a limit is shared by the fleet or speaks of a port, the services
 * themselves: their instances share it, their ports are what it names.
 * @param rateLimits with canonical hosts
 * @returns canonical hosts
 */
export function rateLimitHosts(
  config: MeshConfig,
  rateLimits: readonly RateLimit[],
  localServices: readonly ServiceName[],
): readonly string[] {
  const namespaces = new Map(localServices.map((service) => [serviceHosts(config, service)[0], service.namespace]));
  return rateLimits.flatMap((rateLimit) => {
    const { host, ports, limits, server } = rateLimit;
    const namespace = namespaces.get(host);
    if (namespace === undefined || !mayLimit(rateLimit, namespace, config.rootNamespace)) return [];
    const needsOwn = ports.length > 0 || (server === undefined && limits.some(({ scope }) => scope === 'fleet'));
    return [...(needsOwn ? [host] : []), ...(server === undefined ? [] : [server.host])];
  });
}
