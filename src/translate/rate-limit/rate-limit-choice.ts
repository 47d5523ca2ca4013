/** Which rate limits stand before a workload. */
import type { InboundPort, Workload } from '../../model/host.ts';
import { mayLimit, type RateLimit } from '../../model/rate-limit.ts';
import type { Service } from '../../model/service.ts';

/** The service's port behind which the workload listens: the only one, or the one of the same number. */
function isPort(
  ports: readonly number[],
  { listen }: Pick<InboundPort, 'listen'>,
  service: Service | undefined,
): boolean {
  if (ports.length === 0 || ports.includes(listen.port)) return true;
  const [only, ...others] = service?.ports ?? [];
  return only !== undefined && others.length === 0 && ports.includes(only.number);
}

/**
 * Those that hold for a workload's port, in the order of their age.
 * @param service the workload's, where the mesh knows it
 */
export function chooseRateLimits(
  rateLimits: readonly RateLimit[],
  { namespace, serviceHost }: Pick<Workload, 'namespace' | 'serviceHost'>,
  inbound: Pick<InboundPort, 'listen'>,
  service: Service | undefined,
  rootNamespace: string,
): readonly RateLimit[] {
  return rateLimits.filter(
    (rateLimit) =>
      rateLimit.host === serviceHost &&
      mayLimit(rateLimit, namespace, rootNamespace) &&
      isPort(rateLimit.ports, inbound, service),
  );
}
