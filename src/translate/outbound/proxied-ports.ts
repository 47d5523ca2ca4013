/** Which services a host's proxy knows, and what the Host of requests for them may be. */
import type { Host } from '../../model/host.ts';
import type { Mesh } from '../../model/mesh.ts';
import type { Service, ServicePort } from '../../model/service.ts';
import { dnsNames } from '../dns/dns-names.ts';
import { nameDomains } from '../http/host-domains.ts';
import { outboundClusterName } from '../names.ts';
import { protocolKind } from '../protocol-kind.ts';
import { bindableAddresses } from '../view/calling.ts';
import type { ProxiedPort } from './host-proxy.ts';

/** The port that a Host without one means: 80, else the first that takes HTTP. */
const HTTP_PORT = 80;

/**
 * The ports that take HTTP, of all services by name at whose addresses Envoy listens.
 * @param calls whether the host may call a port
 */
export function proxiedPorts(
  mesh: Pick<Mesh, 'services' | 'config'>,
  { namedUpstreams = [] }: Pick<Host, 'namedUpstreams'>,
  calls: (service: Service, port: ServicePort) => boolean,
): readonly ProxiedPort[] {
  return namedUpstreams.flatMap((upstream) => {
    const service = mesh.services.get(upstream.serviceHost);
    const [address] = bindableAddresses(upstream);
    if (service === undefined || address === undefined || upstream.isLeaving === true) return [];
    const names = dnsNames(service.host, service, mesh.config);
    const ports = service.ports.filter((port) => protocolKind(port.protocol) !== 'tcp' && calls(service, port));
    const implied = ports.find(({ number }) => number === HTTP_PORT) ?? ports[0];
    return ports.map((port) => ({
      key: outboundClusterName(port.number, undefined, service.host),
      domains: names.flatMap((name) =>
        nameDomains(name, port.number).filter((domain) => port === implied || domain.endsWith(`:${port.number}`)),
      ),
      listen: { address, port: port.number },
    }));
  });
}
