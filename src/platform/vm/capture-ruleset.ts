/**
 * A capture plan as the text of one nftables transaction: table `inet trysail` of ours, replaced as a whole, and
 * `inet trysail_guard` where something is to be refused while the proxy is dead. Pure.
 * https://wiki.nftables.org/wiki-nftables/index.php/Quick_reference-nftables_in_10_minutes
 */
import { createHash } from 'node:crypto';
import { guardTable } from './capture-guard.ts';
import { BYPASSED, callerRules, interfaceRule, leftAloneChain, nftChain, nftNames, nftSet } from './capture-match.ts';
import {
  type CapturePlan,
  capturePorts,
  checkCapturePlan,
  PASSTHROUGH_ADDRESSES,
  TPROXY_MARK,
} from './capture-plan.ts';

export const CAPTURE_TABLE = 'trysail';
export const GUARD_TABLE = 'trysail_guard';

/** Before Docker's and firewalld's NAT chains, which are at -100; the first chain that translates a connection wins. */
const NAT_PRIORITY = -110;
/** After conntrack (-200), before everything that looks at where a packet goes. */
const PREROUTING_PRIORITY = -155;
const ROUTE_PRIORITY = -150;
const FILTER_PRIORITY = -10;

function users(plan: CapturePlan): string {
  return nftSet([...new Set([plan.agentUid, ...plan.exclude.uids])].filter((uid) => uid !== plan.envoyUid));
}

function outputChain(plan: CapturePlan): readonly string[] {
  const others = users(plan);
  return nftChain('output', [
    `type nat hook output priority ${NAT_PRIORITY}; policy accept;`,
    'meta l4proto != tcp accept',
    BYPASSED,
    `meta skuid ${plan.envoyUid} goto from_proxy`,
    ...(others === '{  }' ? [] : [`meta skuid ${others} accept`]),
    ...interfaceRule(plan, 'oifname'),
    'jump left_alone',
    ...callerRules(plan.callers, (port) => `redirect to :${port}`),
  ]);
}

/** The proxy's own connections: to captured ports of this host they arrive like anybody's, all others go as they are. */
function fromProxyChain(plan: CapturePlan): readonly string[] {
  const ports = plan.inbound.map(({ port }) => port);
  return nftChain('from_proxy', [
    ...(plan.inbound.some(({ how }) => how === 'tproxy') ? [`meta mark ${TPROXY_MARK} accept`] : []),
    ...(ports.length === 0
      ? []
      : [
          `ip saddr ${PASSTHROUGH_ADDRESSES[0]} accept`,
          `ip6 saddr ${PASSTHROUGH_ADDRESSES[1]} accept`,
          'ip daddr 127.0.0.0/8 accept',
          'ip6 daddr ::1 accept',
          `fib daddr type local tcp dport ${nftSet(ports)} dnat to :${plan.inboundPort}`,
        ]),
  ]);
}

function preroutingChain(plan: CapturePlan): readonly string[] {
  const redirected = plan.inbound.filter(({ how }) => how === 'redirect').map(({ port }) => port);
  const kept = plan.inbound.filter(({ how }) => how === 'tproxy').map(({ port }) => port);
  return nftChain('prerouting', [
    `type nat hook prerouting priority ${NAT_PRIORITY}; policy accept;`,
    'meta l4proto != tcp accept',
    BYPASSED,
    ...interfaceRule(plan, 'iifname'),
    ...(plan.containers === undefined ? [] : [`iifname ${nftNames(plan.containers.interfaces)} goto from_containers`]),
    // Only the port changes: an interface without an address of its own would make "redirect" drop the packet.
    ...(redirected.length > 0
      ? [`fib daddr type local tcp dport ${nftSet(redirected)} dnat to :${plan.inboundPort}`]
      : []),
    // A translation to itself, so that Docker's chains do not send on what is Envoy's already.
    ...kept.map((port) => `fib daddr type local tcp dport ${port} meta mark ${TPROXY_MARK} dnat to :${port}`),
  ]);
}

function fromContainersChain(plan: CapturePlan): readonly string[] {
  if (plan.containers === undefined) return [];
  const { interfaces, port } = plan.containers;
  return nftChain('from_containers', [
    'jump left_alone',
    // Among containers of one bridge, which br_netfilter brings here.
    ...interfaces.map((name) => `iifname "${name}" fib daddr oifname "${name}" accept`),
    `meta l4proto tcp redirect to :${port}`,
  ]);
}

function tproxyChains(plan: CapturePlan): readonly string[] {
  const ports = plan.inbound.filter(({ how }) => how === 'tproxy').map(({ port }) => port);
  if (ports.length === 0) return [];
  const containers = plan.containers === undefined ? [] : [`iifname ${nftNames(plan.containers.interfaces)} accept`];
  return [
    ...nftChain('tproxy_prerouting', [
      `type filter hook prerouting priority ${PREROUTING_PRIORITY}; policy accept;`,
      'iifname "lo" accept',
      BYPASSED,
      ...interfaceRule(plan, 'iifname'),
      ...containers,
      `fib daddr type local tcp dport ${nftSet(ports)} tproxy to :${plan.inboundPort} meta mark set ${TPROXY_MARK} accept`,
    ]),
    // The application answers the caller's address; the mark of the connection brings its answers back to Envoy.
    ...nftChain('tproxy_output', [
      `type route hook output priority ${ROUTE_PRIORITY}; policy accept;`,
      `meta skuid ${plan.envoyUid} meta mark ${TPROXY_MARK} ct mark set ${TPROXY_MARK}`,
      `ct direction reply ct mark ${TPROXY_MARK} meta mark set ${TPROXY_MARK}`,
    ]),
  ];
}

/** Without redirection, Envoy would take its own port for the destination and call itself for ever. */
function refuseDirectChain(plan: CapturePlan): readonly string[] {
  const ports = nftSet(capturePorts(plan));
  return nftChain('refuse_direct', [
    `type filter hook input priority ${FILTER_PRIORITY}; policy accept;`,
    `tcp dport ${ports} ct status dnat accept`,
    `tcp dport ${ports} reject with tcp reset`,
  ]);
}

function captureTable(plan: CapturePlan): readonly string[] {
  if (capturePorts(plan).length === 0) return [];
  return [
    ...leftAloneChain(plan),
    ...fromProxyChain(plan),
    ...outputChain(plan),
    ...fromContainersChain(plan),
    ...preroutingChain(plan),
    ...tproxyChains(plan),
    ...refuseDirectChain(plan),
  ];
}

function replacedTable(name: string, flags: string, body: readonly string[]): readonly string[] {
  return [
    `add table inet ${name}${flags === '' ? '' : ` { ${flags}; }`}`,
    `delete table inet ${name}`,
    ...(body.length === 0
      ? []
      : [`table inet ${name} {`, ...(flags === '' ? [] : [`  ${flags}`]), ...body.map((line) => `  ${line}`), '}']),
  ];
}

/** The rules as text, and the name of a chain by which they are known again in the kernel. */
export interface CaptureRuleset {
  /** Sixteen hexadecimal digits; another one for other rules. */
  readonly revision: string;
  readonly text: string;
}

/**
 * The whole transaction: loaded twice it is what it was once.
 * @param options.owned whether the capture table ends with the process that loads it (`flags owner`, Linux 5.12)
 * @throws TrysailError `CAPTURE_PLAN_INVALID`
 */
export function captureRuleset(
  plan: CapturePlan,
  options: { readonly owned: boolean } = { owned: true },
): CaptureRuleset {
  checkCapturePlan(plan);
  const capture = captureTable(plan);
  const guard = guardTable(plan);
  const revision = createHash('sha256')
    .update(JSON.stringify([capture, guard]))
    .digest('hex')
    .slice(0, 16);
  const marked = capture.length === 0 ? [] : [`chain revision_${revision} {`, '}', ...capture];
  const guarded = guard.length === 0 ? [] : [`chain revision_${revision} {`, '}', ...guard];
  const lines = [
    ...replacedTable(CAPTURE_TABLE, options.owned ? 'flags owner' : '', marked),
    ...replacedTable(GUARD_TABLE, '', guarded),
  ];
  return { revision, text: `${lines.join('\n')}\n` };
}
