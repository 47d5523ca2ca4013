/** A workload's certificate, and the check of what a provider hands out as one. */
import { TrysailError } from '../lib/errors.ts';
import type { SpiffeId } from '../model/spiffe-id.ts';
import { certificateFacts, parseCertificate, splitPem } from './certificate.ts';
import type { IssuedCertificate } from './certificate-provider.ts';
import type { PrivateKey } from './private-key.ts';

/** A workload's certificate as Envoy gets it. */
export interface WorkloadCertificate {
  readonly spiffeId: SpiffeId;
  /** Leaf first, without the root. */
  readonly certificateChainPem: string;
  /** `reveal()` gives the PEM; everything else prints a placeholder. */
  readonly privateKey: PrivateKey;
  /** Milliseconds since 1970. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Lower-case hexadecimal. */
  readonly serial: string;
}

/**
 * The provider is trusted to issue, not to be free of mistakes: Envoy would refuse what does not fit together.
 * Throws CERTIFICATE_MALFORMED, CERTIFICATE_WRONG, or CLOCK_AHEAD when the certificate has ended by this host's clock.
 */
export function acceptCertificate(id: SpiffeId, issued: IssuedCertificate, nowMs: number): WorkloadCertificate {
  const { certificateChainPem, privateKey } = issued;
  const leaf = parseCertificate(splitPem(certificateChainPem)[0] ?? '', `the certificate issued for ${id}`);
  const { spiffeId, serial, notBeforeMs, notAfterMs } = certificateFacts(leaf);
  if (spiffeId !== id || !leaf.checkPrivateKey(privateKey.keyObject())) {
    throw new TrysailError(
      'CERTIFICATE_WRONG',
      `the certificate issued for ${id} is for ${spiffeId ?? 'no SPIFFE id'} or for another key`,
      { remedy: 'Check that trustDomain in meshconfig.yaml is the one of the CA.' },
    );
  }
  if (notAfterMs <= nowMs) {
    const [ended, now] = [new Date(notAfterMs).toISOString(), new Date(nowMs).toISOString()];
    throw new TrysailError(
      'CLOCK_AHEAD',
      `the certificate for ${id} ended at ${ended}, by this host's clock it is ${now}`,
      {
        remedy: "Set this host's clock, or renew the certificate.",
      },
    );
  }
  return { spiffeId: id, certificateChainPem, privateKey, notBeforeMs, notAfterMs, serial };
}
