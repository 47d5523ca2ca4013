/** Which names the host's DNS answers, and with which addresses. */
import type { Host, NamedUpstream } from '../../model/host.ts';
import { DEFAULT_NAMESPACE, serviceHosts, serviceOfHost } from '../../model/host-names.ts';
import type { MeshConfig } from '../../model/mesh-config.ts';
import type { Service } from '../../model/service.ts';

/** A label as RFC 1123 has it, with the underscore that Consul and SRV names use. */
const LABEL = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
const NAME = new RegExp(String.raw`^(?=.{1,253}$)${LABEL}(?:\.${LABEL})*$`, 'i');
const IPV4 = /^\d{1,3}(?:\.\d{1,3}){3}$/;

/** `reviews.mesh` for `reviews` in namespace `default`, where the canonical template has the namespace as a label. */
function shortName(config: Pick<MeshConfig, 'serviceHosts'>, canonical: string): string | undefined {
  const [template] = config.serviceHosts;
  if (template?.includes('.{namespace}') !== true) return undefined;
  const service = serviceOfHost({ serviceHosts: [template] }, canonical);
  if (service?.namespace !== DEFAULT_NAMESPACE) return undefined;
  return serviceHosts({ serviceHosts: [template.replace('.{namespace}', '')] }, service)[0];
}

/**
 * The DNS names of a service in the order in which they count: canonical host, aliases, the short form without the
 * namespace for services of namespace `default`. Names that DNS cannot carry (wildcards, spaces) are left out.
 * @param service undefined while the mesh does not know it: then the names are those that the templates give
 */
export function dnsNames(
  serviceHost: string,
  service: Pick<Service, 'aliases'> | undefined,
  config: Pick<MeshConfig, 'serviceHosts'>,
): readonly string[] {
  const byTemplate = serviceOfHost(config, serviceHost);
  const aliases = service?.aliases ?? (byTemplate === undefined ? [] : serviceHosts(config, byTemplate).slice(1));
  const short = shortName(config, serviceHost);
  const names = [serviceHost, ...aliases, ...(short === undefined ? [] : [short])].flatMap((name) => {
    const plain = name.replace(/\.$/, '');
    const lower = plain.toLowerCase();
    return plain === lower ? [plain] : [plain, lower];
  });
  return [...new Set(names)].filter((name) => NAME.test(name) && !IPV4.test(name));
}

/**
 * What a name resolves to. A service without an IPv6 address gets its IPv4 address in mapped form
 * (`::ffff:127.240.0.1`) beside it: Envoy's filter says NXDOMAIN where a name has no address of the family asked for,
 * which musl and others take for the whole name. A socket to the mapped address is an IPv4 connection.
 */
export function dnsAddresses({ addresses }: Pick<NamedUpstream, 'addresses'>): readonly string[] {
  if (addresses.some((address) => address.includes(':'))) return addresses;
  return [...addresses, ...addresses.map((address) => `::ffff:${address}`)];
}

/**
 * All names with their addresses. Where two services would have one name (`reviews.mesh` the short form of one and the
 * alias of another), it is whose it is canonically, then whose alias it is.
 */
export function dnsTable(
  services: ReadonlyMap<string, Service>,
  config: Pick<MeshConfig, 'serviceHosts'>,
  { namedUpstreams = [] }: Pick<Host, 'namedUpstreams'>,
): ReadonlyMap<string, readonly string[]> {
  const table = new Map<string, readonly string[]>();
  const entries = namedUpstreams
    .filter(({ addresses, isFresh, isLeaving }) => addresses.length > 0 && isFresh !== true && isLeaving !== true)
    .map((upstream) => ({
      addresses: dnsAddresses(upstream),
      names: dnsNames(upstream.serviceHost, services.get(upstream.serviceHost), config),
    }));
  const most = Math.max(0, ...entries.map(({ names }) => names.length));
  for (let rank = 0; rank < most; rank++) {
    for (const { names, addresses } of entries) {
      const name = names[rank];
      if (name !== undefined && !table.has(name)) table.set(name, addresses);
    }
  }
  return table;
}
