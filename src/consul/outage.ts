/** Failures that pass by themselves: Consul restarts, elects a leader, or has too much to do for a moment. */
import { Backoff } from '../lib/backoff.ts';
import { TrysailError } from '../lib/errors.ts';
import { sleep } from '../lib/sleep.ts';

const PASSING: ReadonlySet<string> = new Set([
  'CONSUL_BUSY',
  'CONSUL_NO_LEADER',
  'CONSUL_TIMEOUT',
  'CONSUL_UNREACHABLE',
]);

/** Whether an error may be gone a moment later, with nothing done. */
export function isPassing(error: unknown): boolean {
  return error instanceof TrysailError && PASSING.has(error.code);
}

/**
 * Does something again while Consul is away, at most `forMs` milliseconds from the first failure on, or until the signal
 * aborts. What was written may have come through although no answer came: `work` must bear being done again.
 * @param mayPass which failures pass; `isPassing` unless somebody knows better
 * @throws what `work` throws: at once what does not pass, the latest failure else
 */
export async function throughOutage<T>(
  work: () => Promise<T>,
  forMs: number,
  signal: AbortSignal,
  mayPass: (error: unknown) => boolean = isPassing,
): Promise<T> {
  const backoff = new Backoff({ baseMs: 200, maxMs: 2000 });
  let endMs: number | undefined;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      endMs ??= performance.now() + forMs;
      if (!mayPass(error) || performance.now() >= endMs) throw error;
      if (!(await sleep(backoff.nextMs(), signal))) throw error;
    }
  }
}
