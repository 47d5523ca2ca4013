/**
 * PKCS#10 requests with an empty subject: all that a CA needs which takes the names from the caller's authentication.
 * Written by hand, since an X.509 library would cost every agent 15 MB for these seven fields.
 * https://www.rfc-editor.org/rfc/rfc2986#section-4
 */
import { sign } from 'node:crypto';
import type { PrivateKey } from './private-key.ts';

const SEQUENCE = 0x30;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
/** `attributes [0] IMPLICIT SET`, empty. */
const NO_ATTRIBUTES = Buffer.from([0xa0, 0x00]);
/** OID 1.2.840.10045.4.3.2, ecdsa-with-SHA256, with its tag and length. */
const ECDSA_WITH_SHA256 = Buffer.from('06082a8648ce3d040302', 'hex');

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const hex = body.length.toString(16);
  const length = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, body]);
}

/** The PEM request for an ECDSA key, signed with it. */
export function createCsr(key: PrivateKey): string {
  const info = der(SEQUENCE, der(INTEGER, Buffer.from([0])), der(SEQUENCE), key.publicKeyDer(), NO_ATTRIBUTES);
  const signature = sign('sha256', info, key.keyObject());
  const request = der(
    SEQUENCE,
    info,
    der(SEQUENCE, ECDSA_WITH_SHA256),
    der(BIT_STRING, Buffer.from([0]), signature),
  ).toString('base64');
  const lines = request.match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines.join('\n')}\n-----END CERTIFICATE REQUEST-----\n`;
}
