/** Ranges of IP addresses in CIDR notation, such as `10.0.0.0/8`; a single address is a range of its own. */
import { parseIp, stringifyIp } from 'ip-bigint';
import { isIpAddress } from './ip-address.ts';

export interface IpRange {
  /** Without the bits that do not count, in the notation that Envoy compares: `10.0.0.0`. */
  readonly address: string;
  /** How many bits count. */
  readonly bits: number;
  readonly version: 4 | 6;
  /** The address as a number. */
  readonly base: bigint;
}

const WIDTH = { 4: 32, 6: 128 } as const;

/** The range that a text stands for; undefined for what is none. */
export function ipRange(text: string): IpRange | undefined {
  const [address = '', length, ...rest] = text.split('/');
  if (rest.length > 0 || !isIpAddress(address)) return undefined;
  const { number, version } = parseIp(address, { validate: false });
  const most = WIDTH[version];
  const bits = length === undefined ? most : Number(length);
  if (!Number.isInteger(bits) || bits < 0 || bits > most || length === '') return undefined;
  const base = withoutRest(number, version, bits);
  const plain = bits === most ? address : stringifyIp({ number: base, version }, { compress: false });
  return { address: plain, bits, version, base };
}

function withoutRest(number: bigint, version: 4 | 6, bits: number): bigint {
  const rest = BigInt(WIDTH[version] - bits);
  return (number >> rest) << rest;
}

/** Whether all of `inner` lies in `outer`. */
export function holdsRange(outer: IpRange, inner: IpRange): boolean {
  if (outer.version !== inner.version || outer.bits > inner.bits) return false;
  return outer.base === withoutRest(inner.base, outer.version, outer.bits);
}

/** The same text for the same range. */
export function rangeKey({ version, base, bits }: IpRange): string {
  return `${version}:${base}/${bits}`;
}
