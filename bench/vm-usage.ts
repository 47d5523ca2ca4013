/** What units of a test machine use, and when they came up. */
import { readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Machine } from '../test/vm/machine.ts';
import { pssMb, rssMb } from './process-usage.ts';

const cgroup = (machine: Machine, unit: string): string =>
  `${machine.root()}/sys/fs/cgroup/system.slice/${unit}.service`;

/** CPU time that a unit's processes have used so far, those that have ended included, in milliseconds. */
export async function unitCpuMs(machine: Machine, unit: string): Promise<number> {
  const text = await readFile(`${cgroup(machine, unit)}/cpu.stat`, 'utf8');
  return Number(/^usage_usec (\d+)$/m.exec(text)?.[1] ?? Number.NaN) / 1000;
}

/** Memory of a unit's processes in MB, by program name; those of one name together. */
export interface UnitMemory {
  readonly rssMb: Readonly<Record<string, number>>;
  /** What processes share is divided among them. */
  readonly pssMb: Readonly<Record<string, number>>;
  /** Of all processes. */
  readonly totalRssMb: number;
}

/** Memory of the processes that a unit has now. */
export async function unitMemory(machine: Machine, unit: string): Promise<UnitMemory> {
  // In this host's ids: the kernel tells them in the reader's.
  const pids = (await readFile(`${cgroup(machine, unit)}/cgroup.procs`, 'utf8')).trim().split('\n').map(Number);
  const rss: Record<string, number> = {};
  const pss: Record<string, number> = {};
  for (const pid of pids)
    try {
      const name = basename((await readlink(`/proc/${pid}/exe`)).replace(/ \(deleted\)$/, ''));
      const [rssOne, pssOne] = [rssMb(pid), pssMb(pid)];
      rss[name] = (rss[name] ?? 0) + rssOne;
      pss[name] = (pss[name] ?? 0) + pssOne;
    } catch {
      // It has just ended.
    }
  return { rssMb: rss, pssMb: pss, totalRssMb: Object.values(rss).reduce((sum, mb) => sum + mb, 0) };
}

/** Times of a unit's last start in milliseconds of the monotonic clock. */
export interface UnitTimes {
  /** Its main process was started. */
  readonly startMs: number;
  /** It was active: for the agent, when it had said that it is ready. */
  readonly activeMs: number;
}

export async function unitTimes(machine: Machine, unit: string): Promise<UnitTimes> {
  const text = await machine.run(
    `systemctl show ${unit} -p ExecMainStartTimestampMonotonic -p ActiveEnterTimestampMonotonic`,
  );
  const of = (key: string): number => Number(new RegExp(`^${key}=(\\d+)$`, 'm').exec(text)?.[1] ?? Number.NaN) / 1000;
  return { startMs: of('ExecMainStartTimestampMonotonic'), activeMs: of('ActiveEnterTimestampMonotonic') };
}

/** When systemd, the machine's first process, began, on the same clock. */
export async function bootTimeMs(machine: Machine): Promise<number> {
  const text = await machine.run('systemctl show -p UserspaceTimestampMonotonic --value');
  return Number(text) / 1000;
}
