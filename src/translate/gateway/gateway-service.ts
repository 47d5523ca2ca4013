/** Services as a gateway calls them. */
import type { Service } from '../../model/service.ts';
import type { EffectivePolicy } from '../clusters/traffic-policy.ts';

const SEEN = new WeakMap<Service, Service>();

/**
 * The service with HTTP for every port of undeclared protocol: a gateway has taken requests already, in whichever version
 * the caller outside liked, and the application may know the oldest alone. Bytes say by themselves that they are bytes.
 * The same object for the same service; the service itself where all is declared.
 */
export function asGatewayCalls(service: Service): Service {
  const known = SEEN.get(service);
  if (known !== undefined) return known;
  const isOpen = service.ports.some(({ protocol }) => protocol === 'AUTO');
  const seen: Service = isOpen
    ? {
        ...service,
        ports: service.ports.map((port) => (port.protocol === 'AUTO' ? { ...port, protocol: 'HTTP' } : port)),
      }
    : service;
  SEEN.set(service, seen);
  return seen;
}

/**
 * What a gateway does with a rule for a service of the mesh. The versions of HTTP that mutual TLS offers to a peer are said
 * once for a connection from outside, whose requests may go to services of any version: `useClientProtocol` gives way to
 * what the peer prefers.
 * @param service as the mesh knows it
 */
export function asGatewayAsks({ tls }: Pick<Service, 'tls'>, policy: EffectivePolicy): EffectivePolicy {
  const { connectionPool: pool } = policy;
  const isMesh = policy.tls === undefined ? tls !== 'plain' : policy.tls.mode === 'ISTIO_MUTUAL';
  return pool?.useClientProtocol === true && isMesh
    ? { ...policy, connectionPool: { ...pool, useClientProtocol: false } }
    : policy;
}

const PASSED = new WeakMap<Service, Service>();

/** The service as one whose TLS is no matter of ours: the two ends speak it with each other. The same object each time. */
export function withoutTls(service: Service): Service {
  const known = PASSED.get(service) ?? { ...service, tls: 'plain' as const };
  PASSED.set(service, known);
  return known;
}
