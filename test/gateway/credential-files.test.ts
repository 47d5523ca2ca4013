// Certificates that are files, as the agent reads them: whole or not at all.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CredentialFiles } from '../../src/agent/credential-files.ts';
import { credentialOf } from '../../src/agent/credential-read.ts';
import { createLog } from '../../src/lib/log.ts';
import { testAuthority } from '../translate/certificates.ts';

const made = mkdtempSync(join(tmpdir(), 'ts-'));
after(() => rmSync(made, { recursive: true, force: true }));

const authority = await testAuthority();
const one = await authority.issue('one.test');
const two = await authority.issue('two.test');

function follow(t: { after: (fn: () => unknown) => void }) {
  const folder = mkdtempSync(join(made, 'c-'));
  const changes: number[] = [];
  const files = new CredentialFiles({
    folder,
    log: createLog('error'),
    onChange: (secrets) => changes.push(secrets.size),
    pollMs: 5,
  });
  t.after(() => files.stop());
  const put = (name: string, file: string, text: string): void => {
    mkdirSync(join(folder, name), { recursive: true });
    // As whoever renews them does: a file is never seen half written.
    writeFileSync(join(folder, name, `.${file}`), text, { mode: 0o600 });
    renameSync(join(folder, name, `.${file}`), join(folder, name, file));
  };
  const codes = (): string[] =>
    files.diagnostics.map(({ code, severity, object }) => `${severity} ${code} ${object ?? ''}`);
  return { folder, files, changes, put, codes };
}

const pairName = (folder: string, name: string): string =>
  `file-cert:${folder}/${name}/tls.crt~${folder}/${name}/tls.key`;

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 10_000 && !condition(); i += 1)
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  assert.ok(condition());
}

test('a key pair is served once it is whole, and the last good one stays while files are wrong', async (t) => {
  const { folder, files, put, codes, changes } = follow(t);
  const name = pairName(folder, 'www');
  files.follow([name, 'spiffe://cluster.local/ns/default/sa/a']);
  await files.settled();
  assert.deepEqual(codes(), ['error IST0101 credential www']);
  assert.equal(files.secrets.size, 0);
  put('www', 'tls.crt', one.certificateChainPem);
  put('www', 'tls.key', two.privateKeyPem);
  await until(() => codes().join() === 'error IST0161 credential www');
  put('www', 'tls.key', one.privateKeyPem);
  await until(() => files.secrets.has(name));
  assert.deepEqual(codes(), []);
  const good = files.secrets.get(name);
  put('www', 'tls.crt', 'not a certificate');
  await until(() => codes().length > 0);
  assert.equal(files.secrets.get(name), good);
  assert.match(files.diagnostics[0]?.message ?? '', /stays in force/);
  put('www', 'tls.crt', one.certificateChainPem);
  await until(() => codes().length === 0);
  assert.equal(files.secrets.get(name), good, 'the same bytes are the same secret');
  put('www', 'tls.crt', two.certificateChainPem);
  put('www', 'tls.key', two.privateKeyPem);
  await until(() => files.secrets.get(name) !== good);
  assert.deepEqual(changes, [1, 1]);
  files.follow([]);
  await until(() => files.secrets.size === 0);
});

test('names of Kubernetes secrets are known; roots come with their list of revoked certificates', async (t) => {
  const { folder, files, put, codes } = follow(t);
  put('old', 'cert', one.certificateChainPem);
  put('old', 'key', one.privateKeyPem);
  put('old-cacert', 'cacert', two.certificateChainPem);
  const roots = `file-root:${folder}/old/ca.crt`;
  files.follow([pairName(folder, 'old'), roots]);
  await files.settled();
  assert.deepEqual(codes(), []);
  assert.deepEqual([...files.secrets.keys()], [pairName(folder, 'old'), roots]);
  put('old-cacert', 'ca.crl', 'nothing of the kind');
  await until(() => codes().join() === 'error IST0161 credential old');
  assert.ok(files.secrets.has(roots));
});

test('a key that everybody can read is used, and told', async (t) => {
  const { folder, files, put, codes } = follow(t);
  put('open', 'tls.crt', one.certificateChainPem);
  put('open', 'tls.key', one.privateKeyPem);
  chmodSync(join(folder, 'open', 'tls.key'), 0o644);
  files.follow([pairName(folder, 'open')]);
  await files.settled();
  assert.deepEqual(codes(), ['warning IST0161 credential open']);
  assert.equal(files.secrets.size, 1);
});

test('only names of files are credentials', () => {
  assert.equal(credentialOf('ROOTCA'), undefined);
  assert.equal(credentialOf('spiffe://cluster.local/ns/a/sa/b'), undefined);
  assert.deepEqual(credentialOf('file-root:/a~/b'), {
    kind: 'roots',
    name: 'file-root:/a~/b',
    roots: '/a',
    revoked: '/b',
  });
});

test('what is no regular file is neither waited for nor read without end', async (t) => {
  const { folder, files, put } = follow(t);
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  put('www', 'tls.crt', one.certificateChainPem);
  put('www', 'tls.key', one.privateKeyPem);
  const good = pairName(folder, 'www');
  const odd = [join(folder, 'pipe'), '/dev/zero', folder];
  files.follow([...odd.map((path) => `file-root:${path}`), good]);
  await files.settled();
  assert.deepEqual([...files.secrets.keys()], [good]);
  assert.deepEqual(
    files.diagnostics.map(({ message }) => message.replace(/;.*/, '')),
    odd.map((path) => `${path} is no regular file`),
  );
});
