import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { type TestContext, test } from 'node:test';
import { readResourceFiles } from './resource-files.ts';

async function folder(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'ts-files-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(dir, name, '..'), { recursive: true });
    await writeFile(join(dir, name), text);
  }
  return dir;
}

test('readResourceFiles() takes what may be resources of folders, sorted, and what is named itself', async (t) => {
  const dir = await folder(t, {
    'b.yaml': 'kind: Gateway',
    'below/a.yml': 'apiVersion: x',
    'c.json': '{"kind": "List"}',
    'agent.yaml': 'services: []',
    'mesh.yaml': 'kind: x',
    '.hidden.yaml': 'kind: x',
    '.github/ci.yaml': 'kind: x',
    'node_modules/a.yaml': 'kind: x',
    'notes.txt': 'kind: x',
  });
  const names = async (paths: readonly string[]): Promise<readonly string[]> =>
    (await readResourceFiles(paths, join(dir, 'mesh.yaml'))).files.map(({ file }) => file.slice(dir.length + 1));
  assert.deepEqual(await names([dir]), ['b.yaml', 'below/a.yml', 'c.json']);
  assert.deepEqual(await names([`${dir}/b.yaml`, dir]), ['b.yaml', 'below/a.yml', 'c.json']);
  assert.deepEqual(await names([`${dir}/agent.yaml`, `${dir}/notes.txt`]), ['agent.yaml', 'notes.txt']);
});

test('readResourceFiles() follows links, and reads nothing twice', async (t) => {
  const dir = await folder(t, { 'base/a.yaml': 'kind: x', 'elsewhere/b.yaml': 'kind: x', 'prod/c.yaml': 'kind: x' });
  await symlink('../base', join(dir, 'prod/base'));
  await symlink('../elsewhere/b.yaml', join(dir, 'prod/linked.yaml'));
  await symlink('..', join(dir, 'prod/circle'));
  const names = async (path: string): Promise<readonly string[]> =>
    (await readResourceFiles([path])).files.map(({ file }) => file.slice(dir.length + 1));
  assert.deepEqual(await names(dir), ['base/a.yaml', 'elsewhere/b.yaml', 'prod/c.yaml']);
  await rm(join(dir, 'prod/circle'));
  assert.deepEqual(await names(join(dir, 'prod')), ['prod/base/a.yaml', 'prod/c.yaml', 'prod/linked.yaml']);
  await symlink('nowhere', join(dir, 'prod/broken.yaml'));
  await assert.rejects(readResourceFiles([dir]), { code: 'RESOURCES_UNREADABLE', message: /broken\.yaml/ });
});

test('readResourceFiles() reads a file once, however it is named', async (t) => {
  const dir = await folder(t, { 'a.yaml': 'kind: x', 'mesh.yaml': 'kind: x' });
  await symlink('a.yaml', join(dir, 'b.yaml'));
  const near = relative(process.cwd(), join(dir, 'a.yaml'));
  const paths = [join(dir, 'b.yaml'), near, `./${near}`, join(dir, 'a.yaml'), dir];
  const { files } = await readResourceFiles(paths, relative(process.cwd(), join(dir, 'mesh.yaml')));
  assert.equal(files.length, 1);
});

test('readResourceFiles() does not wait for what pipes of a folder may say', async (t) => {
  const dir = await folder(t, { 'a.yaml': 'kind: x' });
  execFileSync('mkfifo', [join(dir, 'pipe.yaml')]);
  await symlink('pipe.yaml', join(dir, 'linked.yaml'));
  assert.deepEqual(
    (await readResourceFiles([dir])).files.map(({ file }) => file),
    [join(dir, 'a.yaml')],
  );
});

test('readResourceFiles() refuses what never ends', async () => {
  await assert.rejects(readResourceFiles(['/dev/zero']), {
    message: /^\/dev\/zero cannot be read: it is larger than /,
  });
});

test('readResourceFiles() leaves the templates of Helm charts out, and tells which', async (t) => {
  const dir = await folder(t, {
    'web/Chart.yaml': 'apiVersion: v2',
    'web/templates/a.yaml': 'kind: {{ x }}',
    'web/extra/a.yaml': 'kind: x',
    'templates/a.yaml': 'kind: x',
  });
  const { files, charts } = await readResourceFiles([dir]);
  assert.deepEqual(
    files.map(({ file }) => file.slice(dir.length + 1)),
    ['templates/a.yaml', 'web/Chart.yaml', 'web/extra/a.yaml'],
  );
  assert.deepEqual(charts, [join(dir, 'web')]);
  const only = await folder(t, { 'web/Chart.yaml': '', 'web/templates/a.yaml': 'kind: {{ x }}' });
  await assert.rejects(readResourceFiles([only]), { code: 'RESOURCES_UNREADABLE', message: /Helm chart/ });
});

test('readResourceFiles() names what cannot be read', async () => {
  await assert.rejects(readResourceFiles(['/nowhere/at/all']), {
    code: 'RESOURCES_UNREADABLE',
    message: 'there is no file or folder /nowhere/at/all',
  });
});

test('readResourceFiles() says that there is nothing, so that no check of it succeeds', async (t) => {
  const dir = await folder(t, { 'agent.yaml': 'services: []' });
  await assert.rejects(readResourceFiles([dir]), { code: 'RESOURCES_UNREADABLE', message: /no resources in/ });
});
