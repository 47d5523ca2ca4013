import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { writeFileAtomic } from './atomic-file.ts';

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'trysail-atomic-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o777;
}

test('a file is made with the mode 0600, whatever the umask', async (t) => {
  const dir = await folder(t);
  const before = process.umask(0o277);
  try {
    await writeFileAtomic(join(dir, 'key'), 'secret');
  } finally {
    process.umask(before);
  }
  assert.equal(await readFile(join(dir, 'key'), 'utf8'), 'secret');
  assert.equal(await modeOf(join(dir, 'key')), 0o600);
  assert.deepEqual(await readdir(dir), ['key']);
});

test('a file is replaced, its mode too', async (t) => {
  const path = join(await folder(t), 'state');
  await writeFile(path, 'a much longer content than the next', { mode: 0o644 });
  await writeFileAtomic(path, new Uint8Array([1, 2]), 0o640);
  assert.deepEqual([...(await readFile(path))], [1, 2]);
  assert.equal(await modeOf(path), 0o640);
});

test('a failed replacement leaves no temporary file and the old one as it was', async (t) => {
  const dir = await folder(t);
  // A rename onto a directory that holds something fails after everything was written.
  const path = join(dir, 'taken');
  await mkdir(path);
  await writeFile(join(path, 'inside'), '');
  await assert.rejects(writeFileAtomic(path, 'x'), { code: /EISDIR|ENOTEMPTY|EEXIST/ });
  assert.deepEqual(await readdir(dir), ['taken']);
  assert.deepEqual(await readdir(path), ['inside']);
});

test('a missing directory is an error with its code', async (t) => {
  await assert.rejects(writeFileAtomic(join(await folder(t), 'absent', 'file'), 'x'), { code: 'ENOENT' });
});

test('a link that somebody has put in the way of the temporary file is not followed', async (t) => {
  const dir = await folder(t);
  await writeFile(join(dir, 'precious'), 'kept');
  await symlink(join(dir, 'precious'), join(dir, `state.${process.pid}.tmp`));
  await writeFileAtomic(join(dir, 'state'), 'new');
  assert.equal(await readFile(join(dir, 'precious'), 'utf8'), 'kept');
  assert.equal(await readFile(join(dir, 'state'), 'utf8'), 'new');
});
