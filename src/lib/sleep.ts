/** Waiting that ends when it is no longer wanted. */
import { setTimeout as delay } from 'node:timers/promises';

/** Waits `ms` milliseconds, or until `signal` aborts; never rejects. Returns whether the time passed in full. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<boolean> {
  try {
    await delay(ms, undefined, signal === undefined ? {} : { signal });
    return true;
  } catch {
    return false;
  }
}
