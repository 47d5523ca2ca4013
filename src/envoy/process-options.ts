/** What an `EnvoyProcess` is made with, and what of it makes two Envoys different. */
import type { Log } from '../lib/log.ts';
import type { Wanted } from './adoption.ts';
import { type ArgumentOptions, envoyArguments } from './arguments.ts';
import { type Bootstrap, hashText } from './bootstrap.ts';
import type { EnvoyStatus } from './envoy-state.ts';
import type { EnvoyFiles } from './files.ts';
import type { LauncherKind } from './launcher.ts';

export interface EnvoyProcessOptions extends Omit<ArgumentOptions, 'bootstrapPath' | 'launcherDir'> {
  /** Path of the program. */
  readonly binary: string;
  readonly bootstrap: Bootstrap;
  /** The admin socket that the bootstrap names. */
  readonly adminSocket: string;
  /** Folder of the bootstrap, the log and the record of the process (`envoyFiles`); one per Envoy. */
  readonly runDir: string;
  /** Who starts the launcher, its script (for `agent`), and its run folder where that is not `runDir`. */
  readonly launcher: { readonly kind: LauncherKind; readonly script: string; readonly dir?: string };
  /** The bootstrap that the launcher uses when nobody asks for an Envoy; one that runs with it is replaced. */
  readonly lastGoodBootstrap?: string;
  readonly log: Log;
  /** Called on every change of the state. */
  readonly onChange?: (status: EnvoyStatus) => void;
  /** How often a ready Envoy is asked whether it still is; default 5,000. */
  readonly healthIntervalMs?: number;
  /** Wait before a restart; default 50 ms to 10 s. */
  readonly backoff?: { readonly baseMs: number; readonly maxMs: number };
  /** Wait before a hot restart that has failed is tried again; default 2 s to 5 minutes. */
  readonly hotRestartBackoff?: { readonly baseMs: number; readonly maxMs: number };
}

/** What of it can be changed while Envoy runs. */
export type EnvoyChange = Pick<EnvoyProcessOptions, 'binary' | 'bootstrap' | 'concurrency' | 'drainTimeMs'>;

/** How an Envoy with these options is started. @param text its bootstrap */
export function wantedOf(options: EnvoyProcessOptions, files: EnvoyFiles, launcherDir: string, text: string): Wanted {
  return {
    binary: options.binary,
    bootstrapHash: hashText(text),
    args: envoyArguments({ ...options, bootstrapPath: files.bootstrap, launcherDir }),
  };
}
