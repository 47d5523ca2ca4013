/** When an Envoy is ready: live, its workers accepting, and no listener or cluster still waiting for its parts. */
import { errorMessage } from '../lib/errors.ts';
import { sleep } from '../lib/sleep.ts';
import type { AdminClient } from './admin.ts';

/** An Envoy is up some 50 ms after its start: look often at first, and rarely at one that waits for its configuration. */
function pollMs(elapsedMs: number): number {
  if (elapsedMs < 300) return 5;
  if (elapsedMs < 3000) return 20;
  return elapsedMs < 30_000 ? 100 : 250;
}

const WARMING = '^(listener_manager\\.(workers_started|total_listeners_warming)|cluster_manager\\.warming_clusters)$';

/** Whether Envoy serves all that it was told to; false too when its admin does not answer. */
export async function isReady(admin: AdminClient): Promise<boolean> {
  try {
    if (!(await admin.ready({ timeoutMs: 1000 }))) return false;
    const stats = await admin.stats(WARMING, { timeoutMs: 1000 });
    return (
      stats.get('listener_manager.workers_started') === 1 &&
      (stats.get('listener_manager.total_listeners_warming') ?? 0) === 0 &&
      (stats.get('cluster_manager.warming_clusters') ?? 0) === 0
    );
  } catch {
    return false;
  }
}

/** Waits until Envoy is ready. False when `signal` aborts first. */
export async function untilReady(admin: AdminClient, signal: AbortSignal): Promise<boolean> {
  const start = performance.now();
  while (!signal.aborted) {
    if (await isReady(admin)) return !signal.aborted;
    await sleep(pollMs(performance.now() - start), signal);
  }
  return false;
}

/** What an Envoy that is not ready waits for, in words. Never rejects. */
export async function describeWait(admin: AdminClient): Promise<string> {
  try {
    const [{ state }, targets] = await Promise.all([admin.serverInfo(), admin.waitingFor()]);
    const what = targets.length === 0 ? 'clusters and listeners from the agent' : targets.slice(0, 5).join(', ');
    return `it is ${state} and waits for ${what}`;
  } catch (error) {
    return errorMessage(error);
  }
}
