/** The little of DNS that a learner of names needs: one question in, its addresses or a refusal out (RFC 1035). */
import { isIPv4, isIPv6 } from 'node:net';

export interface DnsQuestion {
  readonly id: number;
  /** In lower case, without a final dot. */
  readonly name: string;
  /** 1 is A, 28 is AAAA. */
  readonly type: number;
  /** The question as it came, which an answer repeats. */
  readonly raw: Buffer;
}

export const TYPE_A = 1;
export const TYPE_AAAA = 28;

const CODES = { found: 0, failed: 2, unknown: 3 } as const;

const HEADER_BYTES = 12;
const MAX_NAME = 253;
const IN = 1;

/** The question of a query; undefined for anything that is none, or is not asked as resolvers ask. */
export function readQuestion(message: Buffer): DnsQuestion | undefined {
  if (message.length < HEADER_BYTES + 5 || message.readUInt16BE(4) !== 1 || (message.readUInt8(2) & 0xf8) !== 0)
    return undefined;
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > 63) return undefined;
    at += 1;
    if (length === 0) break;
    labels.push(message.toString('latin1', at, at + length).toLowerCase());
    at += length;
    if (at > message.length || at > HEADER_BYTES + MAX_NAME) return undefined;
  }
  if (at + 4 > message.length || message.readUInt16BE(at + 2) !== IN) return undefined;
  const name = labels.join('.');
  return {
    id: message.readUInt16BE(0),
    name,
    type: message.readUInt16BE(at),
    raw: message.subarray(HEADER_BYTES, at + 4),
  };
}

/** The bytes of an address; of IPv4 in mapped form (`::ffff:127.240.0.1`) as well. */
function addressBytes(address: string): Buffer | undefined {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  if (!isIPv6(address)) return undefined;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined)
    return Buffer.concat([Buffer.alloc(10), Buffer.from([0xff, 0xff]), Buffer.from(mapped.split('.').map(Number))]);
  const [head = '', tail] = address.split('::');
  const groups = (text: string): readonly string[] => (text === '' ? [] : text.split(':'));
  const first = groups(head);
  const last = tail === undefined ? [] : groups(tail);
  const zeros = Array<string>(8 - first.length - last.length).fill('0');
  const bytes = Buffer.alloc(16);
  for (const [i, group] of [...first, ...zeros, ...last].entries())
    bytes.writeUInt16BE(Number.parseInt(group, 16), i * 2);
  return bytes;
}

/**
 * The answer to a question.
 * @param addresses of which those of the family that was asked for are told
 */
export function writeAnswer(
  question: DnsQuestion,
  code: keyof typeof CODES,
  addresses: readonly string[],
  ttlMs: number,
): Buffer {
  const size = question.type === TYPE_A ? 4 : 16;
  const told = addresses.flatMap((address) => {
    const bytes = addressBytes(address);
    return bytes?.length === size ? [bytes] : [];
  });
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(question.id, 0);
  // An answer, authoritative, with recursion as asked for.
  header.writeUInt16BE(0x8580 | CODES[code], 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(told.length, 6);
  const records = told.map((bytes) => {
    const record = Buffer.alloc(12);
    record.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
    record.writeUInt16BE(question.type, 2);
    record.writeUInt16BE(IN, 4);
    record.writeUInt32BE(Math.floor(ttlMs / 1000), 6);
    record.writeUInt16BE(bytes.length, 10);
    return Buffer.concat([record, bytes]);
  });
  return Buffer.concat([header, question.raw, ...records]);
}
