/** What the local API says of transparent capture. */

export type CaptureAction = 'status' | 'apply' | 'confirm' | 'clean';

export const CAPTURE_ACTIONS: readonly CaptureAction[] = ['status', 'apply', 'confirm', 'clean'];

export interface CaptureRequest {
  readonly action: CaptureAction;
  /** With `apply`: confirmed at once, without a trial. */
  readonly confirmed?: boolean;
}

export interface CaptureReport {
  /**
   * - `unconfigured`: agent.yaml captures nothing.
   * - `unapplied`: it does, and nobody has applied it on this host yet, or it was taken back.
   * - `waiting`: applied, and Envoy has not all listeners yet.
   * - `trial`: in force, until `trialEndsAt` unless confirmed.
   * - `on`: in force.
   * - `failed`: wanted, and refused; tried again.
   */
  readonly state: 'unconfigured' | 'unapplied' | 'waiting' | 'trial' | 'on' | 'failed';
  /** RFC 3339. */
  readonly trialEndsAt?: string;
  /** Of the rules in force. */
  readonly revision?: string;
  /** False: the kernel has no owned tables (before Linux 5.12), so that it is not the kernel that removes the rules. */
  readonly owned?: boolean;
  /** Units that do not run: their calls are captured once they do. */
  readonly waitingFor: readonly string[];
  /** Users in agent.yaml that this host does not have. */
  readonly unknownUsers: readonly string[];
  /** What was refused, and what helps. */
  readonly error?: { readonly message: string; readonly remedy?: string };
}
