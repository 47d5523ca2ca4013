/** Other firewalls of this host: whether they let peers in, and whether their rules take connections that are ours. */
import type { Diagnostic } from '../../../model/diagnostic.ts';
import { type CheckContext, finding, type HostCheck, type HostIo, type NeededPort } from './host-check.ts';
import { count } from './listening.ts';
import {
  inRanges,
  mergeRules,
  type PacketRules,
  parseIptables,
  parseNftables,
  withoutTablesOf,
} from './packet-rules.ts';
import { unitsOf } from './units.ts';

/** Whose chains these are, by how their names begin. */
const OTHER_MESHES: readonly (readonly [prefix: RegExp, name: string, remedy: string])[] = [
  [/^ISTIO_/, 'Istio', 'Remove its rules (pilot-agent istio-clean-iptables), or do not run both on one host.'],
  [/^KUMA_MESH_/, 'Kuma', 'Remove its rules (kumactl uninstall transparent-proxy), or do not run both on one host.'],
  [/^CONSUL_PROXY_/, 'Consul Connect', 'Remove its rules (consul connect redirect-traffic made them).'],
  [/^PROXY_INIT_/, 'Linkerd', 'Remove the rules that linkerd-init made.'],
];
const OURS = /^\S+ trysail/;

async function rulesOf(io: HostIo): Promise<PacketRules | 'denied' | 'none'> {
  const [nft, save, save6, legacy] = await Promise.all([
    io.run('nft', ['-j', 'list', 'ruleset']),
    io.run('iptables-save', []),
    io.run('ip6tables-save', []),
    // iptables-save shows one of the two back ends only.
    io
      .read('/proc/net/ip_tables_names')
      .then(async (names) =>
        names === undefined || names.trim() === '' ? undefined : io.run('iptables-legacy-save', []),
      ),
  ]);
  const saved = [
    save?.code === 0 ? parseIptables(save.stdout, 'iptables') : undefined,
    save6?.code === 0 ? parseIptables(save6.stdout, 'ip6tables') : undefined,
    legacy?.code === 0 ? parseIptables(legacy.stdout, 'iptables') : undefined,
  ].filter((part) => part !== undefined);
  const listed = nft?.code === 0 ? parseNftables(nft.stdout) : undefined;
  if (listed !== undefined) return mergeRules([withoutTablesOf(listed, mergeRules(saved)), ...saved]);
  if (saved.length > 0) return mergeRules(saved);
  return [nft, save, save6].every((each) => each === undefined) ? 'none' : 'denied';
}

async function firewalld(io: HostIo, ports: readonly NeededPort[]): Promise<readonly Diagnostic[]> {
  const asked = await Promise.all(
    ports.map(async (needed) => ({
      needed,
      answer: await io.run('firewall-cmd', [`--query-port=${needed.port}/${needed.protocol}`]),
    })),
  );
  return asked.flatMap(({ needed: { object, port, protocol }, answer }) =>
    // `no` is exit code 1; anything else says nothing.
    answer?.code !== 1
      ? []
      : [
          finding(
            'TRY1120',
            'error',
            object,
            `firewalld does not let ${port}/${protocol} in (default zone)`,
            `Run: firewall-cmd --permanent --add-port=${port}/${protocol} && firewall-cmd --reload`,
          ),
        ],
  );
}

/** Ports that ufw's user rules allow in, such as `### tuple ### allow tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 in`. */
export function ufwAllows(userRules: string, { port, protocol }: Pick<NeededPort, 'port' | 'protocol'>): boolean {
  return userRules.split('\n').some((line) => {
    const [, action = '', proto = '', ports = '', destination = '', , source = '', direction = ''] =
      /^### tuple ### (\S+) (\S+) (\S+) (\S+) (\S+) (\S+) (\S+)/.exec(line) ?? [];
    if (
      !/^(?:route:)?(?:allow|limit)/.test(action) ||
      !direction.startsWith('in') ||
      destination === '' ||
      source === ''
    )
      return false;
    if (proto !== 'any' && proto !== protocol) return false;
    return (
      ports === 'any' ||
      inRanges(
        ports.split(',').map((part) => {
          const [first = Number.NaN, last = first] = part.split(':').map(Number);
          return [first, last] as const;
        }),
        port,
      )
    );
  });
}

async function ufw(io: HostIo, ports: readonly NeededPort[]): Promise<readonly Diagnostic[]> {
  const [defaults, rules] = await Promise.all([io.read('/etc/default/ufw'), io.read('/etc/ufw/user.rules')]);
  if (/^DEFAULT_INPUT_POLICY="?ACCEPT/m.test(defaults ?? '') || rules === undefined) return [];
  return ports
    .filter((needed) => !ufwAllows(rules, needed))
    .map(({ object, port, protocol }) =>
      finding(
        'TRY1120',
        'error',
        object,
        `ufw does not let ${port}/${protocol} in`,
        `Run: ufw allow ${port}/${protocol}`,
      ),
    );
}

function closedTo(rules: PacketRules, ports: readonly NeededPort[], skip: RegExp): readonly Diagnostic[] {
  return rules.closed
    .filter(({ table, acceptsAll }) => !acceptsAll && !OURS.test(table) && !skip.test(table))
    .flatMap(({ place, accepts }) => {
      const shut = ports.filter(({ port }) => !inRanges(accepts, port));
      if (shut.length === 0) return [];
      const numbers = [...new Set(shut.map(({ port, protocol }) => `${port}/${protocol}`))].join(', ');
      return [
        finding(
          'TRY1120',
          'warning',
          shut.map(({ object }) => object).join(', '),
          `${place} drops what no rule accepts, and none accepts ${numbers} from everywhere`,
          `Add a rule that accepts ${numbers} from the hosts of the mesh, if there is none.`,
        ),
      ];
    });
}

function redirected(rules: PacketRules, ports: readonly NeededPort[]): readonly Diagnostic[] {
  return rules.redirections
    .filter(
      ({ table, chain }) => !OURS.test(table) && !/^(?:KUBE-|ISTIO_|KUMA_MESH_|CONSUL_PROXY_|PROXY_INIT_)/.test(chain),
    )
    .flatMap(({ place, ports: theirs, limited }) => {
      // A rule with conditions of its own and no port is somebody's special case.
      const hit = theirs === undefined ? (limited ? [] : ports) : ports.filter(({ port }) => inRanges(theirs, port));
      if (hit.length === 0) return [];
      const numbers = [...new Set(hit.map(({ port }) => port))].join(', ');
      return [
        finding(
          'TRY1121',
          'warning',
          [...new Set(hit.map(({ object }) => object))].join(', '),
          `${place} redirects connections to port ${numbers}: they do not reach Envoy`,
          'Remove the rule, or choose another port in agent.yaml. See it with nft -a list ruleset, or iptables-save.',
        ),
      ];
    });
}

function others(rules: PacketRules): readonly Diagnostic[] {
  const meshes = OTHER_MESHES.filter(([prefix]) => rules.chains.some((chain) => prefix.test(chain))).map(
    ([, name, remedy]) =>
      finding('TRY1122', 'error', name, 'its rules redirect traffic of this host to another proxy', remedy),
  );
  const kube =
    rules.chains.some((chain) => chain.startsWith('KUBE-')) || rules.tables.some((t) => t.endsWith(' kube-proxy'));
  if (!kube) return meshes;
  return [
    ...meshes,
    finding(
      'TRY1122',
      'warning',
      'kube-proxy',
      'it redirects connections to cluster addresses and node ports before they reach Envoy',
      'Keep the node port range (30000–32767) and the cluster network out of agent.yaml and of what is captured.',
    ),
  ];
}

async function active({ io }: CheckContext): Promise<{ readonly firewalld: boolean; readonly ufw: boolean }> {
  const [units, conf] = await Promise.all([
    unitsOf(io, ['firewalld.service'], ['ActiveState']),
    io.read('/etc/ufw/ufw.conf'),
  ]);
  return {
    firewalld: units?.get('firewalld.service')?.['ActiveState'] === 'active',
    ufw: /^ENABLED=yes/im.test(conf ?? ''),
  };
}

export const FIREWALLS_CHECK: HostCheck = {
  name: 'firewalls',
  async run(context) {
    const { io, needs } = context;
    const entrances = [...needs.ports.filter((each) => each.fromPeers), ...needs.dialled];
    const [rules, on] = await Promise.all([rulesOf(io), active(context)]);
    const findings: Diagnostic[] = [];
    const facts: string[] = [];
    if (on.firewalld) {
      facts.push('firewalld is active');
      findings.push(...(await firewalld(io, entrances)));
    }
    if (on.ufw) {
      facts.push('ufw is active');
      findings.push(...(await ufw(io, entrances)));
    }
    if (rules === 'none') facts.push('neither nft nor iptables is installed');
    else if (rules === 'denied')
      findings.push(
        finding(
          'TRY1100',
          'info',
          'packet filter rules',
          'only root may read them',
          'Run trysail check as root to have them judged.',
        ),
      );
    else {
      const theirs = rules.tables.filter((table) => !OURS.test(table));
      facts.push(theirs.length === 0 ? 'no rules of others' : `${count(theirs.length, 'table')} of others`);
      // Their own findings are the better ones.
      const skip = on.firewalld ? /firewalld/ : on.ufw ? /^(?:ip6?|ip6?tables) filter$/ : /^$/;
      findings.push(...closedTo(rules, entrances, skip), ...redirected(rules, needs.ports), ...others(rules));
    }
    return { facts, findings };
  },
};
