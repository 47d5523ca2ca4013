/**
 * Which process a number stands for. The kernel hands numbers out again, so a process is known by its number, its start
 * time and the boot that both belong to.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { errorCode } from '../lib/errors.ts';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot, field 22 of /proc/<pid>/stat. */
  readonly startTime: string;
  readonly bootId: string;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** The identity of a running process; undefined when there is none, or only what is left of one (a zombie). */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The second field is the program's name in parentheses and may hold blanks and parentheses itself.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, startTime] = [fields[0], fields[19]];
  if (state === 'Z' || state === 'X' || startTime === undefined) return undefined;
  return { pid, startTime, bootId: (readText('/proc/sys/kernel/random/boot_id') ?? '').trim() };
}

/** Whether there is a process of this number; also true for one that may not be looked at. */
function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}

/** The identity of a process of another user, whose /proc may be hidden from us (`ProtectProc=`): then its number alone. */
export function identifyOther(pid: number): ProcessIdentity | undefined {
  if (readText(`/proc/${pid}/stat`) !== undefined || !exists(pid)) return identify(pid);
  return { pid, startTime: '', bootId: '' };
}

/** Whether exactly this process still runs. */
export function isRunning(process: ProcessIdentity): boolean {
  if (process.startTime === '') return identifyOther(process.pid) !== undefined;
  const now = identify(process.pid);
  return now !== undefined && now.startTime === process.startTime && now.bootId === process.bootId;
}

/** The arguments that a process was started with; empty when it cannot be read. */
export function commandLine(pid: number): readonly string[] {
  return (readText(`/proc/${pid}/cmdline`) ?? '').split('\0').slice(0, -1);
}

/** All processes of this machine whose arguments satisfy `test`. */
export function findProcesses(test: (args: readonly string[]) => boolean): readonly ProcessIdentity[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && test(commandLine(Number(name))))
    .map((name) => identify(Number(name)))
    .filter((found) => found !== undefined);
}
