import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { CertificateProvider } from '../identity/certificate-provider.ts';
import { silentLog } from '../lib/log.ts';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { workloadSpiffeId } from '../model/spiffe-id.ts';
import { createProvider } from './certificate-source.ts';
import { completeSettings } from './settings-complete.ts';
import { SETTINGS_SCHEMA } from './settings-schema.ts';

const ID = workloadSpiffeId({ trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'web' });
const never = new AbortController().signal;

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'trysail-provider-'));
  t.after(() => rmSync(dir, { recursive: true }));
  return dir;
}

async function provider(t: TestContext, dir: string, identity: unknown): Promise<CertificateProvider> {
  const completed = completeSettings(
    SETTINGS_SCHEMA.parse({ identity, services: [{ name: 'web' }], paths: { state: dir, run: dir } }),
    {
      file: undefined,
      base: { directory: dir, credentials: undefined },
      machine: { hostName: 'vm-1', address: '10.0.0.5', cores: 2 },
      exists: () => false,
    },
  );
  assert.ok('settings' in completed);
  const made = await createProvider(completed.settings, DEFAULT_MESH_CONFIG, silentLog());
  t.after(() => made.close());
  return made;
}

test('none issues nothing', async (t) => {
  const made = await provider(t, folder(t), { provider: 'none' });
  assert.equal(made.issues, false);
  assert.equal(made.status().provider, 'none');
});

test('files are read from where agent.yaml says', async (t) => {
  const dir = folder(t);
  const files = { certificateFile: 'web.crt', keyFile: 'web.key', rootFile: 'root.crt' };
  const made = await provider(t, dir, { provider: 'files', files });
  assert.deepEqual([made.issues, made.persistable, made.status().provider], [true, false, 'files']);
  assert.ok(ID !== undefined);
  await assert.rejects(made.issue(ID, never), (error: Error) => {
    assert.match(error.message, new RegExp(`${dir}/(web|root)\\.`));
    return true;
  });
});

test('the CA is asked with the join token, and a token that is not there or empty is said to be missing', async (t) => {
  const dir = folder(t);
  const joinTokenFile = join(dir, 'join.token');
  const made = await provider(t, dir, { provider: 'trysail-ca', ca: { address: '127.0.0.1:1', joinTokenFile } });
  assert.deepEqual([made.issues, made.persistable, made.status().provider], [true, true, 'trysail-ca']);
  assert.ok(ID !== undefined);
  await assert.rejects(made.issue(ID, never), { code: 'JOIN_TOKEN_MISSING' });
  writeFileSync(joinTokenFile, '\n');
  await assert.rejects(made.issue(ID, never), { code: 'JOIN_TOKEN_MISSING' });
  writeFileSync(joinTokenFile, '  half a token \n');
  await assert.rejects(made.issue(ID, never), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'TOKEN_MALFORMED');
    assert.doesNotMatch(error.message, /half a token/);
    return true;
  });
});

test('a join token that cannot be read is named with what to do', async (t) => {
  const dir = folder(t);
  const joinTokenFile = join(dir, 'join.token');
  // A folder in its place cannot be read by anybody, root included.
  mkdirSync(joinTokenFile);
  chmodSync(joinTokenFile, 0o700);
  const made = await provider(t, dir, { provider: 'trysail-ca', ca: { address: '127.0.0.1:1', joinTokenFile } });
  assert.ok(ID !== undefined);
  await assert.rejects(made.issue(ID, never), (error: Error & { code?: string; remedy?: string }) => {
    assert.equal(error.code, 'JOIN_TOKEN_UNREADABLE');
    assert.match(error.message, new RegExp(`^${joinTokenFile}: EISDIR`));
    assert.match(error.remedy ?? '', /readable for the user of the agent, and for nobody else/);
    return true;
  });
});
