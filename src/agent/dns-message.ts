/** The little of DNS that a learner of names needs: one question in, its addresses or a refusal out (RFC 1035). */
import { isIPv4, isIPv6 } from 'node:net';
import {
  type Answer,
  AUTHORITATIVE_ANSWER,
  decode,
  encode,
  type Question,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
} from 'dns-packet';

export interface DnsQuestion {
  readonly id: number;
  /** In lower case, without a final dot. */
  readonly name: string;
  /** Of which family addresses are asked for; undefined: it is something else that is asked for. */
  readonly family: 4 | 6 | undefined;
  /** The question as it came, which an answer repeats. */
  readonly asked: Readonly<Question>;
}

/** Response codes (RFC 1035, 4.1.1). */
const CODES = { found: 0, failed: 2, unknown: 3 } as const;

const FLAGS = AUTHORITATIVE_ANSWER | RECURSION_DESIRED | RECURSION_AVAILABLE;

/** Largest message by UDP (RFC 1035, 4.2.1); a question is never near it. */
const MAX_BYTES = 512;

/** Opcode and the bit of answers, in the third byte of a message: 0 for an ordinary question. */
const KIND_OF_QUERY = 0xf8;

/** What a label that is no text becomes when it is read; an answer could not repeat it. */
const UNREADABLE = '\u{fffd}';

/** The question of a query; undefined for anything that is none, or is not asked as resolvers ask. */
export function readQuestion(message: Buffer): DnsQuestion | undefined {
  if (message.length > MAX_BYTES || ((message[2] ?? 0) & KIND_OF_QUERY) !== 0) return undefined;
  try {
    const { id = 0, questions = [] } = decode(message);
    const [asked, ...others] = questions;
    if (asked === undefined || others.length > 0 || asked.class !== 'IN' || asked.name.includes(UNREADABLE))
      return undefined;
    const family = asked.type === 'A' ? 4 : asked.type === 'AAAA' ? 6 : undefined;
    return { id, name: asked.name.toLowerCase(), family, asked };
  } catch {
    return undefined;
  }
}

/**
 * The answer to a question.
 * @param addresses of which those of the family that was asked for are told; IPv4 in mapped form
 *   (`::ffff:127.240.0.1`) is IPv6
 */
export function writeAnswer(
  { id, family, asked }: DnsQuestion,
  code: keyof typeof CODES,
  addresses: readonly string[],
  ttlMs: number,
): Buffer {
  const ttl = Math.floor(ttlMs / 1000);
  const answers = addresses.flatMap((data): Answer[] => {
    if (family === 4 && isIPv4(data)) return [{ type: 'A', name: asked.name, ttl, data }];
    return family === 6 && isIPv6(data) ? [{ type: 'AAAA', name: asked.name, ttl, data }] : [];
  });
  return encode({ type: 'response', id, flags: FLAGS | CODES[code], questions: [asked], answers });
}
