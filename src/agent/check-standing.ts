/** How this host stands with its CA, by what is on its disk: credential, roots, token. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeJoinToken, type JoinToken } from '../identity/join-token.ts';
import { readSealed } from '../identity/sealed-file.ts';
import { errorCode, TrysailError } from '../lib/errors.ts';
import { hostSpiffeId } from '../model/spiffe-id.ts';
import type { AgentSettings } from './settings.ts';

export interface HostStanding {
  readonly trustDomain: string;
  /** Undefined: the host has not joined, or its credential cannot be read (then `problem` says why). */
  readonly credential:
    | {
        readonly spiffeId: string | undefined;
        readonly notBeforeMs: number;
        readonly notAfterMs: number;
        readonly tokenId: string | undefined;
      }
    | undefined;
  readonly expectedSpiffeId: string | undefined;
  /** That the host trusts; none before it has joined. */
  readonly rootsPem: readonly string[];
  /** SHA-256 of the root that the join token names. */
  readonly tokenRoot: string | undefined;
  readonly tokenId: string | undefined;
  /** Where the CA is, as in agent.yaml, else as the credential or the token has it. */
  readonly addresses: readonly string[];
  /** Why credential or token could not be read. */
  readonly problem: TrysailError | undefined;
  /** The user who checks may not look into the state folder. */
  readonly hidden: boolean;
}

async function tokenOf(file: string | undefined): Promise<JoinToken | undefined> {
  if (file === undefined) return undefined;
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch {
    // The settings complain of a file that they name and nobody can read.
    return undefined;
  }
  return text.trim() === '' ? undefined : decodeJoinToken(text);
}

/** Reads; asks nobody, and does not reject. */
export async function hostStanding(settings: AgentSettings, trustDomain: string): Promise<HostStanding> {
  const { ca } = settings.identity;
  let [problem, hidden]: [TrysailError | undefined, boolean] = [undefined, false];
  const keep = (error: unknown): undefined => {
    if (!(error instanceof TrysailError)) throw error;
    if (errorCode(error.cause) === 'EACCES') hidden = true;
    else problem = error;
    return undefined;
  };
  const [sealed, token] = await Promise.all([
    readSealed(join(settings.paths.state, 'identity', 'host.json')).catch(keep),
    tokenOf(ca.joinTokenFile).catch(keep),
  ]);
  const known = sealed?.addresses ?? token?.ca ?? [];
  return {
    trustDomain,
    credential:
      sealed === undefined
        ? undefined
        : {
            spiffeId: sealed.facts.spiffeId,
            notBeforeMs: sealed.facts.notBeforeMs,
            notAfterMs: sealed.facts.notAfterMs,
            tokenId: sealed.tokenId,
          },
    expectedSpiffeId: hostSpiffeId(trustDomain, settings.host.name),
    rootsPem: sealed?.rootsPem ?? [],
    tokenRoot: token?.root,
    tokenId: token?.id,
    addresses: ca.address === undefined ? known : [ca.address],
    problem,
    hidden,
  };
}
