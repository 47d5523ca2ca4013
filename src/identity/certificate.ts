/** What the rest of the room wants to know of a PEM certificate, by Node's own parser. */
import { createHash, X509Certificate } from 'node:crypto';
import { TrysailError } from '../lib/errors.ts';
import type { SpiffeId } from '../model/spiffe-id.ts';

export interface CertificateFacts {
  /** The only URI among its names when that is a SPIFFE id; undefined for CAs and servers with other names. */
  readonly spiffeId: SpiffeId | undefined;
  /** Lower-case hexadecimal. */
  readonly serial: string;
  /** Milliseconds since 1970, as all times of this room. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SHA-256 of the DER, lower-case hexadecimal. */
  readonly fingerprint: string;
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

/** The certificates of a PEM text, in order, each ending in a newline; text around them is dropped. */
export function splitPem(text: string): readonly string[] {
  return (text.match(PEM_CERTIFICATE) ?? []).map((pem) => `${pem}\n`);
}

/** SHA-256 of DER bytes in lower-case hexadecimal. */
export function sha256Hex(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** One PEM certificate, parsed. Throws CERTIFICATE_MALFORMED, which names `what`. */
export function parseCertificate(pem: string | Buffer, what: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new TrysailError('CERTIFICATE_MALFORMED', `${what} is not an X.509 certificate`, {
      cause,
      remedy: 'Give a PEM file that begins with "-----BEGIN CERTIFICATE-----".',
    });
  }
}

/**
 * The names of a certificate as Node writes them, such as `URI:spiffe://…` and `DNS:ca.example`. A comma inside of a name
 * is `\u002c` there, so that no name can pass for two.
 * @param text `subjectAltName` of an `X509Certificate`, `subjectaltname` of a peer's
 * @see https://nodejs.org/api/crypto.html#x509subjectaltname
 */
export function namesIn(text: string | undefined): readonly string[] {
  return text?.split(', ') ?? [];
}

function spiffeIdOf(certificate: X509Certificate): SpiffeId | undefined {
  const uris = namesIn(certificate.subjectAltName)
    .filter((name) => name.startsWith('URI:'))
    .map((name) => name.slice(4));
  const [uri] = uris;
  // Two URI names make an SVID invalid (X509-SVID, section 2).
  return uris.length === 1 && uri?.startsWith('spiffe://') === true ? (uri as SpiffeId) : undefined;
}

/** What there is to know of a certificate without asking whether it is to be trusted. */
export function certificateFacts(certificate: X509Certificate): CertificateFacts {
  return {
    spiffeId: spiffeIdOf(certificate),
    serial: certificate.serialNumber.toLowerCase(),
    notBeforeMs: Date.parse(certificate.validFrom),
    notAfterMs: Date.parse(certificate.validTo),
    fingerprint: sha256Hex(certificate.raw),
  };
}
