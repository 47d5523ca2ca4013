/**
 * Addresses of services that are called by name: one of each range for each service, by the hash of its host name, kept
 * for as long as it is used.
 */
import { createHash } from 'node:crypto';
import { type AddressRange, addressAt, holdsAddress } from '../lib/address-range.ts';

/** What a service has. */
export interface AddressEntry {
  /** Canonical host name of the service. */
  readonly host: string;
  /** At most one of each family. */
  readonly addresses: readonly string[];
  /** When it was last among the services that are called, in days since 1970. */
  readonly lastUsedDay: number;
}

export interface AddressPlan {
  /** IPv4 and IPv6, in order of preference; of each family the first range with room is taken. */
  readonly ranges: readonly AddressRange[];
  /** Addresses in the ranges that are others'. */
  readonly taken: ReadonlySet<string>;
  readonly today: number;
}

/** For how long the address of a service that nobody here calls any more is kept for it. */
export const RELEASE_AFTER_DAYS = 30;
/** Addresses kept for services that are not called; the longest unused go first. */
export const MAX_UNUSED = 1000;
/** How many places after the hashed one are tried. */
const MAX_PROBES = 4096;

/** A number below `bound` that depends on all of `text`. */
function hashBelow(text: string, bound: number): number {
  return createHash('sha256').update(text).digest().readUIntBE(0, 6) % bound;
}

function freeAddress(host: string, range: AddressRange, inUse: ReadonlySet<string>): string | undefined {
  const start = hashBelow(`${host} ${range.text}`, range.size);
  for (let i = 0; i < Math.min(range.size, MAX_PROBES); i++) {
    const address = addressAt(range, (start + i) % range.size);
    if (address !== undefined && !inUse.has(address)) return address;
  }
  return undefined;
}

/** The address of the service that has gone uncalled for longest, which then has none. */
function releasedAddress(
  range: AddressRange,
  kept: Map<string, AddressEntry>,
  called: ReadonlySet<string>,
): string | undefined {
  const oldest = [...kept.values()]
    .toSorted((a, b) => a.lastUsedDay - b.lastUsedDay)
    .find(({ host, addresses }) => !called.has(host) && addresses.some((address) => holdsAddress(range, address)));
  if (oldest === undefined) return undefined;
  const address = oldest.addresses.find((candidate) => holdsAddress(range, candidate));
  kept.set(oldest.host, { ...oldest, addresses: oldest.addresses.filter((other) => other !== address) });
  return address;
}

/** The entries that may stay, newest use first, so that of two with one address the one in use keeps it. */
function keepers(
  entries: readonly AddressEntry[],
  called: ReadonlySet<string>,
  { ranges, taken, today }: AddressPlan,
): readonly AddressEntry[] {
  const known = new Set<string>();
  const addresses = new Set(taken);
  let unused = 0;
  return entries
    .toSorted((a, b) => Number(called.has(b.host)) - Number(called.has(a.host)) || b.lastUsedDay - a.lastUsedDay)
    .flatMap((entry) => {
      const isCalled = called.has(entry.host);
      // A clock that was ahead must not keep an entry for ever.
      const lastUsedDay = Math.min(entry.lastUsedDay, today);
      if (known.has(entry.host) || (!isCalled && today - lastUsedDay > RELEASE_AFTER_DAYS)) return [];
      if (!isCalled && ++unused > MAX_UNUSED) return [];
      const own = entry.addresses.filter(
        (address) => !addresses.has(address) && ranges.some((range) => holdsAddress(range, address)),
      );
      known.add(entry.host);
      for (const address of own) addresses.add(address);
      return [{ host: entry.host, addresses: own, lastUsedDay }];
    });
}

/**
 * The entries of `hosts`, with those of services that were called until lately. Whoever has an address in the ranges
 * keeps it; a service for which there is no room has fewer addresses, or none.
 * @param entries those of the call before, in any order, from any source
 * @param hosts canonical host names of the services that are called
 */
export function assignAddresses(
  entries: readonly AddressEntry[],
  hosts: readonly string[],
  plan: AddressPlan,
): readonly AddressEntry[] {
  const called = new Set(hosts);
  const kept = new Map(keepers(entries, called, plan).map((entry) => [entry.host, entry]));
  const inUse = new Set([...plan.taken, ...[...kept.values()].flatMap(({ addresses }) => addresses)]);
  for (const host of [...called].toSorted()) {
    const addresses = [...(kept.get(host)?.addresses ?? [])];
    for (const range of plan.ranges) {
      if (addresses.some((address) => range.family === (address.includes(':') ? 6 : 4))) continue;
      const address = freeAddress(host, range, inUse) ?? releasedAddress(range, kept, called);
      if (address === undefined) continue;
      addresses.push(address);
      inUse.add(address);
    }
    kept.set(host, { host, addresses, lastUsedDay: plan.today });
  }
  return [...kept.values()].toSorted((a, b) => (a.host < b.host ? -1 : 1));
}
