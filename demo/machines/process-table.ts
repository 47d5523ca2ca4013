/** What the kernel says of running processes: finds those of one run, however they were started and by whom. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface ProcessEntry {
  readonly pid: number;
  /** Name of the program file. */
  readonly program: string;
  /** Arguments joined by spaces. */
  readonly commandLine: string;
}

/**
 * Variable that every program of a run has in its environment; its value is the run's folder. Not `TRYSAIL_…`: those are
 * settings of the agent.
 */
export const RUN_VARIABLE = 'BOOKSHOP_DEMO_RUN';

/** Programs that a run starts itself or through its agents. */
const PROGRAMS = new Set(['node', 'consul', 'envoy']);

/**
 * All processes of the run in `folder`, without this one and zombies: those with the run's variable in their
 * environment, and those programs of ours whose arguments name a path below the folder (an Envoy that outlived its
 * agent). A user's shell or `tail` in that folder is none of them.
 */
export async function processesOf(folder: string): Promise<readonly ProcessEntry[]> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0 && pid !== process.pid);
  const entries = await Promise.all(pids.map((pid) => readEntry(pid, folder)));
  return entries.filter((entry) => entry !== undefined);
}

async function readEntry(pid: number, folder: string): Promise<ProcessEntry | undefined> {
  try {
    const program = basename(await readlink(`/proc/${pid}/exe`));
    const commandLine = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').join(' ').trim();
    const ours = PROGRAMS.has(program) && commandLine.includes(`${folder}/`);
    if (ours || (await hasRunVariable(pid, folder))) return { pid, program, commandLine };
  } catch {
    // It ended while it was looked at, or belongs to another user.
  }
  return undefined;
}

async function hasRunVariable(pid: number, folder: string): Promise<boolean> {
  const environment = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0');
  return environment.includes(`${RUN_VARIABLE}=${folder}`);
}

/** When a process started, in clock ticks since boot: unique together with its id. Undefined: it has ended. */
export async function startTime(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The program's name, in brackets, may itself hold blanks and brackets.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state] = fields;
    return state === 'Z' || state === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Memory that a process has in RAM, in MB; 0 for one that has ended. */
export async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Math.round(Number(/^VmRSS:\s+(?<kb>\d+) kB/m.exec(status)?.groups?.['kb'] ?? 0) / 1024);
}

/** Sends a signal; a process that has ended already is no error. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    return;
  }
}

/** Ends processes: SIGTERM, and SIGKILL for those still there after `graceMs`. Returns the ids that would not end. */
export async function endProcesses(pids: readonly number[], graceMs: number): Promise<readonly number[]> {
  let left = pids;
  for (const [signal, waitMs] of [
    ['SIGTERM', graceMs],
    ['SIGKILL', 3000],
  ] as const) {
    if (waitMs > 0) left = await signalAndWait(left, signal, waitMs);
  }
  return left;
}

async function signalAndWait(
  pids: readonly number[],
  signal: NodeJS.Signals,
  waitMs: number,
): Promise<readonly number[]> {
  for (const pid of pids) {
    // A stopped process would never see the other signal.
    signalProcess(pid, 'SIGCONT');
    signalProcess(pid, signal);
  }
  const end = Date.now() + waitMs;
  let left = pids;
  while (left.length > 0) {
    const alive = await Promise.all(left.map(startTime));
    left = left.filter((_, index) => alive[index] !== undefined);
    if (Date.now() > end) break;
    if (left.length > 0) await delay(20);
  }
  return left;
}
