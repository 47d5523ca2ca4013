/**
 * Documents with a signature around them. What is signed are the bytes that are stored, together with the type, so that
 * nothing depends on how JSON is written, and a document of one type can never stand for another.
 */
import { createHash, sign, verify } from 'node:crypto';
import * as z from 'zod/mini';
import type { SigningKey, VerifyingKey } from './signing-key.ts';

const envelope = z.strictObject({
  type: z.string().check(z.maxLength(64)),
  key: z.string().check(z.regex(/^[0-9a-f]{20}$/)),
  signature: z.string().check(z.regex(/^[A-Za-z0-9_-]{86}$/)),
  payload: z.string(),
});

/** A document whose signature is good. */
export interface Opened {
  readonly payload: string;
  /** Id of the key that signed it. */
  readonly key: string;
  /** Of the payload: what the next one names as the one before. */
  readonly hash: string;
}

/** Why something is not taken: a sentence for people, without a full stop. */
export interface Refused {
  readonly refused: string;
}

export function isRefused(result: object): result is Refused {
  return 'refused' in result;
}

/** SHA-256 in base64url, 43 characters. */
export function contentHash(text: string | Uint8Array): string {
  return createHash('sha256').update(text).digest('base64url');
}

/** The lengths make it impossible to move bytes between the type and the text (as in DSSE's pre-authentication encoding). */
function signedBytes(type: string, text: string): Buffer {
  const length = (part: string): number => Buffer.byteLength(part);
  return Buffer.from(`trysail-signed-v1 ${length(type)} ${type} ${length(text)} ${text}`);
}

/** A signature over a text of this type, base64url. */
export function signText(type: string, text: string, key: SigningKey): string {
  return sign(null, signedBytes(type, text), key.privateKey).toString('base64url');
}

/** Whether the signature over a text of this type is good. */
export function verifyText(type: string, text: string, signature: string, key: VerifyingKey): boolean {
  return verify(null, signedBytes(type, text), key.publicKey, Buffer.from(signature, 'base64url'));
}

/** The document as it is stored. */
export function sealDocument(type: string, payload: string, key: SigningKey): string {
  return JSON.stringify({ type, key: key.id, signature: signText(type, payload, key), payload });
}

/**
 * Opens what `sealDocument` made. Never throws.
 * @param keyOf the key of an id, or why it does not count
 */
export function openDocument(
  type: string,
  bytes: Uint8Array | string,
  keyOf: (id: string) => VerifyingKey | Refused,
  maxBytes: number,
): Opened | Refused {
  if (bytes.length > maxBytes) return { refused: `it is larger than ${maxBytes} bytes` };
  let value: unknown;
  try {
    value = JSON.parse(typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('utf8'));
  } catch {
    return { refused: 'it is not JSON' };
  }
  const parsed = z.safeParse(envelope, value);
  if (!parsed.success) return { refused: 'it is not a signed document' };
  const { data } = parsed;
  if (data.type !== type) return { refused: `it is a "${data.type}" and no "${type}"` };
  const key = keyOf(data.key);
  if ('refused' in key) return key;
  if (!verifyText(type, data.payload, data.signature, key))
    return { refused: `the signature of key ${data.key} does not belong to it` };
  return { payload: data.payload, key: data.key, hash: contentHash(data.payload) };
}
