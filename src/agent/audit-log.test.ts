import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { audit } from './audit-log.ts';

test('each entry is a line of its own, and a link in the place of the file is not followed', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'trysail-audit-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'state', 'audit.log');
  for (const name of ['a', 'b']) assert.ok(!(await audit(file, { action: 'bypass', names: [name] })).includes(file));
  const lines = (await readFile(file, 'utf8')).trim().split('\n');
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as { names: readonly string[] }).names[0]),
    ['a', 'b'],
  );
  assert.equal((await stat(file)).mode & 0o777, 0o600);

  const [precious, link] = [join(dir, 'precious'), join(dir, 'link')];
  await writeFile(precious, 'kept');
  await symlink(precious, link);
  assert.ok((await audit(link, { action: 'bypass' })).includes(link), 'it is said that there is no line');
  assert.equal(await readFile(precious, 'utf8'), 'kept');
});
