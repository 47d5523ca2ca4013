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

/**
 * What keeps names from resolving (`TRY0109`); nothing where no names are answered.
 * @param listen where Envoy answers
 * @param domains as `dnsDomains` gives them
 */
export function resolverDiagnostics(
  resolver: HostResolver,
  listen: SocketAddress,
  domains: { readonly routed: readonly string[]; readonly left: readonly string[] },
): readonly Diagnostic[] {
  const { routed, left } = domains;
  const code = 'TRY0109';
  const toEnvoy = routed.map((domain) => `server=/${domain}/${listen.address}#${listen.port}`).join(' ');
  const unreached: readonly Diagnostic[] =
    resolver === 'resolved' || routed.length === 0
      ? []
      : [
          {
            code,
            severity: 'error',
            object: 'DNS',
            message:
              resolver === 'other'
                ? 'systemd-resolved does not run on this host; names of the mesh do not resolve'
                : '/etc/resolv.conf does not ask systemd-resolved; names of the mesh do not resolve',
            remedy:
              resolver === 'other'
                ? `Run "systemctl enable --now systemd-resolved", or have another resolver of this host ask Envoy; dnsmasq by: ${toEnvoy}`
                : 'Run "ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf".',
          },
        ];
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
