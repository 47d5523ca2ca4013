/** Reading a CSR that comes from the network: only its key is of interest, and the proof that the caller holds it. */
import 'reflect-metadata';
import { createPublicKey } from 'node:crypto';
import { Pkcs10CertificateRequest } from '@peculiar/x509';

const MAX_CSR_BYTES = 16_384;
const CURVES: ReadonlySet<string> = new Set(['prime256v1', 'secp384r1', 'secp521r1']);
const RSA_BITS = { least: 2048, most: 8192 };

export type CheckedCsr = { readonly publicKey: Buffer } | { readonly problem: string };

/**
 * The DER of the public key in a PEM request whose signature is right and whose key is strong enough; otherwise a
 * sentence saying why not. Subject, names and extensions of the request are not looked at.
 */
export async function checkCsr(pem: string): Promise<CheckedCsr> {
  if (pem.length > MAX_CSR_BYTES) return { problem: `the CSR is larger than ${MAX_CSR_BYTES} bytes` };
  let request: Pkcs10CertificateRequest;
  let publicKey: Buffer;
  try {
    request = new Pkcs10CertificateRequest(pem);
    publicKey = Buffer.from(request.publicKey.rawData);
  } catch {
    return { problem: 'the CSR is not a PEM-encoded PKCS#10 request' };
  }
  const weakness = keyWeakness(publicKey);
  if (weakness !== undefined) return { problem: weakness };
  const proven = await request.verify().catch(() => false);
  return proven ? { publicKey } : { problem: "the CSR's signature does not verify with its own key" };
}

function keyWeakness(spki: Buffer): string | undefined {
  const accepted = 'use ECDSA P-256, P-384 or P-521, or RSA of 2048 to 8192 bits';
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = createPublicKey({ key: spki, type: 'spki', format: 'der' });
    if (asymmetricKeyType === 'ec' && CURVES.has(asymmetricKeyDetails?.namedCurve ?? '')) return undefined;
    const bits = asymmetricKeyDetails?.modulusLength ?? 0;
    if (asymmetricKeyType === 'rsa' && bits >= RSA_BITS.least && bits <= RSA_BITS.most) return undefined;
    return `the CSR's key is ${asymmetricKeyType ?? 'unknown'} ${asymmetricKeyDetails?.namedCurve ?? bits}: ${accepted}`;
  } catch {
    return `the CSR's key cannot be read: ${accepted}`;
  }
}
