import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { silentLog } from '../lib/log.ts';
import { formatDiagnostic } from '../model/diagnostic.ts';
import type { CatalogueState } from '../sources/catalogue-state.ts';
import { instance } from '../sources/mesh-fixture.ts';
import { LastGood, type LastGoodState } from './last-good.ts';

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'trysail-last-good-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function catalogue(...ids: readonly string[]): CatalogueState {
  return { services: new Map([['reviews', ids.map((id) => instance(id))]]), diagnostics: [] };
}

const state = (...ids: readonly string[]): LastGoodState => ({
  catalogue: catalogue(...ids),
  meshedHosts: new Set(['reviews.default.mesh']),
});

async function written(dir: string, kept: LastGoodState): Promise<void> {
  const lastGood = new LastGood(dir, silentLog());
  lastGood.keep(kept);
  await lastGood.flush();
}

test('what one agent keeps, the next reads', async (t) => {
  const dir = folder(t);
  const kept = state('a', 'b');
  await written(dir, kept);
  assert.deepEqual(await new LastGood(dir, silentLog()).read(), kept);
});

test('nothing was kept: nothing is read, and nothing is wrong', async (t) => {
  const lines: unknown[] = [];
  const log = { ...silentLog(), warn: (line: unknown) => void lines.push(line) } as ReturnType<typeof silentLog>;
  assert.deepEqual(await new LastGood(folder(t), log).read(), { catalogue: undefined, meshedHosts: new Set() });
  assert.deepEqual(lines, []);
});

test('a catalogue that cannot be used costs nothing of what is known of who is meshed, and the other way round', async (t) => {
  const dir = folder(t);
  const lines: { readonly file: string; readonly error: string }[] = [];
  const log = { ...silentLog(), warn: (line: never) => void lines.push(line) } as ReturnType<typeof silentLog>;
  await written(dir, state('a'));
  const text = readFileSync(join(dir, 'catalogue.json'), 'utf8');
  writeFileSync(join(dir, 'catalogue.json'), text.slice(0, -9));
  assert.deepEqual(await new LastGood(dir, log).read(), {
    catalogue: undefined,
    meshedHosts: new Set(['reviews.default.mesh']),
  });
  assert.deepEqual(
    lines.map(({ file }) => file),
    [join(dir, 'catalogue.json')],
  );
  assert.match(lines[0]?.error ?? '', /not JSON/);
  writeFileSync(join(dir, 'catalogue.json'), text);
  writeFileSync(join(dir, 'meshed-hosts.json'), '{"reviews": true}');
  assert.deepEqual(await new LastGood(dir, log).read(), { catalogue: catalogue('a'), meshedHosts: new Set() });
  assert.equal(lines[1]?.file, join(dir, 'meshed-hosts.json'));
});

test('changes of one moment make one write, and the same state none', async (t) => {
  const dir = folder(t);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const lastGood = new LastGood(dir, silentLog());
  const [first, second] = [state('a'), state('a', 'b')];
  lastGood.keep(first);
  lastGood.keep(second);
  assert.deepEqual(readdirSync(dir), []);
  t.mock.timers.tick(250);
  await lastGood.flush();
  assert.deepEqual((await new LastGood(dir, silentLog()).read()).catalogue, second.catalogue);
  rmSync(join(dir, 'catalogue.json'));
  lastGood.keep({ ...second, catalogue: { ...second.catalogue, diagnostics: [] } });
  await lastGood.flush();
  assert.deepEqual(readdirSync(dir), ['meshed-hosts.json'], 'not written again');
});

test('a folder that cannot be written is said, tried again, and said no more', async (t) => {
  const dir = join(folder(t), 'state');
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const lastGood = new LastGood(dir, silentLog());
  assert.deepEqual(lastGood.diagnostics, []);
  lastGood.keep(state('a'));
  await lastGood.flush();
  assert.match(
    lastGood.diagnostics.map(formatDiagnostic).join('\n'),
    new RegExp(
      `^warning TRY0102 ${dir}/catalogue\\.json: the last good catalogue cannot be saved: ENOENT.* Free space`,
    ),
  );
  mkdirSync(dir);
  t.mock.timers.tick(10_000);
  // However long the disk takes; a flush would write by itself.
  while (lastGood.diagnostics.length > 0) await setImmediate();
  assert.deepEqual((await new LastGood(dir, silentLog()).read()).catalogue, catalogue('a'));
});

test('what changes while a write fails is not replaced by what failed', async (t) => {
  const dir = join(folder(t), 'state');
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const lastGood = new LastGood(dir, silentLog());
  lastGood.keep(state('a'));
  const failing = lastGood.flush();
  await Promise.resolve();
  lastGood.keep(state('b'));
  await failing;
  mkdirSync(dir);
  await lastGood.flush();
  assert.deepEqual((await new LastGood(dir, silentLog()).read()).catalogue, catalogue('b'));
});
