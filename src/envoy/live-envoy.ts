/** One running Envoy process, whether we started it or found it. */
import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { sleep } from '../lib/sleep.ts';
import type { Exit } from './failure.ts';
import { identify, isRunning, type ProcessIdentity } from './process-identity.ts';

/** How often the life of a process that is not our child is looked at, in milliseconds. */
const LIFE_POLL_MS = 100;

/** Neither our secrets' places nor our systemd socket are Envoy's business. */
const ENVIRONMENT = ['PATH', 'TZ', 'LANG', 'TMPDIR', 'SSL_CERT_FILE', 'SSL_CERT_DIR'];

export interface LiveEnvoy {
  readonly identity: ProcessIdentity;
  /** Whether an earlier agent started it. */
  readonly adopted: boolean;
  /** Resolves when the process is gone, never rejects. */
  readonly exited: Promise<Exit>;
  /** Ends the watching, not the process. */
  release(): void;
}

/**
 * Starts Envoy in a session of its own, with its output appended to `logPath`: nothing ties it to this process's life.
 * @throws the system's error when the program cannot be executed
 */
export async function spawnEnvoy(binary: string, args: readonly string[], logPath: string): Promise<LiveEnvoy> {
  const log = await open(logPath, 'a', 0o600);
  try {
    const env = Object.fromEntries(ENVIRONMENT.map((name) => [name, process.env[name]]));
    const child = spawn(binary, args, { detached: true, stdio: ['ignore', log.fd, log.fd], cwd: '/', env });
    const exited = new Promise<Exit>((resolve) => {
      child.once('exit', (code, signal) => resolve({ code: code ?? undefined, signal: signal ?? undefined }));
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) => reject(Object.assign(error, { path: binary })));
    });
    child.unref();
    const pid = child.pid ?? 0;
    // A child that has ended already is a zombie until its exit is reported; it keeps its number so long.
    const identity = identify(pid) ?? { pid, startTime: '', bootId: '' };
    return { identity, adopted: false, exited, release: () => undefined };
  } finally {
    await log.close();
  }
}

/** Takes over a process that somebody else started. */
export function adoptProcess(identity: ProcessIdentity): LiveEnvoy {
  const watching = new AbortController();
  const { promise, resolve } = Promise.withResolvers<Exit>();
  const watch = async (): Promise<void> => {
    while (isRunning(identity)) {
      if (!(await sleep(LIFE_POLL_MS, watching.signal))) return;
    }
    resolve({});
  };
  void watch();
  return { identity, adopted: true, exited: promise, release: () => watching.abort() };
}

/** Sends a signal to exactly this process; false when it is gone. */
export function signalEnvoy(envoy: LiveEnvoy, signal: NodeJS.Signals): boolean {
  if (!isRunning(envoy.identity)) return false;
  try {
    return process.kill(envoy.identity.pid, signal);
  } catch {
    return false;
  }
}

/** SIGTERM, and SIGKILL when that has not helped within `graceMs`. Resolves when the process is gone, within bounds. */
export async function terminate(envoy: LiveEnvoy, graceMs: number): Promise<'terminated' | 'killed'> {
  signalEnvoy(envoy, 'SIGTERM');
  if (await exitedWithin(envoy, graceMs)) return 'terminated';
  signalEnvoy(envoy, 'SIGKILL');
  await exitedWithin(envoy, 5000);
  return 'killed';
}

async function exitedWithin(envoy: LiveEnvoy, ms: number): Promise<boolean> {
  const waiting = new AbortController();
  const gone = await Promise.race([
    envoy.exited.then(() => true),
    sleep(ms, waiting.signal).then(() => !isRunning(envoy.identity)),
  ]);
  waiting.abort();
  return gone;
}
