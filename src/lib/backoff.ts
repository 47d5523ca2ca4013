/**
 * Waiting between retries: exponential growth with full jitter and an upper bound, so that ten thousand hosts that lost
 * the same server do not come back at the same moment.
 */

export interface BackoffOptions {
  /** First delay in milliseconds, before jitter. */
  readonly baseMs: number;
  /** Largest delay in milliseconds. */
  readonly maxMs: number;
  /** Source of randomness in [0, 1); tests replace it. */
  readonly random?: () => number;
}

/** A growing delay for one thing that is retried. Not shared between two of them. */
export class Backoff {
  readonly #options: BackoffOptions;
  #attempts = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** How often `nextMs` was asked since the last `reset`. */
  get attempts(): number {
    return this.#attempts;
  }

  /** The delay before the next try, in milliseconds: between half and all of base × 2^attempts, at most `maxMs`. */
  nextMs(): number {
    const { baseMs, maxMs, random = Math.random } = this.#options;
    const ceiling = Math.min(maxMs, baseMs * 2 ** Math.min(this.#attempts, 30));
    this.#attempts += 1;
    return Math.round(ceiling / 2 + (random() * ceiling) / 2);
  }

  /** To be called after a success. */
  reset(): void {
    this.#attempts = 0;
  }
}
