import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { loadMeshConfig, prepareFolders } from './agent-files.ts';

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'trysail-files-'));
  t.after(() => rmSync(dir, { recursive: true }));
  return dir;
}

test('both folders are made, for this user alone; those that are there stay as they are', async (t) => {
  const dir = folder(t);
  const paths = { state: join(dir, 'var/lib/trysail'), run: join(dir, 'run') };
  await prepareFolders(paths);
  for (const path of Object.values(paths)) assert.equal(statSync(path).mode & 0o777, 0o700, path);
  writeFileSync(join(paths.state, 'kept'), '');
  await prepareFolders(paths);
  assert.ok(statSync(join(paths.state, 'kept')).isFile());
});

test('a folder that cannot be made is named with its setting', async (t) => {
  const dir = folder(t);
  writeFileSync(join(dir, 'file'), '');
  const run = join(dir, 'file/run');
  await assert.rejects(
    prepareFolders({ state: join(dir, 'state'), run }),
    (error: Error & { code?: string; remedy?: string }) => {
      assert.equal(error.code, 'FOLDER_UNUSABLE');
      assert.match(error.message, new RegExp(`^paths\\.run: ${run} cannot be made: ENOTDIR`));
      assert.equal(error.remedy, "Create it, owned by the agent's user with mode 0700, or set paths.run.");
      return true;
    },
  );
});

test('no meshconfig.yaml, or an empty one, means the defaults', async (t) => {
  assert.deepEqual(await loadMeshConfig(undefined), { config: DEFAULT_MESH_CONFIG, diagnostics: [] });
  const file = join(folder(t), 'mesh.yaml');
  writeFileSync(file, '');
  assert.deepEqual((await loadMeshConfig(file)).config, DEFAULT_MESH_CONFIG);
});

test('what a meshconfig.yaml says holds; what is not supported is a diagnostic with its line', async (t) => {
  const file = join(folder(t), 'mesh.yaml');
  writeFileSync(file, 'trustDomain: prod.example\nenableTracing: true\n');
  const { config, diagnostics } = await loadMeshConfig(file);
  assert.equal(config.trustDomain, 'prod.example');
  assert.deepEqual(
    diagnostics.map(({ code, source }) => [code, source]),
    [['TRY0003', { file, line: 2 }]],
  );
});

test('all faults of a meshconfig.yaml are told at once, each with its line', async (t) => {
  const file = join(folder(t), 'mesh.yaml');
  writeFileSync(file, 'trustDomian: a\nconnectTimeout: soon\n');
  await assert.rejects(loadMeshConfig(file), (error: Error & { code?: string; remedy?: string }) => {
    assert.equal(error.code, 'MESH_CONFIG_INVALID');
    const [first = '', second = '', ...more] = error.message.split('\n').toSorted();
    assert.match(first, new RegExp(`^${file}:1: error IST0106 .*trustDomian`));
    assert.match(second, new RegExp(`^${file}:2: error IST0106 .*connectTimeout.*soon`));
    assert.deepEqual(more, []);
    assert.match(error.remedy ?? '', /trysail check/);
    return true;
  });
});

test('a meshconfig.yaml that is missing or cannot be read is told apart', async (t) => {
  const dir = folder(t);
  const missing = join(dir, 'mesh.yaml');
  await assert.rejects(loadMeshConfig(missing), {
    code: 'MESH_CONFIG_INVALID',
    message: new RegExp(`^${missing} cannot be read: ENOENT`),
    remedy: /Create it .* or correct mesh\.config/,
  });
  await assert.rejects(loadMeshConfig(dir), { remedy: 'Make it readable for the user of the agent.' });
});
