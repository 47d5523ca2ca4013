/** The text form of a join token: where the CA is, how to know it, and the secret that admits. */
import * as z from 'zod/mini';
import { TrysailError } from '../lib/errors.ts';

const PREFIX = 'trysail-join-1.';
/** Far above any real token; bounds what is decoded. */
const MAX_LENGTH = 4096;

const Schema = z.strictObject({
  /** Addresses of the CA, `host:port`. */
  ca: z.array(z.string().check(z.minLength(1), z.maxLength(300))).check(z.minLength(1), z.maxLength(8)),
  /** SHA-256 of the root certificate's DER, hexadecimal. */
  root: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  /** Of the mesh; tokens of earlier versions lack it. */
  trustDomain: z.optional(z.string().check(z.regex(/^[a-z0-9._-]{1,255}$/))),
  id: z.string().check(z.regex(/^[0-9a-z]{4,40}$/)),
  secret: z.string().check(z.regex(/^[A-Za-z0-9_-]{43}$/)),
});

/** A decoded join token. `secret` is 256 random bits, base64url: never to be logged. */
export type JoinToken = z.output<typeof Schema>;

/** The one line that `decodeJoinToken` reads. It holds the secret. */
export function encodeJoinToken(token: JoinToken): string {
  return PREFIX + Buffer.from(JSON.stringify(token)).toString('base64url');
}

/** Reads a token's text; white space around it does not count. Throws TOKEN_MALFORMED without quoting the text. */
export function decodeJoinToken(text: string): JoinToken {
  const trimmed = text.trim();
  let value: unknown;
  if (trimmed.startsWith(PREFIX) && trimmed.length <= MAX_LENGTH) {
    try {
      value = JSON.parse(Buffer.from(trimmed.slice(PREFIX.length), 'base64url').toString('utf8'));
    } catch {
      value = undefined;
    }
  }
  const result = z.safeParse(Schema, value);
  if (result.success) return result.data;
  throw new TrysailError(
    'TOKEN_MALFORMED',
    `this is not a join token (it has to begin with "${PREFIX}" and be whole)`,
    {
      remedy: 'Copy the one line that "trysail token create" printed.',
    },
  );
}
