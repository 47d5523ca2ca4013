import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chmod, copyFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { CA_FILES, initCa, loadCa } from './ca-directory.ts';
import { certificateFacts } from './certificate.ts';

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
  const days = (Date.parse(root.validTo) - Date.now()) / 86_400_000;
  assert.ok(days > 3649 && days <= 3650, `${days} days`);
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
