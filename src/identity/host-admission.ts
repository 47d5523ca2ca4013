/** Who may join under which name. */
import type { HostRecord } from './host-records.ts';
import type { TokenProblem } from './join-tokens.ts';
import { Refusal } from './refusal.ts';

const TOKEN_PROBLEMS: Readonly<Record<TokenProblem, string>> = {
  unknown: 'this CA did not issue the join token: make one on this CA with "trysail token create"',
  revoked: 'the join token has been revoked: make a new one with "trysail token create"',
  expired: 'the join token has expired: make a new one with "trysail token create"',
  used: 'the join token has been used: make a new one with "trysail token create"',
  'other-host': 'the join token was made for another host: make one for this host with "trysail token create --host"',
};

/** The refusal of a token that does not admit. */
export function tokenRefusal(problem: TokenProblem): Refusal {
  return new Refusal(problem === 'other-host' ? 'PERMISSION_DENIED' : 'UNAUTHENTICATED', TOKEN_PROBLEMS[problem]);
}

export interface JoinRequest {
  readonly host: string;
  /** SHA-256 of the key that asks. */
  readonly keySha256: string;
  /** What the CA has under the name. */
  readonly record: HostRecord | undefined;
  readonly token: { readonly host?: string | undefined; readonly createdAtMs: number };
  readonly nowMs: number;
}

/**
 * A name belongs to the key that joined with it until its credential ends or an operator says otherwise, which is: makes
 * a token for that very name after the host joined, or was revoked. Throws Refusal.
 */
export function refuseTakenName({ host, keySha256, record, token, nowMs }: JoinRequest): void {
  if (record === undefined) return;
  const { revokedAtMs, enrolledAtMs } = record;
  const meantSince = (timeMs: number): boolean => token.host === host && token.createdAtMs > timeMs;
  const remedy = `make a token for it with "trysail token create --host ${host}"`;
  if (revokedAtMs !== undefined) {
    if (meantSince(revokedAtMs)) return;
    throw new Refusal('PERMISSION_DENIED', `host "${host}" has been revoked; to admit it again, ${remedy}`);
  }
  const live = record.notAfterMs > nowMs;
  if (!live || record.keySha256 === keySha256 || meantSince(enrolledAtMs)) return;
  throw new Refusal(
    'PERMISSION_DENIED',
    `another host holds the name "${host}" with another key; choose another host.name, or if this is the same machine ` +
      `reinstalled, ${remedy}`,
  );
}
