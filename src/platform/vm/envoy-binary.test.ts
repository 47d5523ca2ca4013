import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { envoyVersion, findEnvoyBinary, isSupportedEnvoy } from './envoy-binary.ts';

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'ts-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function program(path: string, script: string, mode = 0o755): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `#!/bin/sh\n${script}\n`, { mode });
  return path;
}

test('findEnvoyBinary() looks beside the program, then in a checkout, then on PATH', async (t) => {
  const dir = await folder(t);
  const search = { programDir: join(dir, 'src/cli'), path: `${join(dir, 'empty')}:${join(dir, 'bin')}` };
  await assert.rejects(findEnvoyBinary(search), { code: 'ENVOY_BINARY_MISSING', message: /PATH/ });
  const onPath = await program(join(dir, 'bin/envoy'), '');
  assert.equal(await findEnvoyBinary(search), onPath);
  const inCheckout = await program(join(dir, '.tools/envoy/envoy'), '');
  assert.equal(await findEnvoyBinary(search), inCheckout);
  await program(join(dir, 'src/cli/envoy'), '', 0o644);
  assert.equal(await findEnvoyBinary(search), inCheckout, 'a file that cannot be executed is no program');
  await rm(join(dir, 'src/cli/envoy'));
  const beside = await program(join(dir, 'src/cli/envoy'), '');
  assert.equal(await findEnvoyBinary(search), beside);
});

test('findEnvoyBinary() takes nothing in place of what is configured', async (t) => {
  const dir = await folder(t);
  await program(join(dir, 'envoy'), '');
  const configured = join(dir, 'missing');
  await assert.rejects(findEnvoyBinary({ configured, programDir: dir }), {
    code: 'ENVOY_BINARY_MISSING',
    message: new RegExp(configured),
  });
});

test('envoyVersion() reads the release, and refuses an old Envoy, another program and none', async (t) => {
  const dir = await folder(t);
  const saying = async (version: string): Promise<string> =>
    program(join(dir, 'envoy'), `echo; echo "envoy  version: 0123abcd/${version}/Clean/RELEASE/BoringSSL"`);
  assert.equal(await envoyVersion(await saying('1.40.2')), '1.40.2');
  assert.equal(await envoyVersion(await saying('1.41.0-dev')), '1.41.0-dev');
  await assert.rejects(envoyVersion(await saying('1.31.4')), {
    code: 'ENVOY_VERSION_UNSUPPORTED',
    message: /1\.31\.4.*1\.40/,
  });
  await assert.rejects(envoyVersion(await program(join(dir, 'other'), 'echo hello')), {
    code: 'ENVOY_BINARY_UNUSABLE',
    message: /it says "hello"/,
  });
  await assert.rejects(envoyVersion(await program(join(dir, 'broken'), 'exit 3')), { code: 'ENVOY_BINARY_UNUSABLE' });
  await assert.rejects(envoyVersion(join(dir, 'none')), { code: 'ENVOY_BINARY_MISSING' });
});

test('isSupportedEnvoy() compares numbers, not text', () => {
  assert.deepEqual(['1.40.0', '1.100.1', '1.9.0', '2.0.0', 'x'].map(isSupportedEnvoy), [
    true,
    true,
    false,
    false,
    false,
  ]);
});
