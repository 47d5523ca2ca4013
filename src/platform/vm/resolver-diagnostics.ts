/** Whether names that Envoy answers reach it on this host, and for which they do not. */
import { readFile } from 'node:fs/promises';
import type { Diagnostic } from '../../model/diagnostic.ts';
import type { SocketAddress } from '../../model/host.ts';
import { asksResolved, parseResolvConf } from './checks/resolver-files.ts';

/**
 * Who resolves names for applications:
 *
 * - `resolved`: systemd-resolved, which takes routing domains.
 * - `passed-by`: systemd-resolved runs, and applications do not ask it.
 * - `other`: it does not run.
 */
export type HostResolver = 'resolved' | 'passed-by' | 'other';

const STUBS: ReadonlySet<string> = new Set(['127.0.0.53', '127.0.0.54']);

/** Reads it from the host's files; those that are missing are empty. @param root where they are; '' for this host */
export async function hostResolver(root = ''): Promise<HostResolver> {
  const [conf = '', uplinks, nss = ''] = await Promise.all(
    ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf', '/etc/nsswitch.conf'].map((file) =>
      readFile(`${root}${file}`, 'utf8').catch(() => undefined),
    ),
  );
  if (uplinks === undefined) return 'other';
  const [first = ''] = parseResolvConf(conf).nameservers;
  return STUBS.has(first) || asksResolved(nss) ? 'resolved' : 'passed-by';
}

/** The most likely cause of names that do not reach Envoy, with what to do about it. */
const CAUSES: Readonly<
  Record<HostResolver, (toEnvoy: string) => { readonly message: string; readonly remedy: string }>
> = {
  other: (toEnvoy) => ({
    message: 'systemd-resolved does not run on this host; names of the mesh do not resolve',
    remedy: `Run "systemctl enable --now systemd-resolved", or have another resolver of this host ask Envoy; dnsmasq by: ${toEnvoy}`,
  }),
  'passed-by': () => ({
    message: '/etc/resolv.conf does not ask systemd-resolved; names of the mesh do not resolve',
    remedy: 'Run "ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf".',
  }),
  resolved: () => ({
    message: 'systemd-resolved does not ask Envoy for names of the mesh; they do not resolve',
    remedy: 'Look at "resolvectl status trysail0" and "systemctl status trysail-dns.path trysail-dns.service".',
  }),
};

/**
 * What keeps names from resolving (`TRY0109`); nothing where no names are answered.
 * @param listen where Envoy answers
 * @param domains as `dnsDomains` gives them
 * @param reached whether a name was seen to resolve
 */
export function resolverDiagnostics(
  resolver: HostResolver,
  listen: SocketAddress,
  domains: { readonly routed: readonly string[]; readonly left: readonly string[] },
  reached: boolean,
): readonly Diagnostic[] {
  const { routed, left } = domains;
  const code = 'TRY0109';
  const toEnvoy = routed.map((domain) => `server=/${domain}/${listen.address}#${listen.port}`).join(' ');
  const unreached: readonly Diagnostic[] =
    reached || routed.length === 0 ? [] : [{ code, severity: 'error', object: 'DNS', ...CAUSES[resolver](toEnvoy) }];
  const unrouted = left.map(
    (name): Diagnostic => ({
      code,
      severity: 'warning',
      object: `name ${name}`,
      message:
        'it is not taken from the resolver of this host: a domain of less than three labels would bring along the names and mail of others, and there is room for 250 domains',
      remedy: 'Call the service by another of its names, or by "listen" of its upstream.',
    }),
  );
  return [...unreached, ...unrouted];
}
