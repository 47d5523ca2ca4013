/** The wall clock and waiting on it, as a seam for tests of rotation. */
import { sleep } from '../lib/sleep.ts';

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Like `lib/sleep.ts`: false when the signal ended it. */
  sleep(ms: number, signal: AbortSignal): Promise<boolean>;
}

export const SYSTEM_CLOCK: Clock = { now: () => Date.now(), sleep: (ms, signal) => sleep(ms, signal) };

/**
 * The longest uninterrupted wait, in milliseconds: timers do not count the time that a machine was suspended, nor a
 * clock that was set, and Node's end at 2^31 ms.
 */
export const LONGEST_WAIT_MS = 60_000;
