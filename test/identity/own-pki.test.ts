/** Signing with an intermediate of an operator's PKI, and changing the root under a running mesh. */
import 'reflect-metadata';
import assert from 'node:assert/strict';
import { webcrypto, X509Certificate } from 'node:crypto';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { BasicConstraintsExtension, PemConverter, X509CertificateGenerator } from '@peculiar/x509';
import { CA_FILES, initCa, loadCa } from '../../src/identity/ca-directory.ts';
import { CertificateAuthority, issuingHost } from '../../src/identity/certificate-authority.ts';
import { IdentityKeeper } from '../../src/identity/identity-keeper.ts';
import { encodeJoinToken } from '../../src/identity/join-token.ts';
import { generatePrivateKey } from '../../src/identity/private-key.ts';
import { silentLog } from '../../src/lib/log.ts';
import { tempDir } from '../support/temp-dir.ts';
import { spiffe, startMeshCa, TRUST_DOMAIN } from './mesh-ca.ts';

const REVIEWS = spiffe('default', 'reviews');

const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** An intermediate of an operator's PKI, signed by another root with RSA, in the folder of an existing CA. */
async function plugIn(dir: string): Promise<void> {
  const rsa = {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
  };
  const rootKeys = await webcrypto.subtle.generateKey(rsa, true, ['sign', 'verify']);
  const keys = await webcrypto.subtle.generateKey(EC, true, ['sign', 'verify']);
  const notAfter = new Date(Date.now() + 40 * 86_400_000);
  const extensions = [new BasicConstraintsExtension(true, undefined, true)];
  const root = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=Corp',
    keys: rootKeys,
    notAfter,
    extensions,
  });
  const intermediate = await X509CertificateGenerator.create({
    subject: 'CN=Mesh',
    issuer: 'CN=Corp',
    publicKey: keys.publicKey,
    signingKey: rootKeys.privateKey,
    signingAlgorithm: rsa,
    notAfter: new Date(Date.now() + 3_600_000),
    extensions,
  });
  await writeFile(join(dir, CA_FILES.root), root.toString('pem'));
  await writeFile(join(dir, CA_FILES.certificate), intermediate.toString('pem'));
  await writeFile(join(dir, CA_FILES.chain), `${intermediate.toString('pem')}\n${root.toString('pem')}\n`);
  const key = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  await writeFile(join(dir, CA_FILES.key), PemConverter.encode(key, 'PRIVATE KEY'));
}

test('an intermediate of another PKI signs, within its own life', async (t) => {
  const dir = join(await tempDir(t), 'ca');
  await initCa(dir, 'prod.example');
  await plugIn(dir);
  const material = await loadCa(dir);
  assert.equal(material.intermediatesPem.length, 1);
  const authority = await CertificateAuthority.create(material);
  const key = await generatePrivateKey();
  const host = { host: 'h'.repeat(100), keySha256: 'a'.repeat(64) };
  const issued = await authority.signWorkload(key.publicKeyDer(), REVIEWS, host, 86_400_000);
  const [leaf, intermediate, root] = authority.chainOf(issued).map((pem) => new X509Certificate(pem));
  assert.ok(leaf && intermediate && root);
  assert.ok(leaf.checkIssued(intermediate) && leaf.verify(intermediate.publicKey));
  assert.ok(intermediate.verify(root.publicKey));
  assert.ok(issued.notAfterMs <= Date.parse(intermediate.validTo), 'not longer than the CA');
  assert.deepEqual(issuingHost(leaf.raw), host);
});

test('hosts join and renew under an intermediate, by the fingerprint of its root', async (t) => {
  const ca = await startMeshCa(t);
  await plugIn(ca.dir);
  const material = await loadCa(ca.dir);
  await ca.stop();
  await ca.restart({ authority: await CertificateAuthority.create(material) });
  const { id, secret } = await ca.tokens.create({ allow: ['default/*'], uses: 1, ttlMs: 60_000 });
  const text = encodeJoinToken({ ca: [ca.address], root: material.rootFingerprint, id, secret });
  const provider = ca.provider({ stateDir: await tempDir(t), token: () => text });
  const issued = await provider.issue(REVIEWS, new AbortController().signal);
  assert.equal(issued.certificateChainPem.match(/BEGIN CERTIFICATE/g)?.length, 2, 'leaf and intermediate');
  assert.deepEqual(issued.rootsPem, material.rootsPem);
});

test('the root is changed in three steps, and no host notices', async (t) => {
  const ca = await startMeshCa(t);
  const next = join(await tempDir(t), 'ca');
  await initCa(next, TRUST_DOMAIN);
  const stateDir = await tempDir(t);
  const text = await ca.token();
  const keeper = new IdentityKeeper({
    provider: ca.provider({ stateDir, token: () => text }),
    identities: [REVIEWS],
    stateDir,
    persist: true,
    log: silentLog(),
    onChange: () => undefined,
  });
  t.after(() => keeper.stop());
  await keeper.start();
  assert.ok(await keeper.whenReady(10_000));
  const root = (dir: string): Promise<string> => readFile(join(dir, CA_FILES.root), 'utf8');
  const [oldRoot, newRoot] = [await root(ca.dir), await root(next)];
  const reload = async (): Promise<void> => {
    await ca.stop();
    await ca.restart({ authority: await CertificateAuthority.create(await loadCa(ca.dir)) });
    await keeper.rotateNow();
  };
  const signedBy = (): string => {
    const leaf = new X509Certificate(keeper.material().certificates[0]?.certificateChainPem ?? '');
    const of = (pem: string): boolean => leaf.verify(new X509Certificate(pem).publicKey);
    return of(oldRoot) ? 'old' : of(newRoot) ? 'new' : 'neither';
  };

  await writeFile(join(ca.dir, CA_FILES.root), oldRoot + newRoot);
  await reload();
  assert.equal(signedBy(), 'old');
  assert.equal(keeper.status().roots.length, 2, 'both are trusted before anything is signed by the new one');

  for (const name of [CA_FILES.certificate, CA_FILES.key, CA_FILES.chain])
    await copyFile(join(next, name), join(ca.dir, name));
  await reload();
  assert.equal(signedBy(), 'new');
  assert.equal(keeper.status().roots.length, 2);

  // With the next request the host credential moves to the new root too.
  await keeper.rotateNow();

  await writeFile(join(ca.dir, CA_FILES.root), newRoot);
  await reload();
  assert.equal(signedBy(), 'new');
});
