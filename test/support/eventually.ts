/** Waiting for what happens in another process. */
import { setTimeout as delay } from 'node:timers/promises';

/**
 * How long a test waits for what must come. Far longer than it takes, so that a machine under load fails no test; where how
 * long it takes is the claim itself, the test gives a bound of its own.
 */
export const PATIENCE_MS = 60_000;

/**
 * Repeats `attempt` until it neither throws nor returns false, at most `timeoutMs`; then its last error is thrown.
 * Returns the value of the attempt that succeeded.
 */
export async function eventually<T>(what: string, attempt: () => Promise<T> | T, timeoutMs = PATIENCE_MS): Promise<T> {
  const end = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await attempt();
      if (value !== false) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause: last });
    await delay(25);
  }
}
