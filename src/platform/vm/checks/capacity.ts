/** Whether the host has room: descriptors, memory, disk, and the kernel's table of connections. */
import type { Diagnostic } from '../../../model/diagnostic.ts';
import { type CheckContext, finding, type HostCheck, type HostIo } from './host-check.ts';
import { ENVOY_UNIT, unitsOf } from './units.ts';

const MB = 1024 * 1024;
/** Agent and Envoy together, with room for a hot restart (two Envoys). */
const LEAST_MEMORY_MB = 256;
const LEAST_DISK_MB = 100;
const EMPTY_DISK_MB = 10;
/** Some thousand connections with two descriptors each. */
const LEAST_DESCRIPTORS = 16_384;
const CONNTRACK_FULL = 0.8;

/** Of `Max open files` in a /proc/…/limits; undefined: it does not say. */
export function descriptorLimit(limits: string): number | undefined {
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1];
  if (hard === undefined) return undefined;
  return hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard);
}

async function descriptors({ io, needs }: CheckContext): Promise<number | undefined> {
  const [pid] = needs.envoyPids;
  if (pid !== undefined) return descriptorLimit((await io.read(`/proc/${pid}/limits`)) ?? '');
  const unit = (await unitsOf(io, [ENVOY_UNIT], ['LimitNOFILE']))?.get(ENVOY_UNIT)?.['LimitNOFILE'];
  if (unit !== undefined) return unit === 'infinity' ? Number.POSITIVE_INFINITY : Number(unit);
  return descriptorLimit((await io.read('/proc/self/limits')) ?? '');
}

/** In MB, from the text of /proc/meminfo. */
export function availableMemoryMb(meminfo: string): number | undefined {
  const kb = /^MemAvailable:\s+(\d+) kB/m.exec(meminfo)?.[1];
  return kb === undefined ? undefined : Math.floor(Number(kb) / 1024);
}

async function disk(
  io: HostIo,
  setting: string,
  path: string,
): Promise<{ fact: string; findings: readonly Diagnostic[] }> {
  const space = await io.space(path);
  if (space === undefined) return { fact: `${path}: unknown`, findings: [] };
  const freeMb = Math.floor(space.freeBytes / MB);
  const fact = `${freeMb < 10_240 ? `${freeMb} MB` : `${Math.floor(freeMb / 1024)} GB`} free at ${path}`;
  const noFiles = space.totalFiles > 0 && space.freeFiles < 1000;
  if (freeMb >= LEAST_DISK_MB && !noFiles) return { fact, findings: [] };
  const message = noFiles && freeMb >= LEAST_DISK_MB ? `${space.freeFiles} inodes are free` : `${freeMb} MB are free`;
  return {
    fact,
    findings: [
      finding(
        'TRY1172',
        freeMb < EMPTY_DISK_MB || (noFiles && space.freeFiles === 0) ? 'error' : 'warning',
        path,
        `${message}: certificates and the last good configuration could not be saved`,
        `Free space on that file system, or set ${setting} to a folder of another.`,
      ),
    ],
  };
}

async function connectionTable(io: HostIo): Promise<{ facts: readonly string[]; findings: readonly Diagnostic[] }> {
  const [count, max] = await Promise.all(
    ['count', 'max'].map(async (name) =>
      Number((await io.read(`/proc/sys/net/netfilter/nf_conntrack_${name}`)) ?? Number.NaN),
    ),
  );
  if (count === undefined || max === undefined || !(max > 0)) return { facts: [], findings: [] };
  if (count < max * CONNTRACK_FULL) return { facts: [`conntrack ${count} of ${max}`], findings: [] };
  return {
    facts: [],
    findings: [
      finding(
        'TRY1172',
        'warning',
        'conntrack',
        `the table holds ${count} of ${max} connections: new ones are dropped when it is full`,
        `Run: sysctl -w net.netfilter.nf_conntrack_max=${max * 2}`,
      ),
    ],
  };
}

export const CAPACITY_CHECK: HostCheck = {
  name: 'capacity',
  async run(context) {
    const { io, needs } = context;
    const [files, meminfo, state, run, table] = await Promise.all([
      descriptors(context),
      io.read('/proc/meminfo'),
      disk(io, 'paths.state', needs.paths.state),
      disk(io, 'paths.run', needs.paths.run),
      connectionTable(io),
    ]);
    const memoryMb = availableMemoryMb(meminfo ?? '');
    const findings = [...state.findings, ...run.findings, ...table.findings];
    if (files !== undefined && files < LEAST_DESCRIPTORS)
      findings.push(
        finding(
          'TRY1172',
          'warning',
          'file descriptors',
          `Envoy may open ${files}, which are some ${Math.max(0, Math.floor((files - 1000) / 2))} connections`,
          `Set LimitNOFILE=65536 in ${ENVOY_UNIT}, or raise the limit of the user.`,
        ),
      );
    if (memoryMb !== undefined && memoryMb < LEAST_MEMORY_MB)
      findings.push(
        finding(
          'TRY1172',
          'warning',
          'memory',
          `${memoryMb} MB are available; agent and Envoy take some ${LEAST_MEMORY_MB} MB while Envoy is replaced`,
          'Give the host more memory, or run less on it.',
        ),
      );
    return {
      facts: [
        ...(files === undefined ? [] : [`${files === Number.POSITIVE_INFINITY ? 'any number of' : files} descriptors`]),
        ...(memoryMb === undefined
          ? []
          : [`${memoryMb < 10_240 ? `${memoryMb} MB` : `${Math.floor(memoryMb / 1024)} GB`} of memory`]),
        state.fact,
        ...(state.fact.split(' at ')[0] === run.fact.split(' at ')[0] ? [] : [run.fact]),
        ...table.facts,
      ],
      findings,
    };
  },
};
