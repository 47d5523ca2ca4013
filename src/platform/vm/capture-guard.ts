/**
 * What is refused while the proxy is dead and its rules have gone with it: a table of its own that stays. While the
 * proxy lives, nothing reaches these rules, since connections were turned to its ports before.
 */
import { BYPASSED, callerRules, interfaceRule, leftAloneChain, nftChain, nftNames, nftSet } from './capture-match.ts';
import { type CapturePlan, TPROXY_MARK } from './capture-plan.ts';

/** Behind address translation (-100), and before the filters of others, which may accept. */
const PRIORITY = -10;

function inboundChains(plan: CapturePlan): readonly string[] {
  const ports = plan.inbound.filter(({ onProxyFailure }) => onProxyFailure === 'deny').map(({ port }) => port);
  if (ports.length === 0) return [];
  return [
    ...nftChain('inbound', [
      `type filter hook input priority ${PRIORITY}; policy accept;`,
      'ct state established,related accept',
      BYPASSED,
      'iifname "lo" accept',
      ...interfaceRule(plan, 'iifname'),
      `meta mark ${TPROXY_MARK} accept`,
      `tcp dport ${nftSet(ports)} reject with tcp reset`,
    ]),
    // Ports that Docker publishes do not end here: they are sent on to a container.
    ...nftChain('published', [
      `type filter hook forward priority ${PRIORITY}; policy accept;`,
      'ct state established,related accept',
      BYPASSED,
      ...interfaceRule(plan, 'iifname'),
      `meta l4proto tcp ct status dnat ct original proto-dst ${nftSet(ports)} reject with tcp reset`,
    ]),
  ];
}

function outboundChains(plan: CapturePlan): readonly string[] {
  if (plan.outboundOnFailure === 'direct') return [];
  const reject = 'reject with icmpx type admin-prohibited';
  return [
    ...leftAloneChain(plan),
    ...nftChain('outbound', [
      `type filter hook output priority ${PRIORITY}; policy accept;`,
      'ct state established,related accept',
      BYPASSED,
      'meta l4proto != tcp accept',
      'ct status dnat accept',
      `meta skuid ${nftSet([...new Set([plan.envoyUid, plan.agentUid, ...plan.exclude.uids])])} accept`,
      ...interfaceRule(plan, 'oifname'),
      'jump left_alone',
      ...callerRules(plan.callers, () => reject),
    ]),
    ...(plan.containers === undefined
      ? []
      : nftChain('containers', [
          `type filter hook forward priority ${PRIORITY}; policy accept;`,
          `iifname != ${nftNames(plan.containers.interfaces)} accept`,
          'ct state established,related accept',
          BYPASSED,
          'meta l4proto != tcp accept',
          'jump left_alone',
          ...plan.containers.interfaces.map((name) => `iifname "${name}" oifname "${name}" accept`),
          reject,
        ])),
  ];
}

/** The lines of the table; none where nothing is to be refused. */
export function guardTable(plan: CapturePlan): readonly string[] {
  return [...inboundChains(plan), ...outboundChains(plan)];
}
