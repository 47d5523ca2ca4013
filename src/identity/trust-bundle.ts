/** The roots that a host trusts: what the CA says now, and what it said before until that expires. */
import { certificateFacts, parseCertificate, splitPem } from './certificate.ts';

/** A CA that changes its root more often than this in ten years is broken; bounds what is kept. */
const MAX_ROOTS = 10;

/**
 * The new roots first, then the known ones that differ and have not expired: during a change of the root, peers with
 * certificates of the old one stay trusted. https://istio.io/latest/docs/tasks/security/cert-management/
 */
export function mergeRoots(known: readonly string[], received: readonly string[], nowMs: number): readonly string[] {
  const byFingerprint = new Map<string, string>();
  for (const pem of [...received, ...known].flatMap(splitPem)) {
    const { fingerprint, notAfterMs } = certificateFacts(parseCertificate(pem, 'a root certificate'));
    if (notAfterMs > nowMs && !byFingerprint.has(fingerprint)) byFingerprint.set(fingerprint, pem);
  }
  return [...byFingerprint.values()].slice(0, MAX_ROOTS);
}

export interface RootFacts {
  /** On one line, such as `O=prod.example, CN=Trysail root CA`. */
  readonly subject: string;
  /** SHA-256 of the DER, lower-case hexadecimal. */
  readonly sha256: string;
  /** Milliseconds since 1970. */
  readonly notAfterMs: number;
}

/** What a person needs to tell one root from another. */
export function rootFacts(pem: string): RootFacts {
  const certificate = parseCertificate(pem, 'a root certificate');
  const { fingerprint, notAfterMs } = certificateFacts(certificate);
  return { subject: certificate.subject.replaceAll('\n', ', '), sha256: fingerprint, notAfterMs };
}
