/** What runs already when an agent comes: adopted as it is, or replaced, in one way or the other. */
import type { Log } from '../lib/log.ts';
import type { AdminClient, ServerInfo } from './admin.ts';
import { judge, type Wanted } from './adoption.ts';
import { withWorkersOf } from './arguments.ts';
import type { EnvoyFiles } from './files.ts';
import type { LauncherKind } from './launcher.ts';
import { type LiveEnvoy, terminate, watchProcess } from './live-envoy.ts';
import { type Found, findRunning } from './running-envoy.ts';

/** An Envoy that runs, the newest, with its predecessors of a hot restart that an earlier agent began, oldest first. */
export interface RunningEnvoy {
  readonly live: LiveEnvoy;
  readonly older: readonly LiveEnvoy[];
  readonly found: Found;
}

export type Stock =
  /** It is ours as it is; with a reason, until it may be replaced by hot restart. */
  | (RunningEnvoy & { readonly kind: 'adopt'; readonly info: ServerInfo; readonly outdated: string | undefined })
  | (RunningEnvoy & {
      readonly kind: 'hot-restart';
      readonly reason: string;
      /** Undefined where its admin interface does not answer. */
      readonly info: ServerInfo | undefined;
    })
  /** It has to end first. */
  | (RunningEnvoy & { readonly kind: 'end-first'; readonly reason: string; readonly cannotShare: string });

export interface StockOptions {
  readonly files: EnvoyFiles;
  readonly wanted: Wanted;
  readonly launcher: { readonly kind: LauncherKind; readonly dir: string };
  /** The bootstrap of an Envoy that nobody asked for. */
  readonly lastGoodBootstrap: string | undefined;
  readonly admin: AdminClient;
  readonly log: Log;
}

/** Looks for Envoys of this host, and ends those that are one too many. Undefined: none runs. */
export async function takeStock(options: StockOptions): Promise<Stock | undefined> {
  const { files, wanted, launcher, lastGoodBootstrap, admin } = options;
  const bootstraps = [files.bootstrap, ...(lastGoodBootstrap === undefined ? [] : [lastGoodBootstrap])];
  const [found, ...others] = await findRunning({ record: files.record, bootstraps, launcherDir: launcher.dir });
  if (found === undefined) return undefined;
  const args = withWorkersOf(found.commandLine, wanted.args);
  const verdict = await judge(found, { ...wanted, args }, files, admin);
  const live = watched(found, options);
  const older: LiveEnvoy[] = [];
  for (const other of others) {
    const kept = await predecessor(other, found, options);
    if (kept !== undefined) older.unshift(kept);
  }
  const running = { live, older, found };
  if (verdict.kind === 'adopt') return { ...running, kind: 'adopt', info: verdict.info, outdated: undefined };
  const { reason, info, cannotShare } = verdict;
  if (cannotShare !== undefined) return { ...running, kind: 'end-first', reason, cannotShare };
  // A third one would cut off what the first still finishes.
  if (older.length > 0 && info?.state === 'LIVE') return { ...running, kind: 'adopt', info, outdated: reason };
  return { ...running, kind: 'hot-restart', reason, info };
}

function watched({ identity, epoch }: Found, { launcher: { kind, dir } }: StockOptions): LiveEnvoy {
  return watchProcess(identity, { epoch, adopted: true, launcher: kind, launcherDir: dir });
}

/** An Envoy beside the newest; undefined when it was no predecessor of its and has been ended. */
async function predecessor(other: Found, newest: Found, options: StockOptions): Promise<LiveEnvoy | undefined> {
  const older = watched(other, options);
  if (other.epoch < newest.epoch && !other.commandLine.includes('--disable-hot-restart')) return older;
  options.log.warn(
    { pid: other.identity.pid, reason: 'there is another one' },
    'an Envoy of an earlier agent cannot be adopted; ending it',
  );
  await terminate(older);
  older.release();
  return undefined;
}
