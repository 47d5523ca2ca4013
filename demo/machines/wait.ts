/** Waiting for what happens in another process, bounded and ended by Ctrl-C. */
import { errorMessage, TrysailError } from '../../src/lib/errors.ts';
import { sleep } from '../../src/lib/sleep.ts';

interface WaitOptions {
  /** What is waited for, as in "Consul has a leader". */
  readonly what: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly everyMs?: number;
}

/**
 * Repeats `attempt` until it returns something other than undefined or false; an attempt that throws counts as not yet.
 * Throws a TrysailError `DEMO_TIMEOUT` with the last error when the time is over, and the signal's reason on abort.
 */
export async function waitFor<T>(
  options: WaitOptions,
  attempt: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const { what, timeoutMs, signal, everyMs = 50 } = options;
  const end = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    signal.throwIfAborted();
    try {
      const value = await attempt();
      if (value !== undefined && value !== false) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) {
      const why = last === undefined ? '' : ` (${errorMessage(last)})`;
      throw new TrysailError('DEMO_TIMEOUT', `not within ${timeoutMs / 1000} s: ${what}${why}`, { cause: last });
    }
    await sleep(everyMs, signal);
  }
}
