/** Finding the Envoys of a host: those that an earlier agent left behind, and one that nobody has asked for. */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { sleep } from '../lib/sleep.ts';
import type { AdminClient, ServerInfo } from './admin.ts';
import { argumentOf } from './arguments.ts';
import { launcherFiles } from './files.ts';
import { launchedPid } from './launcher.ts';
import { commandLine, findProcesses, identifyOther, isRunning, type ProcessIdentity } from './process-identity.ts';
import { type EnvoyRecord, readRecord } from './state-file.ts';

/** For how long a process that may be an Envoy in the middle of its start gets to answer, in milliseconds. */
const ANSWER_MS = 10_000;

export interface Found {
  readonly identity: ProcessIdentity;
  /** What the agent that started it wrote; undefined when that is lost. */
  readonly record: EnvoyRecord | undefined;
  readonly epoch: number;
  /** With the program; empty where they are hidden from us. */
  readonly commandLine: readonly string[];
}

export interface Places {
  readonly record: string;
  /** Bootstraps that an Envoy of this host may have been started with. */
  readonly bootstraps: readonly string[];
  readonly launcherDir: string;
}

/** Anybody may give a process of his any arguments. */
function belongsTo(pid: number, uid: number | undefined): boolean {
  try {
    return statSync(`/proc/${pid}`).uid === uid;
  } catch {
    return false;
  }
}

/** What the launcher has written down, by process id. */
async function launched(dir: string): Promise<ReadonlyMap<number, number>> {
  const names = await readdir(dir).catch(() => []);
  const found = new Map<number, number>();
  for (const name of names) {
    const epoch = launcherFiles(dir).envoyPids.exec(name)?.[1];
    const pid = epoch === undefined ? undefined : await launchedPid(dir, Number(epoch));
    if (pid !== undefined) found.set(pid, Number(epoch));
  }
  return found;
}

/** The Envoys of this host that run, the newest first. */
export async function findRunning({ record: recordPath, bootstraps, launcherDir }: Places): Promise<readonly Found[]> {
  const [record, byPid] = await Promise.all([readRecord(recordPath), launched(launcherDir)]);
  const isOne = (args: readonly string[]): boolean => bootstraps.includes(argumentOf(args, '--config-path') ?? '');
  const found = new Map<number, Found>();
  const add = (identity: ProcessIdentity, args: readonly string[]): void => {
    const { pid, startTime } = identity;
    const epoch = Number(argumentOf(args, '--restart-epoch') ?? byPid.get(pid) ?? 0);
    const recorded = record?.pid === pid && (startTime === '' || record.startTime === startTime) ? record : undefined;
    found.set(pid, { identity, record: recorded, epoch, commandLine: args });
  };
  for (const pid of byPid.keys()) {
    const identity = identifyOther(pid);
    const args = commandLine(pid);
    if (identity !== undefined && (identity.startTime === '' || isOne(args))) add(identity, args);
  }
  // One of an earlier version has no launcher, and files may be lost.
  for (const identity of findProcesses(isOne)) {
    if (!found.has(identity.pid) && belongsTo(identity.pid, process.geteuid?.()))
      add(identity, commandLine(identity.pid));
  }
  return [...found.values()].sort(
    (a, b) => Number(b.identity.startTime) - Number(a.identity.startTime) || b.epoch - a.epoch,
  );
}

/** What an Envoy says of itself, once it can; undefined when it stays silent or another one answers. */
export async function askIdentity(admin: AdminClient, found: Found): Promise<ServerInfo | undefined> {
  const end = performance.now() + ANSWER_MS;
  const config = argumentOf(found.commandLine, '--config-path');
  while (isRunning(found.identity) && performance.now() < end) {
    try {
      const info = await admin.serverInfo({ timeoutMs: 1000 });
      if (info.epoch === found.epoch && (config === undefined || info.configPath === config)) return info;
      // The admin socket may still be the one of the Envoy before.
      await sleep(25);
    } catch {
      await sleep(25);
    }
  }
  return undefined;
}

/** The file's content as a short hash, or undefined when it cannot be read. */
export async function fileHash(path: string): Promise<string | undefined> {
  try {
    return createHash('sha256')
      .update(await readFile(path))
      .digest('hex')
      .slice(0, 16);
  } catch {
    return undefined;
  }
}

/** A program's path, size and time of change: another one after an upgrade. */
export async function binaryStamp(path: string): Promise<string> {
  const { size, mtimeMs } = await stat(path);
  return `${path}:${size}:${Math.round(mtimeMs)}`;
}
