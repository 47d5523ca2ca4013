import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import * as fc from 'fast-check';
import { addressAt, holdsAddress, parseAddressRange } from '../lib/address-range.ts';
import { TrysailError } from '../lib/errors.ts';
import { type AddressEntry, assignAddresses, MAX_UNUSED, RELEASE_AFTER_DAYS } from '../model/service-addresses.ts';
import { ServiceAddresses } from './service-addresses-file.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

const V4 = parseAddressRange('127.240.0.0/16');
const V6 = parseAddressRange('2001:2::/64');
const SMALL = parseAddressRange('127.240.0.8/29');

const none = new Set<string>();
const plan = (today: number, ranges = [V4, V6]): Parameters<typeof assignAddresses>[2] => ({
  ranges,
  taken: none,
  today,
});
const addressesOf = (entries: readonly AddressEntry[]): Map<string, readonly string[]> =>
  new Map(entries.map(({ host, addresses }) => [host, addresses]));

test('ranges: addresses by number, and whether one is theirs', () => {
  assert.equal(addressAt(V4, 1), '127.240.0.1');
  assert.equal(addressAt(V4, 255), undefined);
  assert.equal(addressAt(V6, 0x1_0002), '2001:2::1:2');
  assert.ok(holdsAddress(V6, '2001:2::1:2'));
  for (const other of ['127.241.0.1', '127.240.0.0', '2001:2:0:1::1', '2001:0002::1', '::ffff:127.240.0.1', 'x', ''])
    assert.equal(holdsAddress(V4, other) || holdsAddress(V6, other), false, other);
  for (const bad of ['127.240.0.0', '127.240.0.0/33', '127.0.0.0/31', 'a/8', '::/0', '1.2.3.4/-1', '1.2.3.4/8.0'])
    assert.throws(
      () => parseAddressRange(bad),
      (e) => e instanceof TrysailError && e.code === 'ADDRESS_RANGE_INVALID',
      bad,
    );
});

test('every range has an address for a service, of each family one', () => {
  const entries = assignAddresses([], ['reviews.default.mesh'], plan(1, [SMALL, V4, V6]));
  assert.equal(entries.length, 1);
  assert.deepEqual(
    entries[0]?.addresses.map((address) => [SMALL, V4, V6].findIndex((range) => holdsAddress(range, address))),
    [0, 2],
  );
});

test('no two services share an address, and nobody loses one that he has, whatever happens', () => {
  const hosts = fc.uniqueArray(
    fc.integer({ min: 0, max: 60 }).map((i) => `s${i}.default.mesh`),
    { maxLength: 40 },
  );
  const range = fc.constantFrom(SMALL, V4, parseAddressRange('127.240.1.0/27'));
  fc.assert(
    fc.property(fc.array(fc.tuple(hosts, fc.integer({ min: 0, max: 20 })), { maxLength: 12 }), range, (steps, v4) => {
      let entries: readonly AddressEntry[] = [];
      let today = 100;
      for (const [called, days] of steps) {
        today += days;
        const before = addressesOf(entries);
        // What is read from disk may be in any order.
        entries = assignAddresses(entries.toReversed(), called, plan(today, [v4, V6]));
        const now = addressesOf(entries);
        const all = entries.flatMap(({ addresses }) => addresses);
        assert.equal(new Set(all).size, all.length);
        for (const host of called) {
          for (const address of before.get(host) ?? []) assert.ok(now.get(host)?.includes(address));
          assert.ok((now.get(host) ?? []).filter((address) => address.includes(':')).length === 1);
        }
        for (const { addresses } of entries)
          assert.ok(addresses.every((address) => holdsAddress(v4, address) || holdsAddress(V6, address)));
        assert.ok(entries.every(({ lastUsedDay }) => today - lastUsedDay <= RELEASE_AFTER_DAYS));
      }
    }),
  );
});

test('the same services get the same addresses in any order, where no hashes meet', () => {
  const hosts = ['a.default.mesh', 'b.default.mesh', 'c.payments.mesh'];
  const one = addressesOf(assignAddresses([], hosts, plan(1)));
  const other = hosts
    .toReversed()
    .reduce<readonly AddressEntry[]>((entries, host) => assignAddresses(entries, [host], plan(1)), []);
  assert.deepEqual(addressesOf(other), one);
});

test('an address is released after thirty days, and the unused are bounded', () => {
  const [first] = assignAddresses([], ['a'], plan(1));
  assert.ok(first !== undefined);
  assert.deepEqual(assignAddresses([first], [], plan(1 + RELEASE_AFTER_DAYS)), [first]);
  assert.deepEqual(assignAddresses([first], [], plan(2 + RELEASE_AFTER_DAYS)), []);
  const many = assignAddresses(
    [],
    Array.from({ length: MAX_UNUSED + 5 }, (_, i) => `h${i}`),
    plan(1),
  );
  assert.equal(assignAddresses(many, [], plan(2)).length, MAX_UNUSED);
});

test('a range that is full has nothing for the next; what is taken is nobody’s', () => {
  const hosts = Array.from({ length: 10 }, (_, i) => `h${i}`);
  const entries = assignAddresses([], hosts, { ranges: [SMALL], taken: new Set(['127.240.0.9']), today: 1 });
  const given = entries.flatMap(({ addresses }) => addresses);
  assert.equal(given.length, 7);
  assert.ok(!given.includes('127.240.0.9'));
  const later = assignAddresses(entries, ['late'], { ranges: [SMALL], taken: none, today: 2 });
  const late = later.find(({ host }) => host === 'late');
  assert.equal(late?.addresses.length, 1, 'those that nobody calls make room');
});

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'trysail-addresses-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

test('addresses outlive the agent', async (t) => {
  const file = join(await folder(t), 'addresses.json');
  const first = await ServiceAddresses.open({ file, ranges: [V4] });
  first.call(['a', 'b']);
  await first.save();
  const again = await ServiceAddresses.open({ file, ranges: [V4] });
  again.call(['b', 'c']);
  assert.deepEqual(again.of('b'), first.of('b'));
  assert.deepEqual(again.of('a'), [], 'nobody calls it');
  assert.deepEqual(again.diagnostics, []);
  again.call(['a']);
  assert.deepEqual(again.of('a'), first.of('a'), 'it is kept for it');
});

test('a file that cannot be read or written is a diagnostic, and addresses are there all the same', async (t) => {
  const dir = await folder(t);
  const file = join(dir, 'addresses.json');
  const entry = { host: 'a', addresses: ['127.240.9.9'], lastUsedDay: 1 };
  for (const text of [
    '',
    '{',
    '[]',
    '{"version":2,"services":[]}',
    JSON.stringify({ version: 1, services: [{ ...entry, lastUsedDay: -1 }] }),
  ]) {
    await writeFile(file, text);
    const addresses = await ServiceAddresses.open({ file, ranges: [V4] });
    assert.deepEqual(
      addresses.diagnostics.map(({ code }) => code),
      ['TRY0107'],
      text,
    );
    addresses.call(['a']);
    assert.equal(addresses.of('a').length, 1);
    await addresses.save();
    assert.deepEqual(addresses.diagnostics, []);
    assert.match(await readFile(file, 'utf8'), /"host": "a"/);
  }
  const nowhere = await ServiceAddresses.open({ file: join(dir, 'missing', 'addresses.json'), ranges: [SMALL] });
  nowhere.call(['a']);
  await nowhere.save();
  assert.deepEqual(
    nowhere.diagnostics.map(({ code }) => code),
    ['TRY0107'],
  );
});

test('addresses in the file that are not of the ranges, or twice there, are given anew', async (t) => {
  const file = join(await folder(t), 'addresses.json');
  const services = [
    { host: 'a', addresses: ['10.0.0.1'], lastUsedDay: 9_000_000 },
    { host: 'b', addresses: ['127.240.0.7'], lastUsedDay: 1 },
    { host: 'c', addresses: ['127.240.0.7', '127.240.0.8'], lastUsedDay: 2 },
  ];
  await writeFile(file, JSON.stringify({ version: 1, services }));
  const addresses = await ServiceAddresses.open({ file, ranges: [V4], now: () => 3 * 86_400_000 });
  addresses.call(['a', 'b', 'c']);
  const given = ['a', 'b', 'c'].flatMap((host) => addresses.of(host));
  assert.equal(new Set(given).size, given.length);
  assert.ok(given.every((address) => holdsAddress(V4, address)));
});
