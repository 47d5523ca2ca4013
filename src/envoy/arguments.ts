/** Envoy's command line. https://www.envoyproxy.io/docs/envoy/latest/operations/cli */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { launcherFiles } from './files.ts';
import { LOG_FORMAT } from './log-line.ts';

export interface ArgumentOptions {
  readonly bootstrapPath: string;
  /** The launcher's run folder: where Envoys of one host meet for a hot restart. */
  readonly launcherDir: string;
  /** Worker threads; default: the processors that this process may use. */
  readonly concurrency?: number;
  /** For how long connections of a listener that goes away are asked to close, and those of an Envoy that is replaced. */
  readonly drainTimeMs: number;
  /** Default `warning`. */
  readonly logLevel?: 'trace' | 'debug' | 'info' | 'warning' | 'error' | 'critical';
}

/** From the end of the drain until an Envoy that was replaced is ended with what connections it still has. */
const AFTER_DRAIN_S = 1;

function drainTimeS({ drainTimeMs }: Pick<ArgumentOptions, 'drainTimeMs'>): number {
  return Math.max(1, Math.ceil(drainTimeMs / 1000));
}

/** How long an Envoy that was replaced lives at most from the moment at which the new one serves, in milliseconds. */
export function parentShutdownMs(options: Pick<ArgumentOptions, 'drainTimeMs'>): number {
  return (drainTimeS(options) + AFTER_DRAIN_S) * 1000;
}

/** The number by which Envoys of one folder find each other; Envoy multiplies it by ten, into 32 bits. */
export function baseId(launcherDir: string): number {
  return createHash('sha256').update(launcherDir).digest().readUInt32BE(0) >>> 4;
}

/** The arguments without the program, for epoch 0. Equal options give equal arguments. */
export function envoyArguments(options: ArgumentOptions): readonly string[] {
  const logLevel = options.logLevel ?? 'warning';
  return [
    ['--config-path', options.bootstrapPath],
    ['--base-id', String(baseId(options.launcherDir))],
    // A file and not an abstract name, which every user of the host may open.
    ['--socket-path', launcherFiles(options.launcherDir).hotRestartSocket],
    ['--restart-epoch', '0'],
    ['--parent-shutdown-time-s', String(parentShutdownMs(options) / 1000)],
    ['--concurrency', String(options.concurrency ?? availableParallelism())],
    ['--drain-time-s', String(drainTimeS(options))],
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

/** For a successor: the one before may end while it starts. A first one would warn that it has no parent. */
const SUCCESSOR = '--skip-hot-restart-on-no-parent';

/** The same arguments for another epoch. */
export function withEpoch(args: readonly string[], epoch: number): readonly string[] {
  const first = args.filter((arg) => arg !== SUCCESSOR);
  const at = first.indexOf('--restart-epoch');
  if (at < 0) return first;
  return [...first.with(at + 1, String(epoch)), ...(epoch > 0 ? [SUCCESSOR] : [])];
}

/**
 * The same arguments with at least as many workers as a running Envoy has: each worker has a queue of connections of its
 * own, and those in the queue of a worker that its successor lacks would be reset.
 */
export function withWorkersOf(running: readonly string[], args: readonly string[]): readonly string[] {
  const workers = Number(argumentOf(running, '--concurrency') ?? 0);
  const at = args.indexOf('--concurrency') + 1;
  return at > 0 && workers > Number(args[at]) ? args.with(at, String(workers)) : args;
}

/** The value that follows `flag`. */
export function argumentOf(args: readonly string[], flag: string): string | undefined {
  const at = args.indexOf(flag);
  return at < 0 ? undefined : args[at + 1];
}

/** A short hash by which an agent knows whether a running Envoy was started with these arguments, whatever its epoch. */
export function argumentsHash(args: readonly string[]): string {
  return createHash('sha256').update(withEpoch(args, 0).join('\0')).digest('hex').slice(0, 16);
}
