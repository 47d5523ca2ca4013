/** Finding the Envoy that an earlier agent left behind. */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { sleep } from '../lib/sleep.ts';
import type { AdminClient, ServerInfo } from './admin.ts';
import { commandLine, findProcesses, isRunning, type ProcessIdentity } from './process-identity.ts';
import { type EnvoyRecord, readRecord } from './state-file.ts';

/** For how long a process that may be an Envoy in the middle of its start gets to answer, in milliseconds. */
const ANSWER_MS = 3000;

export interface Found {
  readonly identity: ProcessIdentity;
  /** What the agent that started it wrote; undefined when that is lost. */
  readonly record: EnvoyRecord | undefined;
}

/** Anybody may give a process of his any arguments. */
function isOurs(pid: number): boolean {
  try {
    return statSync(`/proc/${pid}`).uid === process.geteuid?.();
  } catch {
    return false;
  }
}

/** The processes that were started with this bootstrap file: the recorded one first. */
export async function findRunning(statePath: string, bootstrapPath: string): Promise<readonly Found[]> {
  const record = await readRecord(statePath);
  const runsOurBootstrap = (args: readonly string[]): boolean =>
    args[args.indexOf('--config-path') + 1] === bootstrapPath && args.includes('--config-path');
  const recorded =
    record !== undefined && isRunning(record) && runsOurBootstrap(commandLine(record.pid)) ? [record] : [];
  const others = findProcesses(runsOurBootstrap).filter(({ pid }) => pid !== recorded[0]?.pid && isOurs(pid));
  return [
    ...recorded.map(({ pid, startTime, bootId }) => ({ identity: { pid, startTime, bootId }, record })),
    ...others.map((identity) => ({ identity, record: undefined })),
  ];
}

/** What an Envoy says of itself, once it can; undefined when it stays silent or is another one. */
export async function askIdentity(
  admin: AdminClient,
  identity: ProcessIdentity,
  bootstrapPath: string,
): Promise<ServerInfo | undefined> {
  const end = performance.now() + ANSWER_MS;
  while (isRunning(identity) && performance.now() < end) {
    try {
      const info = await admin.serverInfo({ timeoutMs: 1000 });
      return info.configPath === bootstrapPath ? info : undefined;
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
