/**
 * The privilege that TPROXY costs Envoy, and no more: a transparent socket and its mark. A drop-in of systemd gives it to
 * the unit on those hosts alone that need it.
 * https://man7.org/linux/man-pages/man7/ip.7.html (IP_TRANSPARENT), socket(7) (SO_MARK)
 */
import { readFileSync } from 'node:fs';
import { mkdir, readFile, rm, rmdir } from 'node:fs/promises';
import { release } from 'node:os';
import { dirname } from 'node:path';
import { writeFileAtomic } from '../../lib/atomic-file.ts';

/** Written by `trysail join` and `trysail capture apply`; removed by `trysail leave` and with the package. */
export const TPROXY_DROP_IN = '/etc/systemd/system/trysail-envoy.service.d/50-trysail-tproxy.conf';

export type TproxyCapability = 'CAP_NET_RAW' | 'CAP_NET_ADMIN';

/** Numbers of capabilities(7). */
const BITS: Readonly<Record<TproxyCapability, bigint>> = { CAP_NET_ADMIN: 12n, CAP_NET_RAW: 13n };

/**
 * What a proxy needs for TPROXY on a kernel: CAP_NET_RAW, which changes nothing of the host; before Linux 5.17 it did not
 * suffice for marks.
 * @param kernel as `uname -r` says it
 */
export function tproxyCapability(kernel = release()): TproxyCapability {
  const [, major = '0', minor = '0'] = /^(\d+)\.(\d+)/.exec(kernel) ?? [];
  return Number(major) > 5 || (major === '5' && Number(minor) >= 17) ? 'CAP_NET_RAW' : 'CAP_NET_ADMIN';
}

/**
 * Whether a process can do TPROXY, by its `/proc/<pid>/status`.
 * @param status the file's text; one without capabilities is taken to be able
 */
export function canTproxy(status: string, kernel = release()): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  if (effective === undefined) return true;
  const all = BigInt(`0x${effective}`);
  const has = (name: TproxyCapability): boolean => ((all >> BITS[name]) & 1n) === 1n;
  return has('CAP_NET_ADMIN') || has(tproxyCapability(kernel));
}

/** As `canTproxy`, of a process; one that is not there is taken to be able. */
export function processCanTproxy(pid: number): boolean {
  try {
    return canTproxy(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return true;
  }
}

/** The drop-in's text: in addition to what the unit has. */
export function tproxyDropIn(kernel = release()): string {
  const capability = tproxyCapability(kernel);
  return `# Written by trysail: a service of agent.yaml has "capture: tproxy". "trysail leave" removes it.
[Service]
CapabilityBoundingSet=${capability}
AmbientCapabilities=${capability}
`;
}

/**
 * Writes the drop-in; systemd has to read its units again then.
 * @returns whether it was not there like this
 */
export async function writeTproxyDropIn(file = TPROXY_DROP_IN): Promise<boolean> {
  const text = tproxyDropIn();
  if ((await readFile(file, 'utf8').catch(() => '')) === text) return false;
  await mkdir(dirname(file), { recursive: true, mode: 0o755 });
  await writeFileAtomic(file, text, 0o644);
  return true;
}

/** Removes the drop-in, and its folder where that holds nothing else. */
export async function removeTproxyDropIn(file = TPROXY_DROP_IN): Promise<void> {
  await rm(file, { force: true });
  await rmdir(dirname(file)).catch(() => undefined);
}
