/** How far another's clock is from this host's, from the time that it wrote into an answer. */
import { formatDuration } from '../lib/duration.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { finding } from '../platform/vm/checks/host-check.ts';

/** A date in HTTP has whole seconds. */
const WARN_MS = 5000;
/** Half of what the CA's certificates begin early. */
const ERROR_MS = 60_000;

export interface ClockSkew {
  /** For the line of what is fine; undefined when the other does not say its time. */
  readonly fact: string | undefined;
  readonly finding: Diagnostic | undefined;
}

/**
 * @param date of the answer's `Date` header
 * @param during this host's clock when it asked and when the answer came, in milliseconds: a busy one answers late, which
 * says nothing of its clock
 */
export function clockSkew(
  object: string,
  date: string | undefined,
  { askedMs, answeredMs }: { readonly askedMs: number; readonly answeredMs: number },
): ClockSkew {
  const theirs = Date.parse(date ?? '');
  if (Number.isNaN(theirs)) return { fact: undefined, finding: undefined };
  // The header cuts off the fraction of its second.
  const theirMs = theirs + 500;
  const skewMs = Math.max(0, askedMs - theirMs) + Math.min(0, answeredMs - theirMs);
  const size = Math.abs(skewMs);
  if (size < WARN_MS) return { fact: 'same time', finding: undefined };
  const direction = skewMs > 0 ? 'ahead of' : 'behind';
  return {
    fact: undefined,
    finding: finding(
      'TRY1110',
      size < ERROR_MS ? 'warning' : 'error',
      'clock',
      `this host is ${formatDuration(size)} ${direction} ${object}`,
      'Set the clock by NTP (timedatectl set-ntp true), here or there: certificates fail beyond two minutes.',
    ),
  };
}
