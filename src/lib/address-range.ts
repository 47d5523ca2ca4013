/** Ranges of addresses (`127.240.0.0/16`, `2001:2::/64`) and the usable addresses in them, by number. */
import { isIP } from 'node:net';
import { parseIp, stringifyIp } from 'ip-bigint';
import { TrysailError } from './errors.ts';

export interface AddressRange {
  /** As it was written. */
  readonly text: string;
  /** Its first address as a number. */
  readonly base: bigint;
  readonly family: 4 | 6;
  /** How many addresses `addressAt` knows; at most 2^32. */
  readonly size: number;
}

const BITS = { 4: 32, 6: 128 } as const;

/** @param address what `isIP` has taken for one */
const toNumber = (address: string): bigint => parseIp(address, { validate: false }).number;

/** @throws TrysailError `ADDRESS_RANGE_INVALID` */
export function parseAddressRange(text: string): AddressRange {
  const [address = '', prefix = ''] = text.split('/');
  const family = isIP(address);
  const length = /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
  if ((family !== 4 && family !== 6) || !(length >= 8 && length <= BITS[family] - 2))
    throw new TrysailError('ADDRESS_RANGE_INVALID', `"${text}" is not a range of addresses`, {
      remedy: 'Write an address and the length of its prefix, such as 127.240.0.0/16.',
    });
  const hostBits = BITS[family] - length;
  const base = (toNumber(address) >> BigInt(hostBits)) << BigInt(hostBits);
  return { text, base, family, size: 2 ** Math.min(hostBits, 32) };
}

/**
 * The `n`th address, or undefined where it is not to be given to anyone: those that end in .0 and .255, which some
 * software takes for a network's, and of IPv6 the first.
 */
export function addressAt({ base, family }: AddressRange, n: number): string | undefined {
  const number = base + BigInt(n);
  if (family === 6) return n === 0 ? undefined : stringifyIp({ number, version: 6 });
  const last = number & 255n;
  return last === 0n || last === 255n ? undefined : stringifyIp({ number, version: 4 });
}

/** Whether `address` is one that the range could have given, in the form in which it gives it. */
export function holdsAddress(range: AddressRange, address: string): boolean {
  if (isIP(address) !== range.family || address.includes('%')) return false;
  const n = toNumber(address) - range.base;
  return n >= 0n && n < BigInt(range.size) && addressAt(range, Number(n)) === address;
}
