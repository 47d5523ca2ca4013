/** Services whose namespace has mutual TLS turned off: callers go by that word, as it is configuration's and not an endpoint's. */
import type { PeerAuthentication } from '../model/peer-authentication.ts';
import type { Service } from '../model/service.ts';

/** As long as a service lives its plain twin does, so that nothing is translated anew; and the way back. */
const PLAIN = new WeakMap<Service, Service>();
const WRITTEN = new WeakMap<Service, Service>();

function plain(service: Service): Service {
  const made = PLAIN.get(service) ?? { ...service, tls: 'plain' };
  PLAIN.set(service, made);
  WRITTEN.set(made, service);
  return made;
}

/** What is known of a service's TLS, whatever policies say at present. */
export function knownTls(service: Service): Service['tls'] {
  return (WRITTEN.get(service) ?? service).tls;
}

/**
 * What callers do with a service: plain text where a PeerAuthentication without a selector says DISABLE for its
 * namespace, or for the mesh and nothing is said for the namespace. What is said of single workloads and ports is not
 * looked at, as in Istio, and a `Service` record that says how the service is called goes before.
 * @param policies oldest first
 * @param isSaid whether a record says what `tls` of a host is
 */
export function withoutDisabledMtls(
  services: ReadonlyMap<string, Service>,
  policies: readonly PeerAuthentication[],
  rootNamespace: string,
  isSaid: (host: string) => boolean,
): ReadonlyMap<string, Service> {
  const general = policies.filter(({ selector }) => selector === undefined);
  if (!general.some(({ mode }) => mode === 'DISABLE')) return services;
  const modeOf = (namespace: string): PeerAuthentication['mode'] =>
    general.find(({ meta }) => meta.namespace === namespace)?.mode;
  return new Map(
    [...services].map(([host, service]): readonly [string, Service] => {
      const mode = modeOf(service.namespace) ?? modeOf(rootNamespace);
      return [host, mode !== 'DISABLE' || service.tls === 'plain' || isSaid(host) ? service : plain(service)];
    }),
  );
}
