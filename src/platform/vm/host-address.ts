/** What this host is called and where its peers reach it. */
import { readFile } from 'node:fs/promises';
import { hostname, type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import { TrysailError } from '../../lib/errors.ts';

const RTF_UP = 1;
const RTF_REJECT = 0x200;

interface DefaultRoute {
  readonly device: string;
  readonly metric: number;
}

const byMetric = (a: DefaultRoute, b: DefaultRoute): number => a.metric - b.metric;

/**
 * The device of the IPv4 default route with the lowest metric, from the text of /proc/net/route (all numbers but the
 * metric in hexadecimal); undefined when there is none.
 */
export function ipv4DefaultDevice(text: string): string | undefined {
  const routes = text
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(
      ([, destination, , flags = '0', , , , mask]) =>
        destination === '00000000' && mask === '00000000' && (Number.parseInt(flags, 16) & RTF_UP) !== 0,
    )
    .map(([device = '', , , , , , metric = '0']) => ({ device, metric: Number(metric) }));
  return routes.sort(byMetric)[0]?.device;
}

/** As `ipv4DefaultDevice`, from /proc/net/ipv6_route (the metric in hexadecimal too). */
export function ipv6DefaultDevice(text: string): string | undefined {
  const routes = text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([destination = '', prefix, , , , , , , flags = '0']) => {
      const bits = Number.parseInt(flags, 16);
      return /^0{32}$/.test(destination) && prefix === '00' && (bits & RTF_UP) !== 0 && (bits & RTF_REJECT) === 0;
    })
    .map(([, , , , , metric = '0', , , , device = '']) => ({ device, metric: Number.parseInt(metric, 16) }))
    .filter(({ device }) => device !== 'lo');
  return routes.sort(byMetric)[0]?.device;
}

/** The first address of a family that peers can use: not loopback, not link-local. */
function usableAddress(
  addresses: readonly NetworkInterfaceInfo[] | undefined,
  family: 'IPv4' | 'IPv6',
): string | undefined {
  return addresses?.find(
    (each) => each.family === family && !each.internal && !/^(169\.254\.|fe[89ab])/i.test(each.address),
  )?.address;
}

/** What `hostAddress` looks at; tests replace it. */
export interface NetworkFacts {
  /** /proc/net/route */
  readonly ipv4Routes: string;
  /** /proc/net/ipv6_route */
  readonly ipv6Routes: string;
  readonly interfaces: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;
}

/**
 * The address of the interface of the default route, IPv4 before IPv6.
 * @throws TrysailError HOST_ADDRESS_UNKNOWN when there is no default route or its interface has no usable address
 */
export function addressOfDefaultRoute({ ipv4Routes, ipv6Routes, interfaces }: NetworkFacts): string {
  const ipv4 = ipv4DefaultDevice(ipv4Routes);
  const ipv6 = ipv6DefaultDevice(ipv6Routes);
  const address =
    (ipv4 === undefined ? undefined : usableAddress(interfaces[ipv4], 'IPv4')) ??
    (ipv6 === undefined ? undefined : usableAddress(interfaces[ipv6], 'IPv6'));
  if (address !== undefined) return address;
  const device = ipv4 ?? ipv6;
  throw new TrysailError(
    'HOST_ADDRESS_UNKNOWN',
    device === undefined
      ? 'this host has no default route, from which its address would be taken'
      : `the interface ${device} of the default route has no address that peers could use`,
    { remedy: 'Set host.address in agent.yaml.' },
  );
}

/** The address at which peers reach this host, when `host.address` does not say. Errors as `addressOfDefaultRoute`. */
export async function hostAddress(): Promise<string> {
  const [ipv4Routes, ipv6Routes] = await Promise.all(
    ['/proc/net/route', '/proc/net/ipv6_route'].map((path) => readFile(path, 'utf8').catch(() => '')),
  );
  return addressOfDefaultRoute({
    ipv4Routes: ipv4Routes ?? '',
    ipv6Routes: ipv6Routes ?? '',
    interfaces: networkInterfaces(),
  });
}

/** The host's name when `host.name` does not say: the machine's, without its domain. */
export function hostName(): string {
  return hostname().split('.')[0] ?? hostname();
}
