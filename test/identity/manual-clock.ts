/** A wall clock that stands still until a test moves it. */
import type { Clock } from '../../src/identity/clock.ts';

interface Waiter {
  readonly dueMs: number;
  readonly wake: (whole: boolean) => void;
}

export class ManualClock implements Clock {
  #nowMs: number;
  readonly #waiters = new Set<Waiter>();

  constructor(nowMs: number = Date.now()) {
    this.#nowMs = nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  async sleep(ms: number, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    return new Promise((resolve) => {
      const waiter: Waiter = {
        dueMs: this.#nowMs + ms,
        wake: (whole) => {
          this.#waiters.delete(waiter);
          resolve(whole);
        },
      };
      this.#waiters.add(waiter);
      signal.addEventListener('abort', () => waiter.wake(false), { once: true });
    });
  }

  /** As time that passes: whoever waited long enough wakes. */
  advance(ms: number): void {
    this.#nowMs += ms;
    for (const waiter of this.#waiters) if (waiter.dueMs <= this.#nowMs) waiter.wake(true);
  }

  /** As an operator, or a machine that was suspended: the clock shows another time, and timers have not noticed. */
  jump(ms: number): void {
    this.#nowMs += ms;
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const { dueMs, wake } of waiters) this.#waiters.add({ dueMs: dueMs + ms, wake });
  }

  /** The longest that anybody waits, in milliseconds. */
  longestWaitMs(): number {
    return Math.max(0, ...[...this.#waiters].map(({ dueMs }) => dueMs - this.#nowMs));
  }
}
