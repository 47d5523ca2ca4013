/**
 * What `trysail bypass` puts before everything else of ours: connections that would go through the proxy go on without
 * it, those that are captured by a mark that capture leaves alone, those to a listener of Envoy by translation. Pure.
 */
import { isIP } from 'node:net';
import type { SocketAddress } from '../../model/host.ts';
import { callerRules, nftChain, nftNames, nftSet } from './capture-match.ts';
import { BYPASS_MARK, type CapturedCaller } from './capture-plan.ts';

export const BYPASS_TABLE = 'trysail_bypass';

/** Before capture's chains (-155 and -110). */
const MARK_PRIORITY = -160;
const NAT_PRIORITY = -120;
const SOURCE_NAT_PRIORITY = 90;
/** Before conntrack: addresses as they came over the wire. */
const WIRE_PRIORITY = -310;
const RESET_PRIORITY = -20;

/** A listener of Envoy, and who does its work without it: one of `to`, in turn. */
export interface BypassedListener {
  /** A port of 0: all ports of the address. */
  readonly listen: SocketAddress;
  /** Of the family of `listen`; not empty. */
  readonly to: readonly SocketAddress[];
}

export interface BypassPlan {
  /** Captured inbound ports. */
  readonly inboundPorts: readonly number[];
  /** Where captured connections arrive. */
  readonly inboundCapturePort: number;
  /** Whose captured calls pass. */
  readonly callers: readonly CapturedCaller[];
  /** Captured calls to these pass, whoever makes them. */
  readonly destinations: readonly SocketAddress[];
  /** Loopback upstreams, services by name, and inbound listeners. */
  readonly listeners: readonly BypassedListener[];
  /** Calls of containers behind these bridges pass. */
  readonly interfaces: readonly string[];
  readonly envoyUid: number;
}

const family = (address: string): 'ip' | 'ip6' => (isIP(address) === 6 ? 'ip6' : 'ip');
const bracketed = ({ address, port }: SocketAddress): string =>
  isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;

/** Whether connections leave from or arrive at 127.0.0.0/8, which the kernel refuses unless told otherwise. */
export function needsRouteLocalnet({ listeners }: BypassPlan): boolean {
  const isLoopback = (address: string): boolean => address.startsWith('127.');
  return listeners.some(
    ({ listen, to }) => isLoopback(listen.address) !== to.every(({ address }) => isLoopback(address)),
  );
}

function translation({ listen, to }: BypassedListener): string {
  const ip = family(listen.address);
  const port = listen.port === 0 ? 'meta l4proto tcp' : `tcp dport ${listen.port}`;
  const match = `${ip} daddr ${listen.address} ${port}`;
  const [only, ...others] = to;
  if (only === undefined) return match;
  if (others.length === 0) return `${match} dnat ${ip} to ${bracketed(only)}`;
  const map = to.map(({ address, port: each }, i) => `${i} : ${address} . ${each}`);
  return `${match} dnat ${ip} addr . port to numgen inc mod ${to.length} map ${nftSet(map)}`;
}

function markChains({ inboundPorts, callers, destinations, interfaces, envoyUid }: BypassPlan): readonly string[] {
  const mark = `meta mark set ${BYPASS_MARK}`;
  const byFamily = (['ip', 'ip6'] as const).flatMap((ip) => {
    const those = destinations.filter(({ address }) => family(address) === ip);
    const pairs = [...new Set(those.map(({ address, port }) => `${address} . ${port}`))];
    return pairs.length === 0 ? [] : [`${ip} daddr . tcp dport ${nftSet(pairs)} ${mark}`];
  });
  return [
    ...nftChain('captured_inbound', [
      `type filter hook prerouting priority ${MARK_PRIORITY}; policy accept;`,
      ...(inboundPorts.length === 0 ? [] : [`fib daddr type local tcp dport ${nftSet(inboundPorts)} ${mark}`]),
      ...(interfaces.length === 0 ? [] : [`iifname ${nftNames(interfaces)} meta l4proto tcp ${mark}`]),
    ]),
    ...nftChain('captured_outbound', [
      `type route hook output priority ${MARK_PRIORITY}; policy accept;`,
      `meta skuid ${envoyUid} accept`,
      ...callerRules(callers, () => mark),
      ...byFamily,
    ]),
  ];
}

/** Connections that go through the proxy already are ended, so that their clients come again and go past it. */
function resetChain({ inboundPorts, inboundCapturePort, callers, listeners }: BypassPlan): readonly string[] {
  const reset = 'reject with tcp reset';
  const callerPorts = [...new Set(callers.map(({ port }) => port))];
  return nftChain('end_proxied', [
    `type filter hook input priority ${RESET_PRIORITY}; policy accept;`,
    ...(inboundPorts.length === 0
      ? []
      : [`tcp dport ${inboundCapturePort} ct status dnat ct original proto-dst ${nftSet(inboundPorts)} ${reset}`]),
    ...(callerPorts.length === 0 ? [] : [`tcp dport ${nftSet(callerPorts)} ct status dnat ${reset}`]),
    ...listeners.map(({ listen }) => {
      const port = listen.port === 0 ? 'meta l4proto tcp' : `tcp dport ${listen.port}`;
      return `${family(listen.address)} daddr ${listen.address} ${port} ${reset}`;
    }),
  ]);
}

function translationChains(plan: BypassPlan): readonly string[] {
  if (plan.listeners.length === 0) return [];
  const rules = plan.listeners.map(translation);
  return [
    ...nftChain('calls', [
      `type nat hook output priority ${NAT_PRIORITY}; policy accept;`,
      `meta skuid ${plan.envoyUid} accept`,
      ...rules,
    ]),
    ...nftChain('arrivals', [`type nat hook prerouting priority ${NAT_PRIORITY}; policy accept;`, ...rules]),
    ...(needsRouteLocalnet(plan)
      ? [
          // The kernel lets loopback addresses onto the wire now: nobody out there may use that.
          ...nftChain('wire', [
            `type filter hook prerouting priority ${WIRE_PRIORITY}; policy accept;`,
            'iifname != "lo" ip daddr 127.0.0.0/8 drop',
            'iifname != "lo" ip saddr 127.0.0.0/8 drop',
          ]),
          ...nftChain('own_address', [
            `type nat hook postrouting priority ${SOURCE_NAT_PRIORITY}; policy accept;`,
            'oifname != "lo" ip saddr 127.0.0.0/8 masquerade',
            'oifname != "lo" ip6 saddr ::1 masquerade',
          ]),
        ]
      : []),
  ];
}

/** One transaction that replaces the table; with nothing to bypass, it goes. */
export function bypassRuleset(plan: BypassPlan): string {
  const { inboundPorts, callers, destinations, listeners, interfaces } = plan;
  const isEmpty = [inboundPorts, callers, destinations, listeners, interfaces].every(({ length }) => length === 0);
  const body = isEmpty ? [] : [...markChains(plan), ...resetChain(plan), ...translationChains(plan)];
  return `${[
    `add table inet ${BYPASS_TABLE}`,
    `delete table inet ${BYPASS_TABLE}`,
    ...(isEmpty ? [] : [`table inet ${BYPASS_TABLE} {`, ...body.map((line) => `  ${line}`), '}']),
  ].join('\n')}\n`;
}
