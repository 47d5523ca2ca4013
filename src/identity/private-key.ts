/** Private keys as a type that cannot be printed by accident: logs, JSON, templates and `inspect` show a placeholder. */
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { inspect, promisify } from 'node:util';

const PLACEHOLDER = '[private key]';

/** A private key in PKCS#8 or SEC1 PEM. Only `reveal` gives it away. */
export class PrivateKey {
  readonly #pem: string;

  constructor(pem: string) {
    this.#pem = pem;
  }

  /** The PEM text; for files of mode 0600 and for the TLS stack alone. */
  reveal(): string {
    return this.#pem;
  }

  toString(): string {
    return PLACEHOLDER;
  }

  toJSON(): string {
    return PLACEHOLDER;
  }

  [inspect.custom](): string {
    return PLACEHOLDER;
  }

  /** As Node's key object. Throws what Node throws when the text is not an unencrypted private key. */
  keyObject(): KeyObject {
    return createPrivateKey(this.#pem);
  }

  /** The public half, DER of SubjectPublicKeyInfo. */
  publicKeyDer(): Buffer {
    return createPublicKey(this.keyObject()).export({ type: 'spki', format: 'der' });
  }
}

const generate = promisify(generateKeyPair);

/** A fresh ECDSA P-256 key. */
export async function generatePrivateKey(): Promise<PrivateKey> {
  const { privateKey } = await generate('ec', { namedCurve: 'P-256' });
  return new PrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' }));
}
