/** What is wrong with a host's certificates, as diagnostics for `trysail status`. */
import { formatDuration } from '../lib/duration.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { SpiffeId } from '../model/spiffe-id.ts';

/** What is known of one identity; times in milliseconds since 1970. */
export interface CertificateState {
  readonly spiffeId: SpiffeId;
  /** Undefined, like the two times, while there is no certificate. */
  readonly serial: string | undefined;
  readonly notBeforeMs: number | undefined;
  readonly notAfterMs: number | undefined;
  /** Failed attempts since the last success. */
  readonly failures: number;
  readonly lastError: string | undefined;
  /** `CLOCK_…` where the clocks of host and CA differ. */
  readonly lastErrorCode: string | undefined;
  readonly remedy: string | undefined;
  /** Why the certificate is not on disk. */
  readonly saveError: string | undefined;
}

/** The diagnostics of all identities at a moment. */
export function identityDiagnostics(states: readonly CertificateState[], nowMs: number): readonly Diagnostic[] {
  return states.flatMap((state) => [...ofRenewal(state, nowMs), ...ofClock(state, nowMs), ...ofDisk(state)]);
}

function ofRenewal(state: CertificateState, nowMs: number): readonly Diagnostic[] {
  const { spiffeId, notAfterMs, lastError, failures } = state;
  const remedy = state.remedy === undefined ? {} : { remedy: state.remedy };
  const code = state.lastErrorCode?.startsWith('CLOCK_') === true ? 'TRY0803' : 'TRY0801';
  const why = lastError === undefined ? '' : `: ${lastError}`;
  if (notAfterMs !== undefined && notAfterMs <= nowMs) {
    const message = `the certificate expired at ${new Date(notAfterMs).toISOString()}; peers refuse it${why}`;
    return [{ code, severity: 'error', object: spiffeId, message, ...remedy }];
  }
  if (lastError === undefined) return [];
  if (notAfterMs === undefined) {
    return [{ code, severity: 'error', object: spiffeId, message: `there is no certificate yet${why}`, ...remedy }];
  }
  const message = `the certificate is not renewed after ${failures} attempts and ends in ${formatDuration(notAfterMs - nowMs)}${why}`;
  return [{ code, severity: 'warning', object: spiffeId, message, ...remedy }];
}

function ofClock({ spiffeId, notBeforeMs }: CertificateState, nowMs: number): readonly Diagnostic[] {
  if (notBeforeMs === undefined || notBeforeMs <= nowMs) return [];
  return [
    {
      code: 'TRY0803',
      severity: 'error',
      object: spiffeId,
      message: `the certificate begins ${formatDuration(notBeforeMs - nowMs)} from now by this host's clock; this host refuses its peers' too`,
      remedy: "Set this host's clock: it is behind the CA's.",
    },
  ];
}

function ofDisk({ spiffeId, saveError }: CertificateState): readonly Diagnostic[] {
  if (saveError === undefined) return [];
  return [
    {
      code: 'TRY0802',
      severity: 'error',
      object: spiffeId,
      message: `the certificate is in memory alone, a restart needs the CA: ${saveError}`,
      remedy: 'Free space on the disk, or let the user of the agent write to the folder paths.state.',
    },
  ];
}
