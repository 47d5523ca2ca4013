/** Ranges of IP addresses in CIDR notation, such as `10.0.0.0/8`; a single address is a range of its own. */
import { isIpAddress } from './ip-address.ts';

export interface IpRange {
  /** Without the bits that do not count, in the notation that Envoy compares: `10.0.0.0`. */
  readonly address: string;
  /** How many bits count. */
  readonly bits: number;
  /** The bytes of the address. */
  readonly bytes: readonly number[];
}

function ipv4Bytes(text: string): readonly number[] {
  return text.split('.').map(Number);
}

function ipv6Bytes(text: string): readonly number[] {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const groups = (part: string): readonly number[] =>
    part === ''
      ? []
      : part.split(':').flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]);
  const last = dotted === null ? [] : ipv4Bytes(dotted[2] ?? '');
  const rest = dotted === null ? text : (dotted[1] ?? '').replace(/([^:]):$/, '$1');
  const [head = '', tail] = rest.split('::');
  if (tail === undefined) return [...groups(head), ...last];
  const [before, after] = [groups(head), [...groups(tail.replace(/:$/, '')), ...last]];
  return [...before, ...Array.from({ length: 16 - before.length - after.length }, () => 0), ...after];
}

function textOf(bytes: readonly number[]): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((bytes[2 * i] ?? 0) * 256 + (bytes[2 * i + 1] ?? 0)).toString(16),
  );
  return groups.join(':');
}

/** The range that a text stands for; undefined for what is none. */
export function ipRange(text: string): IpRange | undefined {
  const [address = '', length, ...rest] = text.split('/');
  if (rest.length > 0 || !isIpAddress(address)) return undefined;
  const all = address.includes(':') ? ipv6Bytes(address) : ipv4Bytes(address);
  const most = all.length * 8;
  const bits = length === undefined ? most : Number(length);
  if (!Number.isInteger(bits) || bits < 0 || bits > most || length === '') return undefined;
  const bytes = all.map((byte, i) => byte & (0xff << Math.max(0, 8 - Math.max(0, bits - 8 * i))) & 0xff);
  const whole = bits === most;
  return { address: whole ? address : textOf(bytes), bits, bytes };
}

/** Whether all of `inner` lies in `outer`. */
export function holdsRange(outer: IpRange, inner: IpRange): boolean {
  if (outer.bytes.length !== inner.bytes.length || outer.bits > inner.bits) return false;
  return outer.bytes.every((byte, i) => {
    const mask = (0xff << Math.max(0, 8 - Math.max(0, outer.bits - 8 * i))) & 0xff;
    return byte === ((inner.bytes[i] ?? 0) & mask);
  });
}

/** The same text for the same range. */
export function rangeKey({ bytes, bits }: IpRange): string {
  return `${bytes.join('.')}/${bits}`;
}
