/** Ranges of addresses (`127.240.0.0/16`, `2001:2::/64`) and the usable addresses in them, by number. */
import { isIP } from 'node:net';
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

function toNumber(address: string, family: 4 | 6): bigint {
  if (family === 4) return address.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = '', tail] = canonical.split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const all = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return all.reduce((sum, group) => sum * 65_536n + BigInt(`0x${group}`), 0n);
}

function toText(number: bigint, family: 4 | 6): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => String((number >> shift) & 255n)).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((number >> BigInt(112 - 16 * i)) & 65_535n).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

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
  const base = (toNumber(address, family) >> BigInt(hostBits)) << BigInt(hostBits);
  return { text, base, family, size: 2 ** Math.min(hostBits, 32) };
}

/**
 * The `n`th address, or undefined where it is not to be given to anyone: those that end in .0 and .255, which some
 * software takes for a network's, and of IPv6 the first.
 */
export function addressAt({ base, family }: AddressRange, n: number): string | undefined {
  const number = base + BigInt(n);
  if (family === 6) return n === 0 ? undefined : toText(number, 6);
  const last = number & 255n;
  return last === 0n || last === 255n ? undefined : toText(number, 4);
}

/** Whether `address` is one that the range could have given, in the form in which it gives it. */
export function holdsAddress(range: AddressRange, address: string): boolean {
  if (isIP(address) !== range.family || address.includes('%')) return false;
  const n = toNumber(address, range.family) - range.base;
  return n >= 0n && n < BigInt(range.size) && addressAt(range, Number(n)) === address;
}
