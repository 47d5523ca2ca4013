/** Names on this host: who answers, whether queries could go in circles, and whether mesh names reach Envoy alone. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Diagnostic } from '../../../model/diagnostic.ts';
import { type CheckContext, finding, type HostCheck } from './host-check.ts';
import { describeListener, formatAddress } from './listening.ts';
import { DNSMASQ, lookAtResolvers, type Resolvers, resolverLoops, STUBS } from './resolver-chain.ts';

/** So many servers are tried; the system's own resolver uses three. */
const MAX_SERVERS = 3;
/** A sample is enough: a server with a wildcard has it for most names. */
const MAX_DOMAINS = 4;
/** What a name of the mesh has at least, `reviews.mesh`. */
const DOTS_OF_MESH_NAMES = 1;

/** The agent has asked for routing domains by a file; a unit of root makes them on a link of its own. */
async function unmadeLink({ io, needs }: CheckContext): Promise<readonly Diagnostic[]> {
  if ((await io.stat(join(needs.paths.run, 'dns-domains'))) === undefined) return [];
  if ((await io.stat('/sys/class/net/trysail0')) !== undefined) return [];
  return [
    finding(
      'TRY1131',
      'error',
      'link trysail0',
      'the agent has asked for the names of the mesh, and the link that routes them to Envoy is not there',
      'See why: systemctl status trysail-dns.path trysail-dns.service',
    ),
  ];
}

/** Whether names of the mesh come to Envoy. */
function reachesEnvoy(
  { needs }: CheckContext,
  { conf, resolvedUplinks, dnsmasq, throughNss }: Resolvers,
): readonly Diagnostic[] {
  const { dns } = needs;
  if (dns === undefined) return [];
  const here = `${dns.address}#${dns.port}`;
  const first = conf.nameservers[0] ?? 'nothing';
  if (dnsmasq !== undefined && first.startsWith('127.')) {
    const missing = dns.domains.filter((domain) => dnsmasq.byDomain.get(domain) !== here);
    return missing.length === 0 || (resolvedUplinks !== undefined && STUBS.has(first))
      ? []
      : [
          finding(
            'TRY1131',
            'error',
            DNSMASQ,
            `it answers for this host and does not ask Envoy for ${missing.map((each) => `.${each}`).join(', ')}`,
            `Write into /etc/dnsmasq.d/trysail.conf: ${missing.map((each) => `server=/${each}/${here}`).join(' ')}`,
          ),
        ];
  }
  if (resolvedUplinks === undefined)
    return [
      finding(
        'TRY1131',
        'error',
        'DNS',
        `systemd-resolved does not run, so that names of the mesh do not reach Envoy (resolv.conf asks ${first})`,
        'Run: systemctl enable --now systemd-resolved; or forward the domain of the mesh by the resolver that there is; or set dns.enabled: false.',
      ),
    ];
  if (STUBS.has(first) || throughNss) return [];
  return [
    finding(
      'TRY1131',
      'warning',
      '/etc/resolv.conf',
      `it asks ${first} and not systemd-resolved, so that names of the mesh do not reach Envoy`,
      'Run: ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf',
    ),
  ];
}

function searching({ needs }: CheckContext, { conf }: Resolvers): readonly Diagnostic[] {
  if (needs.dns === undefined || conf.ndots <= DOTS_OF_MESH_NAMES + 1) return [];
  return [
    finding(
      'TRY1133',
      'warning',
      '/etc/resolv.conf',
      `ndots:${conf.ndots} makes every name of the mesh be asked with ${conf.search.join(', ') || 'each search domain'} first`,
      'Take ndots out of its options, or write names with a dot at the end.',
    ),
  ];
}

/** Asks the servers for a name of the mesh that nobody has. */
async function elsewhere({ io, needs }: CheckContext, resolvers: Resolvers): Promise<readonly Diagnostic[]> {
  const { conf, resolvedUplinks } = resolvers;
  const servers = [...new Set([...(resolvedUplinks ?? []), ...conf.nameservers])].filter((each) => !STUBS.has(each));
  const domains =
    needs.dns === undefined || needs.dns.domains.length === 0 ? ['mesh'] : needs.dns.domains.slice(0, MAX_DOMAINS);
  const questions = servers.slice(0, MAX_SERVERS).flatMap((server) => domains.map((domain) => ({ server, domain })));
  const label = `trysail-check-${randomBytes(6).toString('hex')}`;
  const answers = await Promise.all(
    questions.map(async (question) => ({
      ...question,
      answer: await io.ask(question.server, `${label}.${question.domain}`),
    })),
  );
  const silent = new Set<string>();
  return answers.flatMap(({ server, domain, answer }): readonly Diagnostic[] => {
    if ('addresses' in answer)
      return [
        finding(
          'TRY1132',
          'warning',
          `DNS server ${server}`,
          `it answers names under .${domain} that nobody has with ${answer.addresses.join(', ')}: a mistyped name reaches that instead of failing`,
          'Take the wildcard out of the server, or choose other host names by serviceHosts in meshconfig.yaml.',
        ),
      ];
    if (!['ETIMEOUT', 'ECONNREFUSED'].includes(answer.error) || silent.has(server)) return [];
    silent.add(server);
    return [
      finding(
        'TRY1134',
        'warning',
        `DNS server ${server}`,
        'it does not answer',
        'Correct /etc/resolv.conf, or see to the server and the way to it.',
      ),
    ];
  });
}

export const RESOLVER_CHECK: HostCheck = {
  name: 'resolver',
  async run(context) {
    const resolvers = await lookAtResolvers(context);
    const { conf, resolvedUplinks, local, dnsmasq } = resolvers;
    const [circles, foreign, unmade] = await Promise.all([
      resolverLoops(context, resolvers),
      elsewhere(context, resolvers),
      unmadeLink(context),
    ]);
    const link = await context.io.target('/etc/resolv.conf');
    const other = local.find(({ address }) => !STUBS.has(address));
    const consul = (await context.io.listeners('udp')).some(({ port }) => port === 8600);
    return {
      facts: [
        `resolv.conf asks ${conf.nameservers.join(', ') || 'nobody'}${link === undefined || link === '/etc/resolv.conf' ? '' : ` (${link})`}`,
        resolvedUplinks === undefined
          ? 'no systemd-resolved'
          : `systemd-resolved asks ${resolvedUplinks.join(', ') || 'by link'}`,
        ...(dnsmasq === undefined && other !== undefined
          ? [`${describeListener(other)} on ${formatAddress(other)}`]
          : []),
        ...(dnsmasq === undefined ? [] : ['dnsmasq']),
        ...(consul ? ['Consul answers DNS on 8600'] : []),
        ...(circles.length === 0 && local.every(({ pid }) => pid !== undefined) ? ['no loop'] : []),
      ],
      findings: [
        ...circles,
        ...reachesEnvoy(context, resolvers),
        ...unmade,
        ...searching(context, resolvers),
        ...foreign,
      ],
    };
  },
};
