/** A token bucket for each caller, with a bound on how many callers are remembered. */

export interface RateLimitOptions {
  /** Requests a second that a caller may make in the long run. */
  readonly perSecond: number;
  /** How many it may make at once. */
  readonly burst: number;
  readonly now?: () => number;
}

interface Bucket {
  left: number;
  atMs: number;
}

const MAX_CALLERS = 20_000;

export class RateLimit {
  readonly #options: RateLimitOptions;
  /** In order of use, the longest unused first. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: RateLimitOptions) {
    this.#options = options;
  }

  /** Counts one request; false when the caller has used up what it may do now. */
  take(caller: string): boolean {
    const { perSecond, burst, now = () => Date.now() } = this.#options;
    const atMs = now();
    const known = this.#buckets.get(caller);
    const refill = known === undefined ? burst : (Math.max(0, atMs - known.atMs) / 1000) * perSecond;
    const left = Math.min(burst, (known?.left ?? 0) + refill);
    this.#buckets.delete(caller);
    this.#buckets.set(caller, { left: left >= 1 ? left - 1 : left, atMs });
    if (this.#buckets.size > MAX_CALLERS) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    return left >= 1;
  }
}
