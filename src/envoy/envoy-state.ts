/** What an `EnvoyProcess` is doing, as data for `status`. */
import type { EnvoyFailure } from './failure.ts';

export type EnvoyState =
  /** Not started yet, or stopped. */
  | { readonly kind: 'stopped' }
  /** The process runs and waits for its configuration. */
  | { readonly kind: 'starting'; readonly pid: number; readonly sinceMs: number }
  /** It serves all that it was told to. */
  | { readonly kind: 'ready'; readonly pid: number; readonly sinceMs: number }
  /** It was ready, runs, and its admin interface does not say so any more. */
  | { readonly kind: 'unresponsive'; readonly pid: number; readonly sinceMs: number }
  /** It ended or could not start, and is started again at `retryAtMs`. */
  | { readonly kind: 'backoff'; readonly failure: EnvoyFailure; readonly retryAtMs: number }
  /** It finishes what is in progress, on the way to `stopped` or to a replacement. */
  | { readonly kind: 'draining'; readonly pid: number; readonly sinceMs: number }
  /** It runs on without us. */
  | { readonly kind: 'left'; readonly pid: number | undefined };

/** One hot restart, from an Envoy to its successor. */
export interface HotRestart {
  /** Why there is to be another one, such as `another bootstrap`. */
  readonly reason: string;
  readonly fromPid: number;
  /** Undefined while it has not been started. */
  readonly toPid: number | undefined;
  /**
   * `waiting`: for an earlier one to end, or for another try. `starting`: the new one initialises, the old one serves.
   * `draining`: the new one serves, the old one finishes. `done`: the old one is gone. `failed`: the new one is gone, the
   * old one serves on.
   */
  readonly phase: 'waiting' | 'starting' | 'draining' | 'done' | 'failed';
  /**
   * Connections that the old one still had, by the new one's count, which is at most five seconds old. When it is `done`,
   * these were closed at the end of the drain. Undefined until the first count.
   */
  readonly connections: number | undefined;
  readonly failure: EnvoyFailure | undefined;
}

/** Times are wall clock, in milliseconds. */
export interface EnvoyStatus {
  readonly state: EnvoyState;
  /** Such as `1.40.0`; undefined until it has answered once. */
  readonly version: string | undefined;
  /** Its number in the row of hot restarts; undefined before the first start. */
  readonly epoch: number | undefined;
  /** Whether an earlier agent started it. */
  readonly adopted: boolean;
  readonly startedAtMs: number | undefined;
  /** From the start of the process until it was ready; undefined until then and for an adopted one. */
  readonly readyAfterMs: number | undefined;
  /** How often a start was tried again after it had ended by itself or could not start. */
  readonly restarts: number;
  /** The last time that it ended by itself or could not start. */
  readonly lastFailure: EnvoyFailure | undefined;
  /** Why the running Envoy is not what this agent would start, such as `another binary`; undefined when it is. */
  readonly outdated: string | undefined;
  /** The hot restart under way, or the last one of this agent. */
  readonly hotRestart: HotRestart | undefined;
}

export const STOPPED: EnvoyStatus = {
  state: { kind: 'stopped' },
  version: undefined,
  epoch: undefined,
  adopted: false,
  startedAtMs: undefined,
  readyAfterMs: undefined,
  restarts: 0,
  lastFailure: undefined,
  outdated: undefined,
  hotRestart: undefined,
};
