/** Envoy's command line. https://www.envoyproxy.io/docs/envoy/latest/operations/cli */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { LOG_FORMAT } from './log-line.ts';

export interface ArgumentOptions {
  readonly bootstrapPath: string;
  /** Worker threads; default: the processors that this process may use. */
  readonly concurrency?: number;
  /** Sets this Envoy's shared memory apart from that of others on the machine; default: made from the bootstrap's path. */
  readonly baseId?: number;
  /** For how long connections of a listener that goes away are asked to close. */
  readonly drainTimeMs: number;
  /** Default `warning`. */
  readonly logLevel?: 'trace' | 'debug' | 'info' | 'warning' | 'error' | 'critical';
}

/** Envoy multiplies the base id by ten and keeps it in 32 bits. */
const BASE_IDS = 2 ** 28;

/**
 * A base id that stays the same for one run folder. Envoy's own choice (`--use-dynamic-base-id`) is a new one each time:
 * a crash would leave its shared memory behind, and a hot restart has to know the number.
 */
export function defaultBaseId(bootstrapPath: string): number {
  return 1 + (createHash('sha256').update(bootstrapPath).digest().readUInt32BE(0) % BASE_IDS);
}

/** The arguments without the program. Equal options give equal arguments. */
export function envoyArguments(options: ArgumentOptions, epoch = 0): readonly string[] {
  const logLevel = options.logLevel ?? 'warning';
  const drainTimeS = Math.max(1, Math.ceil(options.drainTimeMs / 1000));
  return [
    ['--config-path', options.bootstrapPath],
    ['--base-id', String(options.baseId ?? defaultBaseId(options.bootstrapPath))],
    ['--restart-epoch', String(epoch)],
    ['--concurrency', String(options.concurrency ?? availableParallelism())],
    ['--drain-time-s', String(drainTimeS)],
    // Everybody is told at once to go elsewhere; the gradual way tells most of them only near the end.
    ['--drain-strategy', 'immediate'],
    // Has to be longer than the drain time.
    ['--parent-shutdown-time-s', String(drainTimeS + 15)],
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
