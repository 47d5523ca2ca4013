/** What capture needs of nftables: each feature is tried on the kernel without a change (`nft --check`). */
import type { Diagnostic } from '../../../model/diagnostic.ts';
import { type CheckContext, finding, type HostCheck, type HostNeeds } from './host-check.ts';
import { cgroupLayout, isAtLeast } from './kernel.ts';

interface Feature {
  readonly name: string;
  /** A ruleset that uses it; `cgroup` is one that exists. */
  readonly ruleset: (cgroup: string) => string;
  /** Where nothing can be tried: the kernel that has it. */
  readonly since: readonly [major: number, minor: number];
  readonly needed: (capture: HostNeeds['capture']) => boolean;
  /** What its absence means, and what to do. */
  readonly costs: string;
}

const chain = (type: string, hook: string, rule: string): string =>
  `table inet trysail_check {\n chain c {\n  type ${type} hook ${hook} priority 0;\n  ${rule}\n }\n}\n`;

const FEATURES: readonly Feature[] = [
  {
    name: 'tables that end with their owner',
    ruleset: () => 'table inet trysail_check {\n flags owner;\n}\n',
    since: [5, 12],
    needed: ({ redirect, tproxy }) => redirect || tproxy,
    costs:
      'Without it the rules outlive a killed proxy until the unit is stopped. Use Linux 5.12 and nft 1.0 or later.',
  },
  {
    name: 'redirect',
    ruleset: () => chain('nat', 'output', 'meta skuid 0 tcp dport 1 redirect to :15001'),
    since: [5, 2],
    needed: ({ redirect }) => redirect,
    costs: 'Without it nothing can be captured; upstreams at loopback addresses still work. Load nft_redir and nf_nat.',
  },
  {
    name: 'cgroup matches',
    ruleset: (cgroup) => chain('filter', 'output', `socket cgroupv2 level 1 "${cgroup}" accept`),
    since: [5, 13],
    needed: ({ cgroup }) => cgroup,
    costs: 'Without it calls are told apart by user alone (services[].user), not by unit. Use Linux 5.13 and cgroup2.',
  },
  {
    name: 'tproxy',
    ruleset: () =>
      chain(
        'filter',
        'prerouting',
        'meta nfproto ipv4 tcp dport 1 tproxy ip to 127.0.0.1:15006 meta mark set 1 accept',
      ),
    since: [4, 19],
    needed: ({ tproxy }) => tproxy,
    costs:
      "Without it use capture: redirect; the application then sees Envoy's address, not the caller's. Load nft_tproxy.",
  },
];

/** `told`: it is missing for a reason that another check tells. */
type Verdict = 'there' | 'missing' | 'denied' | 'told';

async function tried({ io }: CheckContext, ruleset: string): Promise<Verdict> {
  const result = await io.run('nft', ['--check', '-f', '-'], ruleset);
  if (result?.code === 0) return 'there';
  return /operation not permitted|permission denied/i.test(result?.stderr ?? '') ? 'denied' : 'missing';
}

async function verdictOf(feature: Feature, context: CheckContext, release: string): Promise<Verdict> {
  const { io } = context;
  let cgroup = '';
  if (feature.ruleset('x') !== feature.ruleset('y')) {
    if ((await cgroupLayout(io)) !== 'unified') return 'told';
    const names = (await io.list('/sys/fs/cgroup')) ?? [];
    cgroup = names.find((name) => /\.(?:slice|scope|service)$/.test(name)) ?? '';
    if (cgroup === '') return isAtLeast(release, ...feature.since) ? 'there' : 'missing';
  }
  const verdict = await tried(context, feature.ruleset(cgroup));
  if (verdict !== 'denied') return verdict;
  return isAtLeast(release, ...feature.since) ? 'denied' : 'missing';
}

/** Whether the rules are in force, where they could be: beside a running Envoy. Only root can tell. */
async function inForce({ io, needs }: CheckContext): Promise<readonly Diagnostic[]> {
  if (!(needs.capture.redirect || needs.capture.tproxy) || needs.envoyPids.length === 0) return [];
  const listed = await io.run('nft', ['list', 'table', 'inet', 'trysail']);
  if (listed === undefined || listed.code === 0 || !/no such file/i.test(listed.stderr)) return [];
  return [
    finding(
      'TRY1162',
      'warning',
      'table inet trysail',
      'agent.yaml has traffic captured, and no rules are in force: calls go past Envoy',
      'Run: trysail capture apply (and confirm); or trysail capture plan to see the rules first.',
    ),
  ];
}

export const NFTABLES_CHECK: HostCheck = {
  name: 'nftables',
  async run(context) {
    const { io, needs } = context;
    const capturing = needs.capture.redirect || needs.capture.tproxy;
    const version = await io.run('nft', ['--version']);
    if (version === undefined) {
      if (!capturing) return { facts: [], findings: [], skipped: 'nft is not installed; nothing is captured' };
      return {
        facts: [],
        findings: [
          finding(
            'TRY1161',
            'error',
            'nft',
            'it is not installed, and agent.yaml has traffic captured',
            'Install the package nftables.',
          ),
        ],
      };
    }
    const release = ((await io.read('/proc/sys/kernel/osrelease')) ?? '').trim();
    const verdicts = await Promise.all(
      FEATURES.map(async (feature) => ({ feature, verdict: await verdictOf(feature, context, release) })),
    );
    const there = verdicts.filter(({ verdict }) => verdict === 'there').map(({ feature }) => feature.name);
    const byVersion = verdicts.filter(({ verdict }) => verdict === 'denied').map(({ feature }) => feature.name);
    const findings = verdicts.flatMap(({ feature, verdict }): readonly Diagnostic[] =>
      verdict === 'missing'
        ? [
            finding(
              'TRY1160',
              feature.needed(needs.capture) ? 'error' : 'info',
              `nftables: ${feature.name}`,
              feature.needed(needs.capture)
                ? 'this host lacks it, and agent.yaml needs it'
                : 'this host lacks it; nothing of agent.yaml needs it',
              feature.costs,
            ),
          ]
        : [],
    );
    const nft = /v?(\d+\.\d+\.\d+)/.exec(version.stdout)?.[1] ?? 'of unknown version';
    return {
      facts: [
        `nft ${nft}`,
        ...(there.length === 0 ? [] : [there.join(', ')]),
        ...(byVersion.length === 0 ? [] : [`${byVersion.join(', ')} by the kernel's version (only root can try)`]),
      ],
      findings: [...findings, ...(await inForce(context))],
    };
  },
};
