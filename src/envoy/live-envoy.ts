/** One running Envoy process, whether we asked for it or found it. */
import { sleep } from '../lib/sleep.ts';
import type { Exit } from './failure.ts';
import { askLauncher, type LauncherKind } from './launcher.ts';
import { isRunning, type ProcessIdentity } from './process-identity.ts';

/** How often the life of a process is looked at, in milliseconds. */
const LIFE_POLL_MS = 100;
/** The same where its launcher is our child: its end is an event then, unless another Envoy still runs. */
const CHILD_POLL_MS = 500;
/** After SIGTERM, before SIGKILL. Envoy ends within milliseconds, on a machine that has time for it. */
const GRACE_MS = 10_000;

export interface LiveEnvoy {
  readonly identity: ProcessIdentity;
  /** Its number in the row of hot restarts. */
  readonly epoch: number;
  /** Whether an earlier agent, or nobody, asked for it. */
  readonly adopted: boolean;
  /** Resolves when the process is gone, never rejects. */
  readonly exited: Promise<Exit>;
  /** Ends the watching, not the process. */
  release(): void;
  /** Sends a signal to exactly this process, by way of the launcher where it is not ours to signal. */
  signal(name: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

export interface WatchOptions {
  readonly epoch: number;
  readonly adopted: boolean;
  readonly launcher: LauncherKind;
  readonly launcherDir: string;
  /** The end of a launcher that we have started: an event that comes sooner than the next look, and knows a status. */
  readonly launcherExited?: Promise<Exit>;
}

/** Watches a process that somebody else has started. */
export function watchProcess(identity: ProcessIdentity, options: WatchOptions): LiveEnvoy {
  const { epoch, adopted, launcher, launcherDir, launcherExited } = options;
  const watching = new AbortController();
  const { promise, resolve } = Promise.withResolvers<Exit>();
  const watch = async (): Promise<void> => {
    while (isRunning(identity)) {
      if (!(await sleep(launcherExited === undefined ? LIFE_POLL_MS : CHILD_POLL_MS, watching.signal))) return;
    }
    // The launcher follows its last Envoy within milliseconds: it knows how that ended.
    const exit = launcherExited === undefined ? {} : await Promise.race([launcherExited, sleep(LIFE_POLL_MS)]);
    resolve(typeof exit === 'object' ? exit : {});
  };
  void watch();
  void launcherExited?.then((exit) => {
    if (!isRunning(identity)) resolve(exit);
  });
  return {
    identity,
    epoch,
    adopted,
    exited: promise,
    release: () => watching.abort(),
    signal: async (name) => {
      if (!isRunning(identity)) return;
      try {
        if (launcher === 'agent') process.kill(identity.pid, name);
        else await askLauncher(launcherDir, `${name === 'SIGTERM' ? 'end' : 'kill'} ${epoch}`);
      } catch {
        // It is gone, or nobody is there to end it: the caller waits within bounds.
      }
    },
  };
}

/** SIGTERM, and SIGKILL when that has not helped within `graceMs`. Resolves when the process is gone, within bounds. */
export async function terminate(envoy: LiveEnvoy, graceMs = GRACE_MS): Promise<'terminated' | 'killed'> {
  await envoy.signal('SIGTERM');
  if (await exitedWithin(envoy, graceMs)) return 'terminated';
  await envoy.signal('SIGKILL');
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
