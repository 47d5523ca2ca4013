/** Samples in numbers: failures and their reasons, latency, shares, and how far a share may stray by chance. */
import type { Sample } from './sample.ts';

export interface Figures {
  readonly requests: number;
  readonly failures: number;
  /** The most frequent first. */
  readonly reasons: readonly FailureReason[];
  /** Latency in milliseconds of the requests that succeeded; 0 when none did. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface FailureReason {
  readonly reason: string;
  readonly count: number;
  /** Seconds from the first request to the first and the last such failure. */
  readonly fromS: number;
  readonly toS: number;
}

export function figuresOf(samples: readonly Sample[]): Figures {
  const failed = samples.filter((sample) => sample.failure !== undefined);
  const times = samples
    .filter((sample) => sample.failure === undefined)
    .map((sample) => sample.ms)
    .toSorted((a, b) => a - b);
  return {
    requests: samples.length,
    failures: failed.length,
    reasons: reasonsOf(failed, Math.min(...samples.map(({ at }) => at))),
    p50Ms: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
    maxMs: times.at(-1) ?? 0,
  };
}

function reasonsOf(failed: readonly Sample[], startedAt: number): readonly FailureReason[] {
  return countBy(failed, (sample) => sample.failure)
    .map(([reason, count]) => {
      const times = failed.filter(({ failure }) => failure === reason).map(({ at }) => (at - startedAt) / 1000);
      return { reason, count, fromS: Math.min(...times), toS: Math.max(...times) };
    })
    .toSorted((a, b) => b.count - a.count);
}

/** The smallest value that at least a share of `q` of the ascending `values` does not exceed; 0 for none. */
export function quantile(values: readonly number[], q: number): number {
  return values[Math.max(0, Math.ceil(values.length * q) - 1)] ?? 0;
}

/** How many samples have each key; samples without one are left out. Ascending by key. */
export function countBy(
  samples: readonly Sample[],
  keyOf: (sample: Sample) => string | undefined,
): readonly (readonly [key: string, count: number])[] {
  const counts = new Map<string, number>();
  for (const sample of samples) {
    const key = keyOf(sample);
    if (key !== undefined) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].toSorted(([a], [b]) => a.localeCompare(b));
}

/**
 * The counts between which a fair draw of `n` with probability `p` falls, but for a chance of at most `error` on either
 * side (exact, from the binomial distribution). With p = 0 or 1 there is one such count only.
 */
export function binomialBounds(n: number, p: number, error = 1e-10): { readonly low: number; readonly high: number } {
  if (p <= 0) return { low: 0, high: 0 };
  if (p >= 1) return { low: n, high: n };
  const probabilities: number[] = [];
  // In logarithms: (1 - p)^n underflows for the request counts of a longer run.
  let logarithm = n * Math.log1p(-p);
  for (let k = 0; k <= n; k += 1) {
    probabilities.push(Math.exp(logarithm));
    logarithm += Math.log((n - k) / (k + 1)) + Math.log(p / (1 - p));
  }
  let low = 0;
  for (let tail = probabilities[0] ?? 1; tail <= error; tail += probabilities[low] ?? 1) low += 1;
  let high = n;
  for (let tail = probabilities[n] ?? 1; tail <= error; tail += probabilities[high] ?? 1) high -= 1;
  return { low, high };
}
