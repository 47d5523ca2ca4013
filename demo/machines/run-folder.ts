/**
 * The folder of one run of the demo: everything that a run writes is below it, and its `run.json` says enough for a
 * later run to remove what a killed one left behind.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TrysailError } from '../../src/lib/errors.ts';
import { namespaceProcesses, removeNamespaces } from './namespaces.ts';
import { endProcesses, processesOf, startTime } from './process-table.ts';

export interface RunFolder {
  readonly id: string;
  readonly path: string;
}

interface RunRecord {
  readonly pid: number;
  readonly startTime: string;
}

/** Unix socket paths hold 107 bytes; what comes below the run's folder takes up to this many. */
const LONGEST_SOCKET_BELOW = 'machines/productpage/run/admin.sock.tmp'.length + 1;

/** Makes the folder of a new run below `base` and records whose it is. Throws where Unix socket paths would not fit. */
export async function createRunFolder(base: string): Promise<RunFolder> {
  // Namespaces of another checkout's killed run may carry the same process id.
  const id = `${process.pid.toString(36)}${randomBytes(1).toString('hex')}`;
  const path = join(base, id);
  if (Buffer.byteLength(path) + LONGEST_SOCKET_BELOW > 107)
    throw new TrysailError('DEMO_PATH_TOO_LONG', `${path} is too long a path: Unix sockets allow 107 bytes`, {
      remedy: 'Move the checkout to a folder with a shorter path and try again.',
    });
  await rm(path, { recursive: true, force: true });
  await mkdir(path, { recursive: true, mode: 0o700 });
  const record: RunRecord = { pid: process.pid, startTime: (await startTime(process.pid)) ?? '' };
  await writeFile(join(path, 'run.json'), JSON.stringify(record));
  return { id, path };
}

/** Removes what runs whose process is gone have left below `base`. Returns the ids of those runs. */
export async function removeAbandonedRuns(base: string): Promise<readonly string[]> {
  const removed: string[] = [];
  for (const id of await readdir(base).catch(() => [])) {
    const path = join(base, id);
    const record = await readRecord(join(path, 'run.json'));
    if (record !== undefined && (await startTime(record.pid)) === record.startTime) continue;
    await removeRun({ id, path }, 0);
    removed.push(id);
  }
  return removed;
}

async function readRecord(file: string): Promise<RunRecord | undefined> {
  try {
    const parsed: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (typeof parsed !== 'object' || parsed === null) return undefined;
    const { pid, startTime: started } = parsed as Partial<RunRecord>;
    if (typeof pid !== 'number' || typeof started !== 'string') return undefined;
    return { pid, startTime: started };
  } catch {
    return undefined;
  }
}

/**
 * Ends the run's processes (those in its namespaces and those that use its folder), then removes its namespaces and
 * its folder. `graceMs` is how long processes get to end by themselves.
 */
export async function removeRun(run: RunFolder, graceMs: number): Promise<void> {
  // Once more: a process may have started another one while it was told to end.
  for (const waitMs of [graceMs, 0]) {
    // Without the programs or the rights for namespaces this run has none.
    const inNamespaces = await namespaceProcesses(run.id).catch(() => []);
    const inFolder = (await processesOf(run.path)).map((entry) => entry.pid);
    const pids = [...new Set([...inNamespaces, ...inFolder])].filter((pid) => pid !== process.pid);
    if (pids.length > 0) await endProcesses(pids, waitMs);
  }
  await removeNamespaces(run.id).catch(() => undefined);
  await rm(run.path, { recursive: true, force: true, maxRetries: 3, retryDelay: 100 });
}
