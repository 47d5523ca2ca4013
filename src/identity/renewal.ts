/** When a certificate is renewed: at half of its life, give or take a hundredth (Istio's SECRET_GRACE_PERIOD_RATIO). */

const SHARE = 0.5;
const JITTER = 0.01;

export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * The wall-clock time of the next renewal, in milliseconds.
 * @param fetchedAtMs when this host got the certificate just now; undefined for one from disk
 */
export function renewalTimeMs(validity: Validity, random: () => number, fetchedAtMs: number | undefined): number {
  const { notBeforeMs, notAfterMs } = validity;
  const lifetimeMs = notAfterMs - notBeforeMs;
  const share = SHARE + (random() * 2 - 1) * JITTER;
  const dueMs = notBeforeMs + lifetimeMs * share;
  if (fetchedAtMs === undefined) return dueMs;
  // With a clock that is off, half of the life lies in the past, or far ahead: then count from now, or the CA would be
  // asked again at once and for ever, or too late.
  const earliestMs = fetchedAtMs + lifetimeMs * 0.1;
  const latestMs = fetchedAtMs + lifetimeMs * share;
  return Math.min(Math.max(dueMs, earliestMs), latestMs);
}
