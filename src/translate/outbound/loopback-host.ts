/**
 * The Host that a server outside of the mesh knows, for requests of applications that call it at an upstream's own address
 * and so write that one.
 */
import type { Host } from '../../model/host.ts';
import { serviceOfHost } from '../../model/host-names.ts';
import type { MeshConfig } from '../../model/mesh-config.ts';
import type { Service, ServicePort } from '../../model/service.ts';
import { upstreamTarget } from './upstream-target.ts';

/** The port of a URL without one. */
const HTTP_PORT = 80;
const HTTPS_PORT = 443;

/**
 * As a client of the service itself writes it: the port is left out where it is that of the scheme. Undefined where the
 * service is of the mesh, which goes by other things, where it has no one name, and where no upstream of the host has an
 * address for it.
 * @param overTls whether Envoy calls it by TLS, for applications that speak plain HTTP
 */
export function loopbackHost(
  { upstreams }: Pick<Host, 'upstreams'>,
  config: MeshConfig,
  service: Service,
  { number }: Pick<ServicePort, 'number'>,
  overTls: boolean,
): string | undefined {
  const { host, external } = service;
  if (!external || host.startsWith('*') || serviceOfHost(config, host) !== undefined) return undefined;
  const isOffered = upstreams.some((upstream) => {
    if (upstream.serviceHost !== host || upstream.mode === 'observe') return false;
    const target = upstreamTarget(upstream, service);
    return target.kind === 'known' && target.port.number === number;
  });
  if (!isOffered) return undefined;
  const name = host.includes(':') ? `[${host}]` : host.replace(/\.$/, '');
  return number === HTTP_PORT || (overTls && number === HTTPS_PORT) ? name : `${name}:${number}`;
}
