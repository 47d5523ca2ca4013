import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { LearntServices, learntFile } from './learnt-services.ts';

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'learnt-'));
  t.after(async () => rm(dir, { recursive: true }));
  return dir;
}

test('the one that is unused for longest goes when there is no room', async (t) => {
  const store = await LearntServices.open(await folder(t));
  assert.deepEqual(store.learn('a', 1, 2), []);
  assert.deepEqual(store.learn('b', 2, 2), []);
  store.use('a', 3);
  assert.deepEqual(store.learn('c', 4, 2), ['b']);
  assert.deepEqual(store.hosts, ['a', 'c']);
});

test('what is not used for a time is dropped; what was never learnt is not used', async (t) => {
  const store = await LearntServices.open(await folder(t));
  store.learn('a', 10, 9);
  store.learn('b', 20, 9);
  store.use('c', 20);
  assert.deepEqual(store.dropUnused(15), ['a']);
  assert.deepEqual(store.hosts, ['b']);
});

test('it is known again after a restart, and a clock that was ahead counts no more', async (t) => {
  const dir = await folder(t);
  const store = await LearntServices.open(dir);
  store.learn('a', 5000, 9);
  await store.save();
  const again = await LearntServices.open(dir, 1000);
  assert.deepEqual([again.hosts, again.lastUsedMs('a')], [['a'], 1000]);
});

test('a file that cannot be read is as none', async (t) => {
  const dir = await folder(t);
  for (const text of ['', '{}', '{"version":1,"services":[{"host":1}]}']) {
    await writeFile(learntFile(dir), text);
    assert.deepEqual((await LearntServices.open(dir)).hosts, [], text);
  }
});
