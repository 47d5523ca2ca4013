/** What `trysail ca` and `trysail token` do: administration of a CA's folder, on the machine that holds it. */
import { formatCaAddress, parseCaAddress } from '../identity/ca-address.ts';
import { type CaMaterial, initCa, loadCa } from '../identity/ca-directory.ts';
import { fetchPinnedRoot } from '../identity/ca-root.ts';
import { type HostRecord, HostRecords } from '../identity/host-records.ts';
import { encodeJoinToken } from '../identity/join-token.ts';
import { JoinTokens, type TokenInfo, type TokenUse } from '../identity/join-tokens.ts';
import { rootFacts } from '../identity/trust-bundle.ts';
import { errorMessage, TrysailError } from '../lib/errors.ts';

/** A CA's facts, times in ISO 8601. */
export interface CaSummary {
  readonly dir: string;
  readonly trustDomain: string;
  /** The first is the one that tokens carry the fingerprint of. */
  readonly roots: readonly { readonly subject: string; readonly sha256: string; readonly notAfter: string }[];
  /** When signing ends: the earliest end on the way from the signing certificate to its root. */
  readonly notAfter: string;
  /** Whether the root itself signs. */
  readonly selfSigned: boolean;
}

export interface HostSummary {
  readonly host: string;
  /** `expired` ones may come back by themselves as long as `ca.reEnrolGrace` lasts. */
  readonly state: 'joined' | 'revoked' | 'left' | 'expired';
  readonly allow: readonly string[];
  readonly enrolledAt: string;
  readonly credentialEnds: string;
  readonly revokedAt?: string;
  readonly leftAt?: string;
  readonly tokenId: string;
}

export interface CaStatusReport extends CaSummary {
  readonly hosts: {
    readonly joined: number;
    readonly revoked: number;
    readonly left: number;
    readonly expired: number;
  };
  readonly validTokens: number;
  /** Present when an address was asked for: whether this CA answers there. */
  readonly server?: { readonly address: string; readonly answers: boolean; readonly problem?: string };
}

export interface TokenSummary {
  readonly id: string;
  readonly state: TokenInfo['state'];
  readonly allow: readonly string[];
  readonly host?: string;
  readonly uses: number;
  readonly used: number;
  readonly createdAt: string;
  readonly expiresAt: string;
  readonly usedBy: readonly { readonly host: string; readonly at: string }[];
}

const iso = (ms: number): string => new Date(ms).toISOString();

function summary(dir: string, material: CaMaterial): CaSummary {
  return {
    dir,
    trustDomain: material.trustDomain,
    roots: material.rootsPem.map((pem) => {
      const { subject, sha256, notAfterMs } = rootFacts(pem);
      return { subject, sha256, notAfter: iso(notAfterMs) };
    }),
    notAfter: iso(material.notAfterMs),
    selfSigned: material.intermediatesPem.length === 0,
  };
}

/** Makes a CA; see `initCa` for its errors. */
export async function initialiseCa(dir: string, trustDomain: string): Promise<CaSummary> {
  return summary(dir, await initCa(dir, trustDomain));
}

/** Reads and checks a CA's folder; with an address, asks whether this very CA answers there. */
export async function caStatus(dir: string, address?: string): Promise<CaStatusReport> {
  const material = await loadCa(dir);
  const hosts = await listHosts(dir);
  const tokens = await new JoinTokens(dir).list();
  const count = (state: HostSummary['state']): number => hosts.filter((host) => host.state === state).length;
  return {
    ...summary(dir, material),
    hosts: { joined: count('joined'), revoked: count('revoked'), left: count('left'), expired: count('expired') },
    validTokens: tokens.filter(({ state }) => state === 'valid').length,
    ...(address === undefined ? {} : { server: await probe(address, material.rootFingerprint) }),
  };
}

async function probe(text: string, fingerprint: string): Promise<NonNullable<CaStatusReport['server']>> {
  const address = parseCaAddress(text);
  try {
    await fetchPinnedRoot(address, fingerprint, { timeoutMs: 5000, signal: AbortSignal.timeout(10_000) });
    return { address: formatCaAddress(address), answers: true };
  } catch (error) {
    return { address: formatCaAddress(address), answers: false, problem: errorMessage(error) };
  }
}

/** All hosts that ever joined, by name. */
export async function listHosts(dir: string, nowMs: number = Date.now()): Promise<readonly HostSummary[]> {
  await loadCa(dir);
  const records = await new HostRecords(dir).list();
  return records.map((record) => hostSummary(record, nowMs));
}

function hostSummary(record: HostRecord, nowMs: number): HostSummary {
  const { host, allow, enrolledAtMs, notAfterMs, revokedAtMs, leftAtMs, tokenId } = record;
  return {
    host,
    state:
      revokedAtMs !== undefined
        ? 'revoked'
        : leftAtMs !== undefined
          ? 'left'
          : notAfterMs <= nowMs
            ? 'expired'
            : 'joined',
    allow,
    enrolledAt: iso(enrolledAtMs),
    credentialEnds: iso(notAfterMs),
    ...(revokedAtMs === undefined ? {} : { revokedAt: iso(revokedAtMs) }),
    ...(leftAtMs === undefined ? {} : { leftAt: iso(leftAtMs) }),
    tokenId,
  };
}

/** No certificate is issued to the host any more, from now on, nor does it come back by itself. Throws HOST_UNKNOWN. */
export async function revokeHost(dir: string, host: string): Promise<void> {
  await loadCa(dir);
  await new HostRecords(dir).revoke(host, Date.now());
}

/** What `trysail token create` was asked for. */
export interface TokenRequest {
  readonly caAddresses: readonly string[];
  readonly allow: readonly string[];
  readonly ttlMs: number;
  readonly uses: number;
  readonly host?: string | undefined;
}

/** Makes a join token. Throws TOKEN_OPTIONS_INVALID, CA_ADDRESS_INVALID and the CA's own faults. */
export async function createToken(
  dir: string,
  request: TokenRequest,
): Promise<{ readonly id: string; readonly text: string; readonly expiresAt: string; readonly trustDomain: string }> {
  const { rootFingerprint, trustDomain } = await loadCa(dir);
  const ca = request.caAddresses.map((address) => formatCaAddress(parseCaAddress(address)));
  if (ca.length === 0) {
    throw new TrysailError('CA_ADDRESS_INVALID', 'a token needs the address of the CA', {
      remedy: 'Give --ca-address host:port, as the hosts reach it.',
    });
  }
  const { allow, host, uses, ttlMs } = request;
  const { id, secret, info } = await new JoinTokens(dir).create({ allow, host, uses, ttlMs });
  const text = encodeJoinToken({ ca, root: rootFingerprint, trustDomain, id, secret });
  return { id, text, expiresAt: iso(info.expiresAtMs), trustDomain };
}

/** Newest first. */
export async function listTokens(dir: string): Promise<readonly TokenSummary[]> {
  await loadCa(dir);
  const tokens = await new JoinTokens(dir).list();
  return tokens.map(tokenSummary);
}

function tokenSummary(token: TokenInfo & { readonly usedBy: readonly TokenUse[] }): TokenSummary {
  const { id, state, allow, host, uses, used, createdAtMs, expiresAtMs, usedBy } = token;
  return {
    id,
    state,
    allow,
    ...(host === undefined ? {} : { host }),
    uses,
    used,
    createdAt: iso(createdAtMs),
    expiresAt: iso(expiresAtMs),
    usedBy: usedBy.map((use) => ({ host: use.host, at: iso(use.atMs) })),
  };
}

/** Throws TOKEN_UNKNOWN. Hosts that joined with it stay in the mesh. */
export async function revokeToken(dir: string, id: string): Promise<void> {
  await loadCa(dir);
  await new JoinTokens(dir).revoke(id);
}
