import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DnsDomainsFile, dnsDomains, dnsDomainsText, MAX_DNS_DOMAINS } from './dns-domains.ts';

test('names below .mesh are one domain, others their own, and short ones stay where they are', () => {
  const names = [
    'reviews.default.mesh',
    'reviews.mesh',
    'Reviews.Service.Consul',
    'v1.reviews.service.consul',
    'api.example.com',
    'example.com',
    'reviews.corp',
    'notmesh',
  ];
  assert.deepEqual(dnsDomains(names), {
    routed: ['api.example.com', 'mesh', 'reviews.service.consul'],
    left: ['example.com', 'reviews.corp', 'notmesh'],
  });
});

test('not more domains than the resolver takes', () => {
  const names = Array.from({ length: MAX_DNS_DOMAINS + 3 }, (_, i) => `s${i}.service.consul`);
  const { routed, left } = dnsDomains(names);
  assert.equal(routed.length, MAX_DNS_DOMAINS);
  assert.deepEqual(left, names.slice(MAX_DNS_DOMAINS));
});

test('the file is written when it changes, and goes when there is nothing to say', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'trysail-dns-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const path = join(dir, 'dns-domains');
  const listen = { address: '127.0.0.1', port: 15_053 };
  const errors: unknown[] = [];
  const file = new DnsDomainsFile(path, (error) => {
    errors.push(error);
  });
  t.after(() => file.close());
  await file.set(listen, ['mesh']);
  assert.equal(await readFile(path, 'utf8'), 'listen 127.0.0.1:15053\nmesh\n');
  const first = await stat(path);
  assert.equal(first.mode & 0o777, 0o640);
  await file.set(listen, ['mesh']);
  assert.equal((await stat(path)).ino, first.ino, 'whoever watches it is not woken');
  await file.set(listen, ['mesh', 'a.b.c']);
  assert.notEqual((await stat(path)).ino, first.ino);
  await file.set(listen, []);
  await file.set(listen, []);
  await assert.rejects(stat(path), { code: 'ENOENT' });
  assert.equal(errors.length, 0);
  await new DnsDomainsFile(join(dir, 'missing', 'x'), (error) => errors.push(error)).set(listen, ['mesh']);
  assert.equal(errors.length, 1);
  assert.match(dnsDomainsText({ address: '::1', port: 53 }, []), /^listen \[::1\]:53\n$/);
});
