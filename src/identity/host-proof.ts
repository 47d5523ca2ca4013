/**
 * A host's proof that it holds the key which the CA has on record: a signature over what it asks for and a nonce of the
 * CA's. TLS cannot give it once the certificate has expired.
 */
import { createHmac, createPublicKey, randomBytes, sign, timingSafeEqual, verify } from 'node:crypto';
import { sha256Hex } from './certificate.ts';
import type { HostProof } from './host-method.ts';
import type { PrivateKey } from './private-key.ts';

/** What a proof is good for; a signature for one is none for another. */
export type ProofPurpose = 're-enrol' | 'leave';

const NONCE_LIFE_MS = 60_000;

function proofText(purpose: ProofPurpose, host: string, nonce: string, payload: string): Buffer {
  return Buffer.from(`trysail host proof 1\n${purpose}\n${host}\n${nonce}\n${sha256Hex(payload)}\n`);
}

/** @param payload what the request carries beside the proof, such as the CSR */
export function signProof(
  key: PrivateKey,
  request: { readonly purpose: ProofPurpose; readonly host: string; readonly nonce: string; readonly payload: string },
): HostProof {
  const { purpose, host, nonce, payload } = request;
  return {
    host,
    publicKey: key.publicKeyDer().toString('base64'),
    nonce,
    signature: sign('sha256', proofText(purpose, host, nonce, payload), key.keyObject()).toString('base64'),
  };
}

/** SHA-256 of the key that made the proof, hexadecimal; undefined when the signature is not right. */
export function provenKey(proof: HostProof, purpose: ProofPurpose, payload: string): string | undefined {
  try {
    const spki = Buffer.from(proof.publicKey, 'base64');
    const key = createPublicKey({ key: spki, type: 'spki', format: 'der' });
    const signed = proofText(purpose, proof.host, proof.nonce, payload);
    return verify('sha256', signed, key, Buffer.from(proof.signature, 'base64')) ? sha256Hex(spki) : undefined;
  } catch {
    return undefined;
  }
}

/** Nonces of one process, which remembers none of them; by a clock that nobody sets. */
export class Nonces {
  readonly #secret = randomBytes(32);
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  make(): string {
    const atMs = Math.floor(this.#now()).toString(36);
    return `${atMs}.${this.#mac(atMs).toString('base64url')}`;
  }

  /** Whether this process made it within the last minute. */
  isFresh(nonce: string): boolean {
    const [atMs = '', mac = ''] = nonce.split('.');
    const given = Buffer.from(mac, 'base64url');
    const wanted = this.#mac(atMs);
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return false;
    return this.#now() - Number.parseInt(atMs, 36) <= NONCE_LIFE_MS;
  }

  #mac(text: string): Buffer {
    return createHmac('sha256', this.#secret).update(text).digest();
  }
}
