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

/** Times are wall clock, in milliseconds. */
export interface EnvoyStatus {
  readonly state: EnvoyState;
  /** Such as `1.40.0`; undefined until it has answered once. */
  readonly version: string | undefined;
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
}
