/** Whom and what the rules of capture speak of, as the pieces of text that both of its tables are made of. */
import { BlockList, isIP } from 'node:net';
import {
  BYPASS_MARK,
  type CallerMatch,
  type CapturePlan,
  leftAlonePorts,
  NEVER_CAPTURED_ADDRESSES,
  type PortRange,
} from './capture-plan.ts';

/** `{ a, b }`, as nft writes sets. */
export function nftSet(items: readonly (string | number)[]): string {
  return `{ ${items.join(', ')} }`;
}

/** `{ "eth0", "docker0" }` */
export function nftNames(names: readonly string[]): string {
  return nftSet(names.map((name) => JSON.stringify(name)));
}

const portRange = ({ from, to }: PortRange): string => (from === to ? String(from) : `${from}-${to}`);

interface Range {
  readonly text: string;
  readonly address: string;
  readonly prefix: number;
}

/** The ranges of one family, without those that another holds: nft refuses overlaps. */
function rangesOf(texts: readonly string[], family: 4 | 6): readonly string[] {
  const bits = family === 4 ? 32 : 128;
  const ranges = texts
    .map((text): Range => {
      const [address = '', prefix] = text.split('/');
      return { text, address, prefix: prefix === undefined ? bits : Number(prefix) };
    })
    .filter(({ address }) => isIP(address) === family)
    .sort((a, b) => a.prefix - b.prefix);
  const kept: string[] = [];
  const seen = new BlockList();
  for (const { text, address, prefix } of ranges) {
    const type = family === 4 ? 'ipv4' : 'ipv6';
    if (seen.check(address, type)) continue;
    seen.addSubnet(address, prefix, type);
    kept.push(text);
  }
  return kept;
}

function matchOf(match: CallerMatch): string {
  switch (match.kind) {
    case 'cgroup':
      return `socket cgroupv2 level ${match.path.split('/').length} "${match.path}"`;
    case 'uid':
      return `meta skuid ${match.uid}`;
    case 'rest':
      // Matches what a process opened: the kernel's own connections (a root file system on NFS) have no user.
      return 'meta skuid 0-4294967294';
  }
}

/** The rules that pick each caller in turn; `verdict` says what becomes of it. */
export function callerRules(callers: CapturePlan['callers'], verdict: (port: number) => string): readonly string[] {
  return callers.map(({ match, port }) => {
    const id = match.kind === 'cgroup' && match.id !== undefined ? ` comment "cgroup ${match.id}"` : '';
    return `meta l4proto tcp ${matchOf(match)} ${verdict(port)}${id}`;
  });
}

/** A chain of some lines; base chains begin with their `type …` line. */
export function nftChain(name: string, lines: readonly string[]): readonly string[] {
  return [`chain ${name} {`, ...lines.map((line) => `  ${line}`), '}'];
}

/**
 * What is never captured on its way out, as a chain that accepts it. Loopback is left alone but for the ranges of
 * services by name.
 */
export function leftAloneChain(plan: CapturePlan): readonly string[] {
  const addresses = [...NEVER_CAPTURED_ADDRESSES, ...plan.exclude.addresses];
  const [v4, v6] = [rangesOf(addresses, 4), rangesOf(addresses, 6)];
  const [named4, named6] = [rangesOf(plan.namedRanges, 4), rangesOf(plan.namedRanges, 6)];
  return nftChain('left_alone', [
    `tcp dport ${nftSet(leftAlonePorts(plan).map(portRange))} accept`,
    `ip daddr ${nftSet(v4)} accept`,
    `ip6 daddr ${nftSet(v6)} accept`,
    ...(named4.length > 0 ? [`ip daddr ${nftSet(named4)} return`] : []),
    ...(named6.length > 0 ? [`ip6 daddr ${nftSet(named6)} return`] : []),
    'ip daddr 127.0.0.0/8 accept',
    'ip6 daddr ::1 accept',
  ]);
}

/** Leaves alone what is bypassed. */
export const BYPASSED = `meta mark ${BYPASS_MARK} accept`;

/** Interfaces that are left alone in a direction. */
export function interfaceRule(plan: CapturePlan, direction: 'iifname' | 'oifname'): readonly string[] {
  return plan.exclude.interfaces.length > 0 ? [`${direction} ${nftNames(plan.exclude.interfaces)} accept`] : [];
}
