/** What `trysail status` says of capture that is not in force, or not for good. */
import type { CaptureReport } from '../api/capture.ts';
import type { Diagnostic } from '../model/diagnostic.ts';

/** Empty where nothing is to be captured, and where everything is. */
export function captureDiagnostics({ state, trialEndsAt, error }: CaptureReport): readonly Diagnostic[] {
  const of = (severity: Diagnostic['severity'], message: string, remedy: string): readonly Diagnostic[] => [
    { code: 'TRY0110', severity, object: 'capture', message, remedy },
  ];
  switch (state) {
    case 'unapplied':
      return of(
        'warning',
        'nobody has put the rules in force: calls go as they always did, and captured services are registered as in mode outbound',
        'Run "trysail capture apply", see that this host still does what it should, then run "trysail capture confirm".',
      );
    case 'trial':
      return of(
        'warning',
        `the rules are on trial until ${trialEndsAt ?? 'soon'}, and captured services registered as in mode outbound`,
        'If this host still does what it should, run "trysail capture confirm".',
      );
    case 'failed':
      return of(
        'error',
        `the rules are not in force: ${error?.message ?? 'the kernel did not take them'}`,
        error?.remedy ?? 'Look into the journal of trysail-capture.service; it is tried again.',
      );
    case 'waiting':
    case 'on':
    case 'unconfigured':
      return [];
  }
}

/** That the unit which owns the rules does not run: the agent may not start it. */
export function holderAway(): Diagnostic {
  return {
    code: 'TRY0110',
    severity: 'error',
    object: 'capture',
    message: 'trysail-capture.service does not run, without which there are no rules',
    remedy:
      'Run "systemctl enable --now trysail-capture.service" as root, and look into its journal if it does not stay.',
  };
}
