/** Limits as their filters need them, and the calls to rate limit servers that they make. */
import type { Host, Workload } from '../../model/host.ts';
import type { ServiceName } from '../../model/host-names.ts';
import type { Mesh } from '../../model/mesh.ts';
import type { RateLimit, RateLimitServer } from '../../model/rate-limit.ts';
import { ofClient } from '../names.ts';
import type { Calling } from '../view/calling.ts';
import type { Target } from '../view/destination.ts';
import type { AppliedLimit } from './rate-limit-filters.ts';

/** Calls that Envoy makes on its own behalf, as a workload: their cluster is nobody else's. */
export interface OwnCall {
  readonly cluster: string;
  readonly target: Target;
  readonly calling: Calling;
}

/** `rate-limit|8081||limits.shop.mesh~shop/web`: the server as one workload or gateway calls it. */
function clusterName({ host, port }: RateLimitServer, { namespace, name }: ServiceName): string {
  return ofClient(`rate-limit|${port ?? ''}||${host}`, `${namespace}/${name}`);
}

/**
 * The limits of a port, each with the name of its filter.
 * @param of the workload or gateway at which they are counted
 */
export function appliedLimits(rateLimits: readonly RateLimit[], of: ServiceName): readonly AppliedLimit[] {
  return rateLimits.flatMap(({ meta, limits, server, gateway }) =>
    limits.map((limit) => ({
      name: `${meta.namespace}/${meta.name}/${limit.name}`.replaceAll('.', '_'),
      limit,
      server: server && { ...server, cluster: clusterName(server, of) },
      ...(gateway !== undefined && { gateway }),
    })),
  );
}

/** The port of a server's service that is meant; undefined where the mesh does not know it. */
export function serverTarget(mesh: Mesh, { host, port }: RateLimitServer): Target | undefined {
  const service = mesh.services.get(host);
  const [only, ...others] = service?.ports ?? [];
  const known =
    port === undefined
      ? others.length === 0
        ? only
        : undefined
      : service?.ports.find(({ number }) => number === port);
  return service === undefined || known === undefined ? undefined : { service, port: known, subset: undefined };
}

/** Calls to servers, as `calling`. A server that is not known gets no cluster: it counts as one that does not answer. */
export function serverCalls(mesh: Mesh, calling: Calling, rateLimits: readonly RateLimit[]): readonly OwnCall[] {
  const of = { namespace: calling.namespace, name: calling.workload };
  return rateLimits.flatMap(({ server }) => {
    const target = server && serverTarget(mesh, server);
    return server === undefined || target === undefined ? [] : [{ cluster: clusterName(server, of), target, calling }];
  });
}

/** The calls that the limits of a workload make. */
export function ownCalls(
  mesh: Mesh,
  { withoutCertificates = false }: Pick<Host, 'withoutCertificates'>,
  workload: Workload,
  rateLimits: readonly RateLimit[],
): readonly OwnCall[] {
  const { namespace, service, labels, identity } = workload;
  const calling = { namespace, workload: service, labels, identity: withoutCertificates ? undefined : identity };
  return serverCalls(mesh, calling, rateLimits);
}
