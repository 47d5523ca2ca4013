/** Services as a gateway calls them. */
import type { Service } from '../../model/service.ts';

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

const PASSED = new WeakMap<Service, Service>();

/** The service as one whose TLS is no matter of ours: the two ends speak it with each other. The same object each time. */
export function withoutTls(service: Service): Service {
  const known = PASSED.get(service) ?? { ...service, tls: 'plain' as const };
  PASSED.set(service, known);
  return known;
}
