/** The files of one host's Envoy: the agent's in its run folder, the launcher's in the one of the launcher. */
import { join } from 'node:path';

export interface EnvoyFiles {
  readonly bootstrap: string;
  /** What Envoy writes; its reader keeps `<log>.position` beside it. */
  readonly log: string;
  /** Which process it is and how it was started. */
  readonly record: string;
  /** The program and its arguments for one epoch, one a line: what the launcher is asked to start. */
  argumentsOf(epoch: number): string;
}

/** The agent's own files of Envoy, all in `runDir`. */
export function envoyFiles(runDir: string): EnvoyFiles {
  return {
    bootstrap: join(runDir, 'envoy-bootstrap.json'),
    log: join(runDir, 'envoy.log'),
    record: join(runDir, 'envoy.json'),
    argumentsOf: (epoch) => join(runDir, `envoy.${epoch}.arguments`),
  };
}

export interface LauncherFiles {
  /** The FIFO that takes requests. */
  readonly control: string;
  readonly pid: string;
  /** The socket's path is completed by Envoy: `<path>_parent_<number>` and alike. */
  readonly hotRestartSocket: string;
  readonly envoyPids: RegExp;
  pidOf(epoch: number): string;
}

/** See `launcher.sh`. */
export function launcherFiles(dir: string): LauncherFiles {
  return {
    control: join(dir, 'control'),
    pid: join(dir, 'launcher.pid'),
    hotRestartSocket: join(dir, 'hot'),
    envoyPids: /^envoy\.(\d+)\.pid$/,
    pidOf: (epoch) => join(dir, `envoy.${epoch}.pid`),
  };
}
