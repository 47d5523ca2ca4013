import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { initCa } from './ca-directory.ts';
import { CertificateAuthority } from './certificate-authority.ts';
import { FilesProvider } from './files-provider.ts';
import { generatePrivateKey } from './private-key.ts';

const ID = 'spiffe://prod.example/ns/default/sa/reviews' as never;
const HOST = { host: 'vm-1', keySha256: '0'.repeat(64) };

/** Another file in its place: of two within one tick of the kernel's clock the times are the same. */
async function put(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

async function files(t: TestContext) {
  const dir = await mkdtemp(join(tmpdir(), 'ts-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const authority = await CertificateAuthority.create(await initCa(join(dir, 'ca'), 'prod.example'));
  const paths = { certificateFile: join(dir, 'c.pem'), keyFile: join(dir, 'k.pem'), rootFile: join(dir, 'r.pem') };
  const write = async (id = ID): Promise<string> => {
    const key = await generatePrivateKey();
    const issued = await authority.signWorkload(key.publicKeyDer(), id, HOST, 3_600_000);
    await put(paths.certificateFile, issued.certificatePem);
    await put(paths.keyFile, key.reveal());
    await put(paths.rootFile, authority.material.rootsPem.join(''));
    return issued.certificatePem;
  };
  return { paths, write };
}

test('FilesProvider reads a certificate, its key and the roots', async (t) => {
  const { paths, write } = await files(t);
  const pem = await write();
  const provider = new FilesProvider(paths);
  const issued = await provider.issue(ID);
  assert.equal(issued.certificateChainPem, pem);
  assert.equal(issued.rootsPem.length, 1);
  assert.equal(provider.status().reachable, true);
});

test('FilesProvider names the file that is missing or wrong', async (t) => {
  const { paths, write } = await files(t);
  const provider = new FilesProvider(paths);
  await assert.rejects(provider.issue(ID), { code: 'IDENTITY_FILE_UNREADABLE', message: /c\.pem \(ENOENT\)/ });
  await write('spiffe://prod.example/ns/default/sa/other' as never);
  await assert.rejects(provider.issue(ID), {
    code: 'IDENTITY_FILE_WRONG',
    message: /is for .*other, not for .*reviews/,
  });
  await write();
  await writeFile(paths.keyFile, (await generatePrivateKey()).reveal());
  await assert.rejects(provider.issue(ID), { code: 'IDENTITY_FILE_WRONG', message: /k\.pem is not the unencrypted/ });
  await write();
  await writeFile(paths.rootFile, 'nothing');
  await assert.rejects(provider.issue(ID), { code: 'IDENTITY_FILE_WRONG', message: /r\.pem holds no certificate/ });
  await write();
  await writeFile(paths.certificateFile, 'nothing');
  await assert.rejects(provider.issue(ID), { code: 'CERTIFICATE_MALFORMED' });
  assert.match(provider.status().lastError ?? '', /c\.pem is not an X\.509 certificate/);
});

test('FilesProvider calls back when a file has been replaced, and only then', async (t) => {
  const { paths, write } = await files(t);
  await write();
  // Each look waits for the test.
  let look: () => void = () => undefined;
  let looked: () => void = () => undefined;
  const clock = {
    now: () => Date.now(),
    sleep: async (_ms: number, signal: AbortSignal): Promise<boolean> => {
      looked();
      return new Promise((resolve) => {
        look = () => resolve(true);
        signal.addEventListener('abort', () => resolve(false), { once: true });
      });
    },
  };
  const provider = new FilesProvider({ ...paths, clock });
  await provider.issue(ID);
  const stop = new AbortController();
  let changes = 0;
  provider.watch(() => void (changes += 1), stop.signal);
  const lookOnce = async (): Promise<void> =>
    new Promise((resolve) => {
      looked = resolve;
      look();
    });
  await lookOnce();
  assert.equal(changes, 0);
  await write();
  await lookOnce();
  assert.equal(changes, 1);
  await lookOnce();
  assert.equal(changes, 1);
  stop.abort();
});
