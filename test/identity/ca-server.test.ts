/** The CA over real gRPC and TLS, asked by a client that is not ours. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import 'reflect-metadata';
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from '@peculiar/x509';
import { certificateFacts } from '../../src/identity/certificate.ts';
import { createCsr } from '../../src/identity/csr.ts';
import { generatePrivateKey } from '../../src/identity/private-key.ts';
import { silentLog } from '../../src/lib/log.ts';
import { eventually } from '../support/eventually.ts';
import { type Ask, ask, type Credential, refusedWith } from './istio-client.ts';
import { type MeshCa, spiffe, startMeshCa } from './mesh-ca.ts';

const INVALID_ARGUMENT = 3;
const PERMISSION_DENIED = 7;
const RESOURCE_EXHAUSTED = 8;
const UNAUTHENTICATED = 16;

const facts = (pem: string | undefined) => certificateFacts(new X509Certificate(pem ?? ''));

function askAt(ca: MeshCa, request: Omit<Ask, 'address' | 'rootPem'>) {
  return ask({ address: ca.address, rootPem: ca.rootPem, ...request });
}

async function joined(ca: MeshCa, host = 'vm-1', allow = ['default/*']): Promise<Credential> {
  return askAt(ca, { bearer: await ca.token({ allow }), metadata: { Host: host } });
}

test('a client like Istio gets a credential with a bearer token alone', async (t) => {
  const ca = await startMeshCa(t);
  const { chain, answer } = await askAt(ca, { bearer: await ca.token({ host: 'vm-7' }), validitySeconds: 86_400 });
  const leaf = new X509Certificate(chain[0] ?? '');
  assert.equal(facts(chain[0]).spiffeId, 'spiffe://prod.example/host/vm-7');
  assert.equal(leaf.subject, undefined);
  assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.2'], 'client only');
  const root = new X509Certificate(answer.at(-1) ?? '');
  assert.ok(leaf.verify(root.publicKey), 'leaf first, root last');
  const days = (facts(chain[0]).notAfterMs - Date.now()) / 86_400_000;
  assert.ok(days > 29.9 && days <= 30, `${days} days`);
});

test('a host gets what it is entitled to, whatever its CSR says', async (t) => {
  const ca = await startMeshCa(t);
  const host = await joined(ca);
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const subtle = globalThis.crypto.subtle;
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  const csr = await Pkcs10CertificateRequestGenerator.create({
    name: 'CN=admin',
    keys: {
      privateKey: await subtle.importKey(
        'pkcs8',
        new Uint8Array(keys.privateKey.export({ type: 'pkcs8', format: 'der' })),
        algorithm,
        true,
        ['sign'],
      ),
      publicKey: await subtle.importKey(
        'spki',
        new Uint8Array(keys.publicKey.export({ type: 'spki', format: 'der' })),
        algorithm,
        true,
        ['verify'],
      ),
    },
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [new SubjectAlternativeNameExtension([{ type: 'url', value: spiffe('payments', 'ledger') }])],
  });
  const wished = await askAt(ca, {
    certificate: host,
    csr: csr.toString('pem'),
    metadata: { ImpersonatedIdentity: spiffe('default', 'reviews') },
  });
  const leaf = new X509Certificate(wished.chain[0] ?? '');
  assert.equal(leaf.subjectAltName, 'URI:spiffe://prod.example/ns/default/sa/reviews');
  assert.equal(leaf.subject, undefined);
  assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  const { notBeforeMs, notAfterMs } = facts(wished.chain[0]);
  assert.ok(notBeforeMs < Date.now() - 60_000, 'begins a little in the past');
  assert.ok(notAfterMs <= Date.now() + 86_400_000);

  const denied = { certificate: host, metadata: { ImpersonatedIdentity: spiffe('payments', 'ledger') } };
  await assert.rejects(askAt(ca, denied), refusedWith(PERMISSION_DENIED, /may have default\/\*, not payments\/ledger/));
  const foreign = { certificate: host, metadata: { ImpersonatedIdentity: 'spiffe://other/ns/default/sa/reviews' } };
  await assert.rejects(askAt(ca, foreign), refusedWith(PERMISSION_DENIED, /trust domain prod\.example, not other/));
  for (const identity of ['spiffe://prod.example/host/vm-2', 'spiffe://prod.example/trysail/ca', 'reviews']) {
    const odd = { certificate: host, metadata: { ImpersonatedIdentity: identity } };
    await assert.rejects(askAt(ca, odd), refusedWith(INVALID_ARGUMENT, /is not spiffe:/));
  }
});

test('a workload renews its own identity and no other', async (t) => {
  const ca = await startMeshCa(t);
  const host = await joined(ca);
  const reviews = await askAt(ca, {
    certificate: host,
    metadata: { ImpersonatedIdentity: spiffe('default', 'reviews') },
  });
  const renewed = await askAt(ca, { certificate: reviews, validitySeconds: 3600 });
  assert.equal(facts(renewed.chain[0]).spiffeId, spiffe('default', 'reviews'));
  assert.ok(facts(renewed.chain[0]).notAfterMs <= Date.now() + 3_600_000, 'a shorter life is granted');
  const other = { certificate: renewed, metadata: { ImpersonatedIdentity: spiffe('default', 'ratings') } };
  await assert.rejects(askAt(ca, other), refusedWith(PERMISSION_DENIED, /renews that identity alone/));
  await ca.hosts.revoke('vm-1', Date.now());
  await assert.rejects(askAt(ca, { certificate: renewed }), refusedWith(PERMISSION_DENIED, /vm-1" has been revoked/));
  await assert.rejects(askAt(ca, { certificate: host }), refusedWith(PERMISSION_DENIED, /vm-1" has been revoked/));
});

test('lifetimes are capped', async (t) => {
  const ca = await startMeshCa(t, { workloadLifetimeMs: 600_000 });
  const host = await joined(ca);
  const metadata = { ImpersonatedIdentity: spiffe('default', 'reviews') };
  const long = await askAt(ca, { certificate: host, validitySeconds: 10 ** 9, metadata });
  assert.ok(facts(long.chain[0]).notAfterMs <= Date.now() + 600_000);
});

test('tokens that do not admit say why', async (t) => {
  const ca = await startMeshCa(t);
  const other = await startMeshCa(t);
  const metadata = { Host: 'vm-1' };
  const with_ = (bearer: string): Promise<unknown> => askAt(ca, { bearer, metadata });

  await assert.rejects(with_(await other.token()), refusedWith(UNAUTHENTICATED, /did not issue the join token/));
  await assert.rejects(with_('eyJhbGciOiJSUzI1NiJ9.e30.x'), refusedWith(UNAUTHENTICATED, /not a join token/));
  const expired = await ca.token({ ttlMs: 1000 });
  const revoked = await ca.token();
  const [latest] = await ca.tokens.list();
  await ca.tokens.revoke(latest?.state === 'valid' ? latest.id : '');
  const used = await ca.token();
  await with_(used);
  await assert.rejects(
    askAt(ca, { bearer: used, metadata: { Host: 'vm-2' } }),
    refusedWith(UNAUTHENTICATED, /has been used/),
  );
  await assert.rejects(with_(revoked), refusedWith(UNAUTHENTICATED, /has been revoked: make a new one/));
  ca.setClockAhead(1001);
  await assert.rejects(with_(expired), refusedWith(UNAUTHENTICATED, /has expired: make a new one/));
  await assert.rejects(
    askAt(ca, { bearer: await ca.token({ host: 'vm-9' }), metadata }),
    refusedWith(PERMISSION_DENIED, /made for another host/),
  );
  await assert.rejects(askAt(ca, { bearer: await ca.token() }), refusedWith(INVALID_ARGUMENT, /names no host/));
  await assert.rejects(
    askAt(ca, { bearer: await ca.token(), metadata: { Host: '../../etc' } }),
    refusedWith(INVALID_ARGUMENT, /names no host/),
  );
  await assert.rejects(
    askAt(ca, {}),
    refusedWith(UNAUTHENTICATED, /neither a join token nor a valid client certificate/),
  );
});

test('a single-use token admits exactly one of twenty clients at once', async (t) => {
  const ca = await startMeshCa(t);
  const bearer = await ca.token();
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, async (_, i) => askAt(ca, { bearer, metadata: { Host: `vm-${i}` } })),
  );
  const admitted = results.filter((result) => result.status === 'fulfilled');
  assert.equal(admitted.length, 1);
  for (const result of results) {
    if (result.status === 'rejected') refusedWith(UNAUTHENTICATED, /has been used/)(result.reason);
  }
  assert.equal((await ca.hosts.list()).length, 1);
});

test('the same host with the same key may repeat a join whose answer it lost', async (t) => {
  const ca = await startMeshCa(t);
  const bearer = await ca.token();
  const key = await generatePrivateKey();
  await askAt(ca, { bearer, key, metadata: { Host: 'vm-1' } });
  await askAt(ca, { bearer, key, metadata: { Host: 'vm-1' } });
  await assert.rejects(
    askAt(ca, { bearer, key, metadata: { Host: 'vm-2' } }),
    refusedWith(UNAUTHENTICATED, /been used/),
  );
});

test('a host name belongs to its key until an operator says otherwise', async (t) => {
  const ca = await startMeshCa(t);
  const first = await joined(ca);
  const metadata = { Host: 'vm-1' };
  const workload = await askAt(ca, { certificate: first, metadata: { ImpersonatedIdentity: spiffe('default', 'a') } });
  await assert.rejects(
    askAt(ca, { bearer: await ca.token(), metadata }),
    refusedWith(PERMISSION_DENIED, /another host holds the name "vm-1" .* --host vm-1/),
  );
  // The same key with a new token: what it may have changes.
  await askAt(ca, { bearer: await ca.token({ allow: ['shop/*'] }), key: first.key, metadata });
  assert.deepEqual((await ca.hosts.get('vm-1'))?.allow, ['shop/*']);
  // A token made for the name replaces the host, and voids what the old one has.
  await askAt(ca, { bearer: await ca.token({ host: 'vm-1' }), metadata });
  await assert.rejects(
    askAt(ca, { certificate: first }),
    refusedWith(PERMISSION_DENIED, /joined anew with another key/),
  );
  await assert.rejects(askAt(ca, { certificate: workload }), refusedWith(PERMISSION_DENIED, /joined anew/));
  await ca.hosts.revoke('vm-1', Date.now());
  await assert.rejects(
    askAt(ca, { bearer: await ca.token(), metadata }),
    refusedWith(PERMISSION_DENIED, /has been revoked; to admit it again/),
  );
  await new Promise((resolve) => setTimeout(resolve, 2));
  const again = await askAt(ca, { bearer: await ca.token({ host: 'vm-1' }), metadata });
  await askAt(ca, { certificate: again, key: again.key });
});

test('a host credential is renewed with its own key, and only with it', async (t) => {
  const ca = await startMeshCa(t);
  const host = await joined(ca);
  const renewed = await askAt(ca, { certificate: host, key: host.key });
  assert.notEqual(facts(renewed.chain[0]).serial, facts(host.chain[0]).serial);
  assert.equal((await ca.hosts.get('vm-1'))?.serial, facts(renewed.chain[0]).serial);
  await assert.rejects(
    askAt(ca, { certificate: host }),
    refusedWith(PERMISSION_DENIED, /with the key that the host joined with/),
  );
});

test('certificates of others and expired ones count for nothing', async (t) => {
  const ca = await startMeshCa(t, { hostLifetimeMs: 3000 });
  const other = await startMeshCa(t);
  const foreign = await joined(other);
  const none = refusedWith(UNAUTHENTICATED, /neither a join token nor a valid client certificate/);
  await assert.rejects(askAt(ca, { certificate: foreign }), none);
  const short = await joined(ca);
  await new Promise((resolve) => setTimeout(resolve, 3100));
  await assert.rejects(askAt(ca, { certificate: short }), none);
  // A host that the CA has lost the record of.
  const lost = await startMeshCa(t);
  const key = await generatePrivateKey();
  const stray = await lost.authority.signHost(key.publicKeyDer(), 'spiffe://prod.example/host/vm-5' as never, 60_000);
  await assert.rejects(
    askAt(lost, { certificate: { chain: [stray.certificatePem], key } }),
    refusedWith(PERMISSION_DENIED, /no record of host "vm-5": join with a new token/),
  );
});

test('bad requests are refused with the reason', async (t) => {
  const ca = await startMeshCa(t);
  const bearer = await ca.token();
  const metadata = { Host: 'vm-1' };
  const csr = createCsr(await generatePrivateKey());
  const body = csr.split('\n').slice(1, -2).join('');
  const der = Buffer.from(body, 'base64');
  der[der.length - 1] = (der.at(-1) ?? 0) ^ 1;
  const tampered = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /not a PEM-encoded PKCS#10/],
    ['-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n', /not a PEM-encoded PKCS#10/],
    [tampered, /signature does not verify/],
    ['A'.repeat(20_000), /larger than 16384 bytes/],
  ];
  for (const [text, reason] of cases) {
    // protobuf cannot tell an empty CSR from none.
    await assert.rejects(askAt(ca, { bearer, csr: text, metadata }), refusedWith(INVALID_ARGUMENT, reason));
  }
  await assert.rejects(
    askAt(ca, { bearer, csr: 'A'.repeat(100_000), metadata }),
    refusedWith(RESOURCE_EXHAUSTED, /larger/),
  );
  const [token] = await ca.tokens.list();
  assert.equal(token?.used, 0, 'a bad CSR does not cost the token');
});

test('too many requests from one address are put off', async (t) => {
  const ca = await startMeshCa(t, { rateLimit: { perSecond: 0.001, burst: 2 } });
  await assert.rejects(askAt(ca, {}), refusedWith(UNAUTHENTICATED, /neither/));
  await assert.rejects(askAt(ca, {}), refusedWith(UNAUTHENTICATED, /neither/));
  await assert.rejects(askAt(ca, {}), refusedWith(RESOURCE_EXHAUSTED, /wait and retry/));
});

test("the server's own certificate is renewed without a restart", async (t) => {
  const ca = await startMeshCa(t, { serverLifetimeMs: 4000 });
  const before = ca.server.status().serverCertificateNotAfterMs ?? 0;
  await eventually('renewed', () => (ca.server.status().serverCertificateNotAfterMs ?? 0) > before);
  await eventually('the certificate that it began with has ended', () => Date.now() > before);
  // A process that is stopped for longer than one lasts shows one that has ended, and renews it thereupon.
  let host = 0;
  await eventually('served with another', async () => {
    host += 1;
    await joined(ca, `vm-${host}`);
  });
});

test('every decision is in the audit log, and no secret', async (t) => {
  const lines: { readonly message: string; readonly fields: unknown }[] = [];
  const record = (fields: unknown, message: string): void => void lines.push({ fields, message });
  const log = { ...silentLog(), info: record, warn: record, child: () => log } as never;
  const ca = await startMeshCa(t, { log });
  const bearer = await ca.token();
  await askAt(ca, { bearer, metadata: { Host: 'vm-1' } });
  await assert.rejects(askAt(ca, { bearer, metadata: { Host: 'vm-2\n{"forged":1}' } }));
  const messages = lines.map(({ message }) => message);
  assert.deepEqual(messages, ['issued', 'refused']);
  const text = JSON.stringify(lines);
  assert.match(text, /"kind":"join","id":"spiffe:\/\/prod.example\/host\/vm-1"/);
  assert.ok(!text.includes(bearer.slice(20, 60)));
  assert.ok(!text.includes('\\n{'));
});

test('a CA whose state is unreadable says so and admits nobody', async (t) => {
  const ca = await startMeshCa(t);
  const host = await joined(ca);
  await writeFile(join(ca.dir, 'hosts', 'vm-1', 'record.json'), '{"host":');
  await assert.rejects(
    askAt(ca, { certificate: host, key: host.key }),
    refusedWith(13, /cannot read or write its state/),
  );
});
