/** Watching one Envoy's readiness from its start to its end. */
import { sleep } from '../lib/sleep.ts';
import type { AdminClient } from './admin.ts';
import { isReady, untilReady } from './readiness.ts';

/** When a person should hear what Envoy waits for. */
const SLOW_START_MS = 10_000;
/** A successor that has not taken over the admin interface by then hangs, as it does when the old one hangs. */
const TAKE_OVER_MS = 10_000;

export interface HealthWatchOptions {
  readonly admin: AdminClient;
  readonly epoch: number;
  /** Whether another Envoy may still answer at the admin socket. */
  readonly succeeds: boolean;
  readonly intervalMs: number;
  readonly signal: AbortSignal;
  readonly onReady: () => Promise<void>;
  readonly onAnswers: (answers: boolean) => void;
  readonly onSlow: () => void;
  readonly onStuck: () => void;
}

/** Waits until the admin socket is this epoch's. False when `signal` aborts first. */
async function untilTakenOver({ admin, epoch, signal, onStuck }: HealthWatchOptions): Promise<boolean> {
  const stuck = setTimeout(onStuck, TAKE_OVER_MS);
  try {
    while (!signal.aborted) {
      const info = await admin.serverInfo({ timeoutMs: 1000 }).catch(() => undefined);
      if (info?.epoch === epoch) return !signal.aborted;
      await sleep(20, signal);
    }
    return false;
  } finally {
    clearTimeout(stuck);
  }
}

/** Resolves when `signal` aborts. */
export async function watchHealth(options: HealthWatchOptions): Promise<void> {
  const { admin, succeeds, intervalMs, signal, onReady, onAnswers, onSlow } = options;
  if (succeeds && !(await untilTakenOver(options))) return;
  const slow = setTimeout(onSlow, SLOW_START_MS);
  const ready = await untilReady(admin, signal);
  clearTimeout(slow);
  if (!ready) return;
  await onReady();
  while (await sleep(intervalMs, signal)) {
    const answers = (await isReady(admin)) || (await isReady(admin));
    if (signal.aborted) return;
    onAnswers(answers);
  }
}
