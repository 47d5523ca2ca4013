/** The CA as this host sees it: reachable, the one that the host trusts, of one time. Nothing secret is sent. */
import { connect } from 'node:http2';
import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { type CaAddress, formatCaAddress, parseCaAddress } from '../identity/ca-address.ts';
import type { CallBounds } from '../identity/ca-client.ts';
import { caSpiffeId } from '../identity/ca-id.ts';
import { fetchPinnedRoot } from '../identity/ca-root.ts';
import { namesIn } from '../identity/certificate.ts';
import { rootFacts } from '../identity/trust-bundle.ts';
import { formatDuration } from '../lib/duration.ts';
import { errorCode, errorMessage, TrysailError } from '../lib/errors.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { finding, type HostCheck } from '../platform/vm/checks/host-check.ts';
import { clockSkew } from './check-skew.ts';
import { type HostStanding, hostStanding } from './check-standing.ts';
import type { AgentSettings } from './settings.ts';

const TIMEOUT_MS = 4000;
/** Before the end of a root, so that a new one can reach the hosts. */
const ROOT_NOTICE_MS = 30 * 86_400_000;

interface Handshake {
  /** The `Date` header of an answer. */
  readonly date: string | undefined;
  /** Why the connection is not to be trusted; undefined: it is. */
  readonly untrusted: unknown;
}

/** Node tells a stream of its connection's end before it tells why. */
function originOf(error: Error): Error {
  return errorCode(error) === 'ERR_HTTP2_STREAM_CANCEL' && error.cause instanceof Error ? error.cause : error;
}

/** One request for a method that there is not, over TLS; with `rootsPem` only to a server of these roots and names. */
async function shake(
  address: CaAddress,
  trust: { readonly rootsPem: readonly string[]; readonly serverId: string } | undefined,
  { timeoutMs, signal }: CallBounds,
): Promise<string | undefined> {
  const check = (_name: string, certificate: PeerCertificate): Error | undefined =>
    namesIn(certificate.subjectaltname).includes(`URI:${trust?.serverId ?? ''}`)
      ? undefined
      : checkServerIdentity(address.host, certificate);
  const session = connect(`https://${formatCaAddress(address)}`, {
    ...(isIP(address.host) === 0 ? { servername: address.host } : { servername: '' }),
    ...(trust === undefined
      ? // Its clock alone is of interest then.
        { rejectUnauthorized: false }
      : { ca: trust.rootsPem.join(''), checkServerIdentity: check }),
  });
  const timer = setTimeout(() => session.destroy(new Error('timed out')), timeoutMs);
  const abort = (): void => session.destroy(new Error('stopped'));
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await new Promise<string | undefined>((resolve, reject) => {
      session.once('error', reject);
      const stream = session.request({
        ':method': 'POST',
        ':path': '/trysail.Check/Clock',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      stream.once('response', ({ date }) => resolve(typeof date === 'string' ? date : undefined));
      stream.once('error', (error) => reject(originOf(error)));
      stream.once('close', () => reject(new Error('the connection was closed')));
      stream.resume();
      stream.end();
    });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
    session.destroy();
  }
}

const NOT_CONNECTED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
]);

/** Trusted if it can be; else what the server's clock says and why it is not trusted. Rejects when there is no server. */
async function meet(address: CaAddress, standing: HostStanding, bounds: CallBounds): Promise<Handshake> {
  try {
    const rootsPem =
      standing.rootsPem.length > 0 || standing.tokenRoot === undefined
        ? standing.rootsPem
        : [await fetchPinnedRoot(address, standing.tokenRoot, bounds)];
    const serverId = caSpiffeId(standing.trustDomain);
    return { date: await shake(address, { rootsPem, serverId }, bounds), untrusted: undefined };
  } catch (error) {
    bounds.signal.throwIfAborted();
    if (NOT_CONNECTED.has(errorCode(error) ?? '') || errorMessage(error) === 'timed out') throw error;
    if (error instanceof TrysailError && ['CA_UNREACHABLE', 'CA_BUSY'].includes(error.code)) throw error;
    return { date: await shake(address, undefined, bounds), untrusted: error };
  }
}

function distrust(where: string, error: unknown): Diagnostic {
  const why = errorMessage(error);
  if (/not yet valid|CERT_NOT_YET_VALID/i.test(`${why} ${errorCode(error) ?? ''}`))
    return finding(
      'TRY1151',
      'error',
      `CA at ${where}`,
      'its certificate is not valid yet by this host’s clock',
      "Set this host's clock (it seems to be behind), or the CA's.",
    );
  if (/expired/i.test(`${why} ${errorCode(error) ?? ''}`))
    return finding(
      'TRY1151',
      'error',
      `CA at ${where}`,
      'its certificate has expired by this host’s clock',
      "Set this host's clock (it seems to be ahead), or restart the CA if its own was wrong.",
    );
  return finding(
    'TRY1151',
    'error',
    `CA at ${where}`,
    error instanceof TrysailError ? why : `it is not the CA that this host trusts: ${why}`,
    'Check identity.ca.address, and trustDomain in meshconfig.yaml; if the CA was made anew, join with a new token.',
  );
}

function rootNotices(rootsPem: readonly string[], nowMs: number): readonly Diagnostic[] {
  return rootsPem
    .map(rootFacts)
    .filter(({ notAfterMs }) => notAfterMs - nowMs < ROOT_NOTICE_MS)
    .map(({ subject, sha256, notAfterMs }) =>
      finding(
        'TRY1152',
        notAfterMs <= nowMs ? 'error' : 'warning',
        `root ${subject}`,
        notAfterMs <= nowMs ? 'it has expired' : `it ends in ${formatDuration(notAfterMs - nowMs)}`,
        `Give the CA a new root, and let the hosts learn it before (${sha256.slice(0, 16)}…).`,
      ),
    );
}

/**
 * The CA that agent.yaml, the host's credential or its token names.
 * @param timeoutMs for each of up to two handshakes
 */
export function caCheck(settings: AgentSettings, trustDomain: string, timeoutMs = TIMEOUT_MS): HostCheck {
  return {
    name: 'ca',
    needsConfiguration: true,
    timeoutMs: 10_000,
    async run({ io, signal }) {
      const { provider } = settings.identity;
      if (provider !== 'trysail-ca')
        return { facts: [], findings: [], skipped: `not used (identity.provider: ${provider})` };
      const standing = await hostStanding(settings, trustDomain);
      if (standing.addresses.length === 0)
        return { facts: [], findings: [], skipped: 'neither agent.yaml nor a token says where it is' };
      const facts: string[] = [];
      const met = await Promise.all(
        standing.addresses.map(async (text) => {
          const address = parseCaAddress(text);
          const where = formatCaAddress(address);
          try {
            const askedMs = io.now();
            const { date, untrusted } = await meet(address, standing, { timeoutMs, signal });
            const skew = clockSkew(`the CA at ${where}`, date, { askedMs, answeredMs: io.now() });
            if (untrusted === undefined) facts.push(where, ...(skew.fact === undefined ? [] : [skew.fact]));
            return {
              reached: true,
              found: [...(untrusted === undefined ? [] : [distrust(where, untrusted)]), skew.finding],
            };
          } catch (error) {
            signal.throwIfAborted();
            const message =
              error instanceof TrysailError ? error.message : `it does not answer: ${errorMessage(error)}`;
            const unreachable = finding(
              'TRY1150',
              'error',
              `CA at ${where}`,
              message,
              'Check that the CA runs, its address, and the firewalls in between; certificates in use stay valid.',
            );
            return { reached: false, found: [unreachable] };
          }
        }),
      );
      const someReached = met.some(({ reached }) => reached);
      const findings = met.flatMap(({ reached, found }) =>
        found.flatMap((each): Diagnostic[] =>
          each === undefined ? [] : [!reached && someReached ? { ...each, severity: 'warning' } : each],
        ),
      );
      if (standing.rootsPem.length > 0)
        facts.push(`trusted by ${standing.rootsPem.map((pem) => `${rootFacts(pem).sha256.slice(0, 12)}…`).join(', ')}`);
      else if (standing.tokenRoot !== undefined)
        facts.push(`the root of the token, ${standing.tokenRoot.slice(0, 12)}…`);
      return { facts, findings: [...findings, ...rootNotices(standing.rootsPem, io.now())] };
    },
  };
}
