/**
 * The launcher (`launcher.sh`), which is the parent of every Envoy: asked by lines in a FIFO, and answered by files with
 * process ids. It is ours to start (`agent`), or somebody else's, of another user, and only to be asked (`systemd`).
 */
import { spawn } from 'node:child_process';
import { constants, existsSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, TrysailError } from '../lib/errors.ts';
import { sleep } from '../lib/sleep.ts';
import type { Exit } from './failure.ts';
import { launcherFiles } from './files.ts';
import { commandLine, identify, isRunning, type ProcessIdentity } from './process-identity.ts';

/** Who starts the launcher. */
export type LauncherKind = 'agent' | 'systemd';

/** The launcher's script beside the program, as a package has it, or in the checkout that the program is in. */
export function findLauncher(programDir: string): string {
  const packaged = join(programDir, 'envoy-launcher');
  return existsSync(packaged) ? packaged : join(programDir, '../envoy/launcher.sh');
}

/** Neither our secrets' places nor our systemd socket are Envoy's business. */
const ENVIRONMENT = ['PATH', 'TZ', 'LANG', 'TMPDIR', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'TRYSAIL_CAPTURE_FIFO'];

/** A launcher without an Envoy ends within milliseconds. */
const ENDING_MS = 2000;

/**
 * Writes one request. False when there is no launcher: no FIFO, or nobody who reads it.
 * @param line see `launcher.sh`
 */
export async function askLauncher(dir: string, line: string): Promise<boolean> {
  try {
    // Not blocking: without a reader the open fails at once instead of waiting for one.
    const fifo = await open(launcherFiles(dir).control, constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      if (!(await fifo.stat()).isFIFO()) return false;
      // The first line end closes what somebody may have left half written.
      await fifo.write(`\n${line}\n`);
      return true;
    } finally {
      await fifo.close();
    }
  } catch (error) {
    if (['ENOENT', 'ENXIO', 'EPIPE', 'EAGAIN', 'ENOTDIR'].includes(errorCode(error) ?? '')) return false;
    throw error;
  }
}

/** The process id that the launcher has written for an epoch; undefined while there is none. */
export async function launchedPid(dir: string, epoch: number): Promise<number | undefined> {
  const text = await readFile(launcherFiles(dir).pidOf(epoch), 'utf8').catch(() => '');
  return /^\d+\n$/.test(text) ? Number(text) : undefined;
}

/** The launcher that runs in a folder, if any. */
async function runningLauncher(dir: string): Promise<ProcessIdentity | undefined> {
  const pid = Number(await readFile(launcherFiles(dir).pid, 'utf8').catch(() => ''));
  return pid > 0 && commandLine(pid).includes(dir) ? identify(pid) : undefined;
}

/** Waits for a launcher whose last Envoy has ended: what it clears away would be its successor's. */
async function untilGone(dir: string): Promise<void> {
  const launcher = await runningLauncher(dir);
  if (launcher === undefined) return;
  const end = performance.now() + ENDING_MS;
  while (isRunning(launcher)) {
    if (performance.now() > end) {
      try {
        process.kill(launcher.pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
      return;
    }
    await sleep(5);
  }
}

export interface SpawnedLauncher {
  /** With the status of the last Envoy, at the end of the launcher. */
  readonly exited: Promise<Exit>;
}

/**
 * Starts a launcher with a first request, in a session of its own, with its output appended to `logPath`: nothing ties
 * it to this process's life.
 * @param fresh whether no Envoy of the folder runs; a launcher that is on its way out is waited for then
 * @throws the system's error when the script cannot be executed
 */
export async function spawnLauncher(options: {
  readonly script: string;
  readonly dir: string;
  readonly request: string;
  readonly logPath: string;
  readonly fresh: boolean;
}): Promise<SpawnedLauncher> {
  const { script, dir, request, logPath, fresh } = options;
  if (fresh) await untilGone(dir);
  const log = await open(logPath, 'a', 0o600);
  try {
    const env = Object.fromEntries(ENVIRONMENT.map((name) => [name, process.env[name]]));
    // By its interpreter: a checkout may have lost the execute permission.
    const child = spawn('/bin/sh', [script, dir, request], {
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      cwd: '/',
      env,
    });
    const exited = new Promise<Exit>((resolve) => {
      child.once('exit', (code, signal) => resolve(exitOf(code, signal)));
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
    return { exited };
  } finally {
    await log.close();
  }
}

const SIGNALS: Readonly<Record<number, string>> = {
  1: 'SIGHUP',
  2: 'SIGINT',
  4: 'SIGILL',
  6: 'SIGABRT',
  7: 'SIGBUS',
  8: 'SIGFPE',
  9: 'SIGKILL',
  11: 'SIGSEGV',
  15: 'SIGTERM',
};

/** A shell gives the end by signal n of what it ran as status 128 + n. */
function exitOf(code: number | null, signal: NodeJS.Signals | null): Exit {
  // The launcher itself was killed: nothing is known of its Envoy.
  if (signal !== null || code === null) return {};
  const ofEnvoy = SIGNALS[code - 128];
  return ofEnvoy === undefined ? { code } : { signal: ofEnvoy };
}

/** The error of a launcher that has not answered: ENVOY_LAUNCHER_SILENT. */
export function launcherSilent(dir: string, kind: LauncherKind): TrysailError {
  return new TrysailError(
    'ENVOY_LAUNCHER_SILENT',
    kind === 'systemd'
      ? `nobody starts Envoy: the launcher in ${dir} does not answer`
      : `the launcher of Envoy in ${dir} has started nothing`,
    {
      remedy:
        kind === 'systemd'
          ? 'See systemctl status trysail-envoy.service, or set envoy.launcher to agent.'
          : 'Read the end of envoy.log in the run folder.',
    },
  );
}
