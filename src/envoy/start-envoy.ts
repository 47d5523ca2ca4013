/** One start of an Envoy: its files written, the launcher asked, and the process that came of it. */
import { access, constants, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import { TrysailError } from '../lib/errors.ts';
import { sleep } from '../lib/sleep.ts';
import { withEpoch } from './arguments.ts';
import type { Exit } from './failure.ts';
import type { EnvoyFiles } from './files.ts';
import {
  askLauncher,
  type LauncherKind,
  launchedPid,
  launcherSilent,
  type SpawnedLauncher,
  spawnLauncher,
} from './launcher.ts';
import { type LiveEnvoy, watchProcess } from './live-envoy.ts';
import { identifyOther } from './process-identity.ts';
import { fileHash } from './running-envoy.ts';

/** For how long the launcher may take to start what it was asked for. */
const ANSWER_MS = 10_000;
/** A launcher answers within some milliseconds. */
const POLL_MS = 2;

export interface StartOptions {
  readonly binary: string;
  /** Without the program, for any epoch. */
  readonly args: readonly string[];
  readonly epoch: number;
  readonly files: EnvoyFiles;
  readonly bootstrap: { readonly text: string; readonly hash: string };
  readonly launcher: { readonly kind: LauncherKind; readonly dir: string; readonly script: string };
  /** Whether the start is for when the Envoy of now has ended, which `ending` sees to. */
  readonly ending?: () => Promise<void>;
}

async function writeFiles(options: StartOptions): Promise<void> {
  const { binary, args, epoch, files, bootstrap, launcher } = options;
  // Another user's launcher reads them by its group.
  const mode = launcher.kind === 'systemd' ? 0o640 : 0o600;
  if ((await fileHash(files.bootstrap)) !== bootstrap.hash) {
    await mkdir(dirname(files.bootstrap), { recursive: true, mode: 0o700 });
    await writeFileAtomic(files.bootstrap, bootstrap.text, mode);
  }
  await writeFileAtomic(files.argumentsOf(epoch), `${[binary, ...withEpoch(args, epoch)].join('\n')}\n`, mode);
}

/** The pid file's process, once the launcher has written another one than `before`; undefined when it does not in time. */
async function untilLaunched(
  options: StartOptions,
  before: number | undefined,
  spawned: SpawnedLauncher | undefined,
): Promise<number | undefined> {
  const { epoch, launcher } = options;
  let ended: Exit | undefined;
  void spawned?.exited.then((exit) => {
    ended = exit;
  });
  const end = performance.now() + ANSWER_MS;
  for (;;) {
    // A launcher takes its files away when it ends: looked at before, so that its last word is heard.
    const isOver = ended !== undefined || performance.now() > end;
    const pid = await launchedPid(launcher.dir, epoch);
    if (pid !== undefined && pid !== before) return pid;
    if (isOver) return undefined;
    await sleep(POLL_MS);
  }
}

/**
 * Starts an Envoy; resolves when there is a process.
 * @throws TrysailError ENVOY_LAUNCHER_SILENT, or an error of the file system
 */
export async function startEnvoy(options: StartOptions): Promise<LiveEnvoy> {
  const { binary, epoch, files, launcher, ending } = options;
  const { kind, dir, script } = launcher;
  await access(binary, constants.X_OK);
  await writeFiles(options);
  const before = await launchedPid(dir, epoch);
  const request = (verb: string): string => `${verb} ${epoch} ${files.argumentsOf(epoch)}`;
  let spawned: SpawnedLauncher | undefined;
  if (kind === 'systemd') {
    if (!(await askLauncher(dir, request(ending === undefined ? 'start' : 'then')))) throw launcherSilent(dir, kind);
    await ending?.();
  } else {
    await ending?.();
    // A launcher has been ended: its Envoy may live.
    if (epoch === 0 || !(await askLauncher(dir, request('start'))))
      spawned = await spawnLauncher({ script, dir, request: request('start'), logPath: files.log, fresh: epoch === 0 });
  }
  const pid = await untilLaunched(options, before, spawned);
  if (pid === undefined) {
    const exit = await Promise.race([spawned?.exited, sleep(0)]);
    if (typeof exit !== 'object') throw launcherSilent(dir, kind);
    // So short a life that its traces are gone again.
    return watchProcess({ pid: 0, startTime: 'gone', bootId: '' }, watchOptions(options, spawned));
  }
  return watchProcess(identifyOther(pid) ?? { pid, startTime: 'gone', bootId: '' }, watchOptions(options, spawned));
}

function watchOptions({ epoch, launcher }: StartOptions, spawned: SpawnedLauncher | undefined) {
  return {
    epoch,
    adopted: false,
    launcher: launcher.kind,
    launcherDir: launcher.dir,
    ...(spawned === undefined ? {} : { launcherExited: spawned.exited }),
  };
}

/** The folder in which the launcher runs must be there for it. @throws TrysailError ENVOY_RUN_DIR */
export function runDirError(runDir: string, message: string, cause: unknown): TrysailError {
  return new TrysailError('ENVOY_RUN_DIR', `${runDir} cannot be used: ${message}`, {
    remedy: 'Make the folder writable for the agent’s user, or set paths.run to another.',
    cause,
  });
}
