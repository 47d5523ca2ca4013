/** Which port of which service an upstream means. */
import type { Upstream } from '../../model/host.ts';
import type { Service, ServicePort } from '../../model/service.ts';

/** The port of an upstream whose service nothing says anything of. */
const UNKNOWN_PORT = 80;

export type UpstreamTarget =
  | { readonly kind: 'known'; readonly service: Service; readonly port: ServicePort }
  /** Neither the service nor what its port speaks is known: calls end in 503 or a closed connection. */
  | { readonly kind: 'unknown'; readonly port: number }
  /** The service has several ports and the upstream names none. */
  | { readonly kind: 'ambiguous' };

export function upstreamTarget(upstream: Upstream, service: Service | undefined): UpstreamTarget {
  const [only, ...others] = service?.ports ?? [];
  if (upstream.servicePort === undefined) {
    if (service === undefined || only === undefined) return { kind: 'unknown', port: UNKNOWN_PORT };
    return others.length === 0 ? { kind: 'known', service, port: only } : { kind: 'ambiguous' };
  }
  const port = service?.ports.find(({ number }) => number === upstream.servicePort);
  return service === undefined || port === undefined
    ? { kind: 'unknown', port: upstream.servicePort }
    : { kind: 'known', service, port };
}
