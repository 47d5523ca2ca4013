/** Where a route's destination leads: a cluster name, and the cluster if the mesh has what it names. */
import type { ConsistentHash } from '../../model/destination-rule.ts';
import type { Service, ServicePort } from '../../model/service.ts';
import type { RouteDestination } from '../../model/virtual-service.ts';
import type { EffectivePolicy } from '../clusters/traffic-policy.ts';
import { outboundClusterName } from '../names.ts';

/** A port of a service, or a subset of its endpoints. */
export interface Target {
  readonly service: Service;
  readonly port: ServicePort;
  readonly subset: string | undefined;
}

export interface ResolvedDestination {
  /** Always a name; where `target` is undefined nothing bears it, and Envoy answers 503 `NC`. */
  readonly cluster: string;
  readonly target: Target | undefined;
  readonly hash: ConsistentHash | undefined;
  /** What is in force for it; absent where `target` is undefined. */
  readonly policy?: EffectivePolicy;
}

/** The port that a destination without one means: the service's only port, else the one that was called. */
function impliedPort(service: Service | undefined, calledPort: number): number {
  const [only, ...others] = service?.ports ?? [];
  return only !== undefined && others.length === 0 ? only.number : calledPort;
}

/** A destination that the mesh does not know. */
export function unknownDestination(host: string, port: number, subset: string | undefined): ResolvedDestination {
  return { cluster: outboundClusterName(port, subset, host), target: undefined, hash: undefined };
}

export function resolveDestination(
  destination: Pick<RouteDestination, 'host' | 'subset' | 'port'>,
  calledPort: number,
  mesh: {
    readonly service: (host: string) => Service | undefined;
    readonly hasSubset: (service: Service, subset: string) => boolean;
    readonly cluster: (target: Target) => string;
    readonly hash: (target: Target) => ConsistentHash | undefined;
    readonly policy?: (target: Target) => EffectivePolicy;
  },
): ResolvedDestination {
  const service = mesh.service(destination.host);
  const number = destination.port ?? impliedPort(service, calledPort);
  const port = service?.ports.find((candidate) => candidate.number === number);
  const known =
    service !== undefined && (destination.subset === undefined || mesh.hasSubset(service, destination.subset));
  if (port === undefined || !known) return unknownDestination(destination.host, number, destination.subset);
  const target = { service, port, subset: destination.subset };
  const policy = mesh.policy?.(target);
  return {
    cluster: mesh.cluster(target),
    target,
    hash: mesh.hash(target),
    ...(policy !== undefined && { policy }),
  };
}
