/** Envoy's command line. https://www.envoyproxy.io/docs/envoy/latest/operations/cli */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { LOG_FORMAT } from './log-line.ts';

export interface ArgumentOptions {
  readonly bootstrapPath: string;
  /** Worker threads; default: the processors that this process may use. */
  readonly concurrency?: number;
  /** For how long connections of a listener that goes away are asked to close. */
  readonly drainTimeMs: number;
  /** Default `warning`. */
  readonly logLevel?: 'trace' | 'debug' | 'info' | 'warning' | 'error' | 'critical';
}

/** The arguments without the program. Equal options give equal arguments. */
export function envoyArguments(options: ArgumentOptions): readonly string[] {
  const logLevel = options.logLevel ?? 'warning';
  const drainTimeS = Math.max(1, Math.ceil(options.drainTimeMs / 1000));
  return [
    ['--config-path', options.bootstrapPath],
    // With hot restart Envoy asks the kernel for a SIGTERM at its parent's death (PR_SET_PDEATHSIG): it would die with
    // the agent. Without it there is also no base id and no shared memory over which two Envoys could collide.
    ['--disable-hot-restart'],
    ['--concurrency', String(options.concurrency ?? availableParallelism())],
    ['--drain-time-s', String(drainTimeS)],
    // Everybody is told at once to go elsewhere; the gradual way tells most of them only near the end.
    ['--drain-strategy', 'immediate'],
    ['--log-level', logLevel],
    // While the agent is away Envoy would warn of it twice a second, 40 MB a day into a file that nobody reads. What
    // Envoy rejects reaches the agent by xDS.
    logLevel === 'warning' ? ['--component-log-level', 'config:error'] : [],
    ['--log-format', LOG_FORMAT],
    ['--log-format-escaped'],
    // Access logs reach their file within a second.
    ['--file-flush-interval-msec', '1000'],
  ].flat();
}

/** A short hash by which an agent knows whether a running Envoy was started with these arguments. */
export function argumentsHash(args: readonly string[]): string {
  return createHash('sha256').update(args.join('\0')).digest('hex').slice(0, 16);
}
