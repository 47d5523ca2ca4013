/** When something is due by the wall clock, and what that means once the clock has been set back. */
import type { Clock } from './clock.ts';

/** What starts together (after a power cut, a change of the clock) comes to the CA spread over this. */
export const SPREAD_MS = 30_000;
/** A clock that is set back by less only makes a wait longer by as much. */
const SET_BACK_MS = 60_000;

export class RenewalSchedule {
  readonly #clock: Clock;
  readonly #random: () => number;
  #dueMs = 0;
  #setAtMs = 0;

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Milliseconds since 1970; undefined: at once. */
  get dueMs(): number | undefined {
    return this.#dueMs === 0 ? undefined : this.#dueMs;
  }

  set(dueMs: number): void {
    this.#dueMs = dueMs;
    this.#setAtMs = this.#clock.now();
  }

  /**
   * Milliseconds until it is due, 0 or less when it is. What was set at a time that now lies in the future was reckoned
   * with a wrong clock: it is due soon, or a certificate could end long before its renewal.
   */
  restMs(): number {
    const nowMs = this.#clock.now();
    if (nowMs < this.#setAtMs - SET_BACK_MS) {
      this.set(Math.min(this.#dueMs, nowMs + this.#random() * SPREAD_MS));
    }
    return this.#dueMs - nowMs;
  }
}
