import assert from 'node:assert/strict';
import { mkdirSync, rmdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { CgroupWatcher, hasCgroups, type UnitCgroup } from '../../src/platform/vm/cgroup-watcher.ts';
import { eventually } from '../support/eventually.ts';
import { cannotUseCgroups, makeCgroup } from './netns.ts';

test('a unit that stops has no cgroup, and another one when it starts again', {
  skip: cannotUseCgroups(),
}, async (t) => {
  const { path, dir } = makeCgroup(t, 'watched.service');
  const root = dirname(dirname(dir));
  assert.ok(hasCgroups(root));
  const seen: ReadonlyMap<string, UnitCgroup>[] = [];
  const watcher = new CgroupWatcher({
    units: ['watched.service', 'later.service'],
    root,
    onChange: (current) => seen.push(current),
  });
  t.after(() => watcher.close());
  const first = watcher.current.get('watched.service');
  assert.equal(first?.path, path);
  rmdirSync(dir);
  await eventually('it is gone', () => assert.equal(seen.at(-1)?.size, 0));
  const start = performance.now();
  mkdirSync(dir);
  await eventually('it is back', () => assert.equal(seen.at(-1)?.get('watched.service')?.path, path));
  t.diagnostic(`seen within ${Math.round(performance.now() - start)} ms`);
  assert.notEqual(seen.at(-1)?.get('watched.service')?.id, first?.id);
  await t.test('also in a slice that is made later', async () => {
    const slice = join(dirname(dir), 'trysailtest-inner.slice');
    mkdirSync(slice);
    mkdirSync(join(slice, 'later.service'));
    try {
      await eventually('it is seen', () => assert.ok(seen.at(-1)?.has('later.service')));
    } finally {
      rmdirSync(join(slice, 'later.service'));
      rmdirSync(slice);
    }
  });
});

test('a hierarchy that is missing holds no unit', () => {
  const watcher = new CgroupWatcher({ units: ['a.service'], root: '/nonexistent', onChange: () => undefined });
  assert.equal(watcher.current.size, 0);
  assert.equal(hasCgroups('/nonexistent'), false);
  watcher.close();
});
