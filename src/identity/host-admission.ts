/** Who may join under which name. */
import type { HostRecord } from './host-records.ts';
import { decodeJoinToken } from './join-token.ts';
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
  /** For how long after its end a credential can be had anew with its key. */
  readonly graceMs: number;
}

/** Id and secret of a bearer token. Throws Refusal. */
export function decodeOffered(text: string): { readonly id: string; readonly secret: string } {
  try {
    return decodeJoinToken(text);
  } catch {
    throw new Refusal('UNAUTHENTICATED', 'the bearer token is not a join token of a Trysail CA');
  }
}

/** Whether the host may come back with its own key. Revocation and leaving are looked at elsewhere. */
export function isReEnrollable({ notAfterMs }: HostRecord, nowMs: number, graceMs: number): boolean {
  return nowMs < notAfterMs + graceMs;
}

/**
 * A name belongs to the key that joined with it until that key can no longer come back, the host leaves, or an operator
 * says otherwise, which is: makes a token for that very name after the host joined, or was revoked. Throws Refusal.
 */
export function refuseTakenName({ host, keySha256, record, token, nowMs, graceMs }: JoinRequest): void {
  if (record === undefined || (record.leftAtMs !== undefined && record.revokedAtMs === undefined)) return;
  const { revokedAtMs, enrolledAtMs } = record;
  const meantSince = (timeMs: number): boolean => token.host === host && token.createdAtMs > timeMs;
  const remedy = `make a token for it with "trysail token create --host ${host}"`;
  if (revokedAtMs !== undefined) {
    if (meantSince(revokedAtMs)) return;
    throw new Refusal('PERMISSION_DENIED', `host "${host}" has been revoked; to admit it again, ${remedy}`);
  }
  const live = isReEnrollable(record, nowMs, graceMs);
  if (!live || record.keySha256 === keySha256 || meantSince(enrolledAtMs)) return;
  throw new Refusal(
    'PERMISSION_DENIED',
    `another host holds the name "${host}" with another key; choose another host.name, or if this is the same machine ` +
      `reinstalled, ${remedy}`,
  );
}
