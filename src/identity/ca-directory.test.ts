import 'reflect-metadata';
import assert from 'node:assert/strict';
import { webcrypto, X509Certificate } from 'node:crypto';
import { chmod, copyFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BasicConstraintsExtension, PemConverter, X509CertificateGenerator } from '@peculiar/x509';
import { CA_FILES, initCa, loadCa } from './ca-directory.ts';
import { certificateFacts } from './certificate.ts';
import { CertificateAuthority, issuingHost } from './certificate-authority.ts';
import { generatePrivateKey } from './private-key.ts';

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'ts-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return join(dir, 'ca');
}

test('initCa() makes a root of ten years, its key and folder for the owner alone', async (t) => {
  const dir = await folder(t);
  const made = await initCa(dir, 'prod.example');
  assert.equal((await stat(dir)).mode & 0o777, 0o700);
  assert.equal((await stat(join(dir, 'ca-key.pem'))).mode & 0o777, 0o600);
  const root = new X509Certificate(await readFile(join(dir, 'root-cert.pem')));
  assert.ok(root.ca && root.verify(root.publicKey));
  assert.equal(root.subjectAltName, 'URI:spiffe://prod.example');
  assert.equal(new Date(root.validTo).getUTCFullYear() - new Date().getUTCFullYear(), 10);
  assert.equal(made.rootFingerprint, certificateFacts(root).fingerprint);
  assert.deepEqual(made.intermediatesPem, []);
});

test('initCa() overwrites nothing, not even a part', async (t) => {
  const dir = await folder(t);
  await initCa(dir, 'prod.example');
  const key = await readFile(join(dir, CA_FILES.key), 'utf8');
  await assert.rejects(initCa(dir, 'prod.example'), { code: 'CA_EXISTS' });
  await rm(join(dir, CA_FILES.root));
  await assert.rejects(initCa(dir, 'prod.example'), { code: 'CA_EXISTS' });
  assert.equal(await readFile(join(dir, CA_FILES.key), 'utf8'), key);
  await assert.rejects(initCa(`${dir}2`, 'Not A Domain'), { code: 'TRUST_DOMAIN_INVALID' });
});

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
  const dir = await folder(t);
  await initCa(dir, 'prod.example');
  await plugIn(dir);
  const material = await loadCa(dir);
  assert.equal(material.intermediatesPem.length, 1);
  const authority = await CertificateAuthority.create(material);
  const key = await generatePrivateKey();
  const host = { host: 'h'.repeat(100), keySha256: 'a'.repeat(64) };
  const issued = await authority.signWorkload(
    key.publicKeyDer(),
    'spiffe://prod.example/ns/a/sa/b' as never,
    host,
    86_400_000,
  );
  const [leaf, intermediate, root] = authority.chainOf(issued).map((pem) => new X509Certificate(pem));
  assert.ok(leaf && intermediate && root);
  assert.ok(leaf.checkIssued(intermediate) && leaf.verify(intermediate.publicKey));
  assert.ok(intermediate.verify(root.publicKey));
  assert.ok(issued.notAfterMs <= Date.parse(intermediate.validTo), 'not longer than the CA');
  assert.deepEqual(issuingHost(leaf.raw), host);
});

test('loadCa() names what does not belong together', async (t) => {
  const dir = await folder(t);
  const other = await folder(t);
  await initCa(dir, 'prod.example');
  await initCa(other, 'prod.example');
  const key = join(dir, CA_FILES.key);
  const keep = await readFile(key);

  await chmod(key, 0o644);
  await assert.rejects(loadCa(dir), { code: 'CA_KEY_EXPOSED' });
  await chmod(key, 0o600);
  await copyFile(join(other, CA_FILES.key), key);
  await assert.rejects(loadCa(dir), { code: 'CA_INCONSISTENT', message: /ca-key\.pem is not the .* key of ca-cert/ });
  await writeFile(key, 'rubbish');
  await assert.rejects(loadCa(dir), { code: 'CA_INCONSISTENT' });
  await writeFile(key, keep);
  await copyFile(join(other, CA_FILES.root), join(dir, CA_FILES.root));
  await assert.rejects(loadCa(dir), { code: 'CA_INCONSISTENT', message: /does not lead to root-cert\.pem/ });
  await copyFile(join(dir, CA_FILES.certificate), join(dir, CA_FILES.root));
  await loadCa(dir);
  await assert.rejects(loadCa(dir, Date.now() + 11 * 365 * 86_400_000), { message: /CA certificate ".*" expired/ });
  await writeFile(join(dir, CA_FILES.settings), '{}');
  await assert.rejects(loadCa(dir), { code: 'CA_INCONSISTENT', message: /no valid trust domain/ });
  await assert.rejects(loadCa(join(dir, 'nowhere')), { code: 'CA_FILE_UNREADABLE' });
});
