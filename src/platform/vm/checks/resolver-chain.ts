/** The resolvers of this host and who asks whom. */
import type { Diagnostic } from '../../../model/diagnostic.ts';
import { type CheckContext, finding, type HostIo, type Listener } from './host-check.ts';
import { listenersAt } from './listening.ts';
import {
  asksResolved,
  type DnsmasqConf,
  findLoop,
  parseDnsmasq,
  parseResolvConf,
  type ResolvConf,
} from './resolver-files.ts';
import { unitsOf } from './units.ts';

const RESOLVED = 'systemd-resolved';
const RESOLVED_UNIT = 'systemd-resolved.service';
export const DNSMASQ = 'dnsmasq';
/** Where systemd-resolved itself listens. */
export const STUBS: ReadonlySet<string> = new Set(['127.0.0.53', '127.0.0.54']);

/** Who answers names on this host. */
export interface Resolvers {
  readonly conf: ResolvConf;
  /** Undefined: systemd-resolved does not run. */
  readonly resolvedUplinks: readonly string[] | undefined;
  /** Undefined: no dnsmasq listens. */
  readonly dnsmasq: DnsmasqConf | undefined;
  readonly local: readonly Listener[];
  readonly throughNss: boolean;
}

/** Its file outlives it, and its stub can be off. */
async function uplinksOfResolved(io: HostIo): Promise<readonly string[] | undefined> {
  const [text, units] = await Promise.all([
    io.read('/run/systemd/resolve/resolv.conf'),
    unitsOf(io, [RESOLVED_UNIT], ['ActiveState']),
  ]);
  const stopped = units !== undefined && units.get(RESOLVED_UNIT)?.['ActiveState'] !== 'active';
  return text === undefined || stopped ? undefined : parseResolvConf(text).nameservers;
}

/** Looks at files, listeners and units; asks nobody. */
export async function lookAtResolvers({ io }: CheckContext): Promise<Resolvers> {
  const [conf = '', uplinks, nss = '', udp, drop = []] = await Promise.all([
    io.read('/etc/resolv.conf'),
    uplinksOfResolved(io),
    io.read('/etc/nsswitch.conf'),
    io.listeners('udp'),
    io.list('/etc/dnsmasq.d'),
  ]);
  const local = udp.filter(({ port }) => port === 53);
  const masq = local.some(({ program }) => program?.endsWith(DNSMASQ) === true);
  const files = ['/etc/dnsmasq.conf', ...drop.map((name) => `/etc/dnsmasq.d/${name}`)];
  const text = masq ? (await Promise.all(files.map(async (file) => (await io.read(file)) ?? ''))).join('\n') : '';
  return {
    conf: parseResolvConf(conf),
    resolvedUplinks: uplinks,
    dnsmasq: masq ? parseDnsmasq(text) : undefined,
    local,
    throughNss: asksResolved(nss),
  };
}

/** What stands behind an address of a DNS server. */
function serverAt(address: string, { local, dnsmasq }: Resolvers, own: readonly string[]): string {
  const host = address.replace(/#.*/, '');
  if (STUBS.has(host)) return RESOLVED;
  const isOwn = host.startsWith('127.') || host === '::1' || own.includes(host);
  const [listener] = isOwn ? listenersAt(local, { address: host, port: 53 }) : [];
  return dnsmasq !== undefined && listener?.program?.endsWith(DNSMASQ) === true && !address.includes('#')
    ? DNSMASQ
    : address;
}

/** Resolvers of this host that ask each other in a circle. */
export async function resolverLoops({ io }: CheckContext, resolvers: Resolvers): Promise<readonly Diagnostic[]> {
  const { conf, resolvedUplinks, dnsmasq } = resolvers;
  const own = io.addresses();
  const named = (servers: readonly string[]): readonly string[] =>
    servers.map((each) => serverAt(each, resolvers, own));
  const edges = new Map<string, readonly string[]>();
  if (resolvedUplinks !== undefined) edges.set(RESOLVED, named(resolvedUplinks));
  if (dnsmasq !== undefined) {
    const { resolvFile, servers } = dnsmasq;
    const more =
      resolvFile === undefined
        ? conf.nameservers.slice(0, 0)
        : parseResolvConf((await io.read(resolvFile)) ?? '').nameservers;
    edges.set(DNSMASQ, named([...servers, ...more]));
  }
  const loop = findLoop(edges);
  if (loop === undefined) return [];
  return [
    finding(
      'TRY1130',
      'error',
      loop[0] ?? '',
      `queries go in circles: ${loop.join(' → ')}`,
      loop.includes(DNSMASQ)
        ? 'Give dnsmasq the servers of the network (no-resolv and server=<address>), and systemd-resolved none of this host.'
        : 'Give systemd-resolved the servers of the network (DNS= in /etc/systemd/resolved.conf), none of this host.',
    ),
  ];
}
