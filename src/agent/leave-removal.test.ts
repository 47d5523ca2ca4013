import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isEmpty, removeFolder } from './leave-removal.ts';

test('folders of the system are never emptied, whatever a setting says', async () => {
  for (const path of [
    '/',
    '/var',
    '/var/lib',
    '/var/lib/',
    '/etc',
    '/etc/trysail',
    '/usr/lib/trysail',
    '/home/me',
    '/run',
    '/run/user',
    '/tmp',
    '/srv',
    'x',
  ])
    await assert.rejects(removeFolder(path), { code: 'LEAVE_REFUSED' }, path);
});

test('a folder of ours goes with all that is in it, and one that is not there is no error', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'ts-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const state = join(dir, 'state');
  await mkdir(join(state, 'identity/workloads'), { recursive: true });
  await writeFile(join(state, 'identity/workloads/x.json'), '');
  assert.equal(await isEmpty(state), false);
  await removeFolder(state);
  await removeFolder(state);
  assert.equal(await isEmpty(state), true);
  assert.deepEqual(await readdir(dir), []);
});
