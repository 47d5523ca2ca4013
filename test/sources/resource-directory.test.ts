/** A real directory under the watch: edits, broken writes, replacement of files and of the directory itself. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { chmod, mkdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLog } from '../../src/lib/log.ts';
import { formatDiagnostic } from '../../src/model/diagnostic.ts';
import { ResourceDirectory } from '../../src/sources/resource-directory.ts';
import type { ResourceSet } from '../../src/sources/resource-set.ts';
import { eventually } from '../support/eventually.ts';
import { tempDir } from '../support/temp-dir.ts';

function virtualService(name: string, destination = 'b'): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}}
spec: {hosts: [${name}], http: [{route: [{destination: {host: ${destination}}}]}]}
`;
}

/** Writes a file so that nobody reads a part of it. */
async function replace(file: string, text: string): Promise<void> {
  await writeFile(`${file}.tmp`, text);
  await rename(`${file}.tmp`, file);
}

interface Watched {
  readonly directory: ResourceDirectory;
  readonly changes: ResourceSet[];
  readonly first: ResourceSet;
}

async function watched(t: TestContext, dir: string, rescanMs = 3_600_000): Promise<Watched> {
  const changes: ResourceSet[] = [];
  const directory = new ResourceDirectory({ dir, log: silentLog(), rescanMs, onChange: (set) => changes.push(set) });
  const first = await directory.start();
  t.after(() => directory.stop());
  return { directory, changes, first };
}

const summary = ({ virtualServices }: ResourceSet): string =>
  virtualServices.map(({ meta, http }) => `${meta.name}>${http[0]?.destinations[0]?.host}`).join(' ');

async function becomes(directory: ResourceDirectory, expected: string): Promise<void> {
  await eventually(`the resources ${expected}`, () => summary(directory.resources) === expected);
}

test('files are read, and edits, new files, atomic replacements and removals followed', async (t) => {
  const dir = await tempDir(t);
  await writeFile(join(dir, 'a.yaml'), virtualService('a'));
  await writeFile(join(dir, 'notes.txt'), 'kind: [');
  await writeFile(join(dir, '.a.yaml.swp.yaml'), 'kind: [');
  await mkdir(join(dir, 'deeper.yaml'));
  await writeFile(join(dir, 'deeper.yaml', 'z.yaml'), virtualService('z'));
  const { directory, first, changes } = await watched(t, dir);
  assert.equal(summary(first), 'a>b');
  assert.deepEqual(first.diagnostics, []);
  assert.equal(changes.length, 0);

  await replace(join(dir, 'a.yaml'), virtualService('a', 'edited'));
  await becomes(directory, 'a>edited');
  await replace(join(dir, 'b.yml'), virtualService('b'));
  await becomes(directory, 'a>edited b>b');
  await writeFile(join(dir, 'b.tmp'), virtualService('b', 'replaced'));
  await rename(join(dir, 'b.tmp'), join(dir, 'b.yml'));
  await becomes(directory, 'a>edited b>replaced');
  assert.equal(
    directory.resources.virtualServices[0],
    changes[0]?.virtualServices[0],
    'the other file keeps its object',
  );
  await unlink(join(dir, 'a.yaml'));
  await becomes(directory, 'b>replaced');
});

test('a half-written file keeps its last good version, with a diagnostic, until it is whole', async (t) => {
  const dir = await tempDir(t);
  const file = join(dir, 'a.yaml');
  await writeFile(file, virtualService('a'));
  const { directory } = await watched(t, dir);
  // With its first bytes: a file that is empty at the time of reading is a file without resources.
  await replace(file, virtualService('a', 'c').slice(0, -5));
  await eventually('the diagnostic', () => directory.resources.diagnostics.length > 0);
  assert.equal(summary(directory.resources), 'a>b');
  assert.match(
    directory.resources.diagnostics.map(formatDiagnostic).join('\n'),
    /a\.yaml:\d+: error TRY0001: .*the last good version of the file stays in force/,
  );
  await writeFile(file, virtualService('a', 'c'));
  await becomes(directory, 'a>c');
  assert.deepEqual(directory.resources.diagnostics, []);
});

test('a burst of writes is read once it has settled', async (t) => {
  const dir = await tempDir(t);
  const { directory, changes } = await watched(t, dir);
  for (let i = 0; i < 20; i += 1) writeFileSync(join(dir, 'a.yaml'), virtualService('a', `b${i}`));
  await becomes(directory, 'a>b19');
  assert.ok(changes.length < 20, `${changes.length} readings`);
});

test('a directory that is missing is said so, and picked up when it appears', async (t) => {
  const dir = join(await tempDir(t), 'resources.d');
  const { directory, first } = await watched(t, dir, 20);
  assert.deepEqual(first.diagnostics.map(formatDiagnostic), [
    `${dir}:1: warning TRY0006: the directory does not exist. Create it, or correct mesh.resources in agent.yaml.`,
  ]);
  await mkdir(dir);
  await writeFile(join(dir, 'a.yaml'), virtualService('a'));
  await becomes(directory, 'a>b');
  assert.deepEqual(directory.resources.diagnostics, []);
});

test('a directory that is removed leaves its resources in force, and one in its place is read', async (t) => {
  const dir = join(await tempDir(t), 'resources.d');
  await mkdir(dir);
  await writeFile(join(dir, 'a.yaml'), virtualService('a'));
  const { directory } = await watched(t, dir, 20);
  await rename(dir, `${dir}.old`);
  await eventually('the diagnostic', () => directory.resources.diagnostics.length > 0);
  assert.equal(summary(directory.resources), 'a>b');
  assert.match(directory.resources.diagnostics[0]?.message ?? '', /the resources read before stay in force/);
  await mkdir(dir);
  await writeFile(join(dir, 'n.yaml'), virtualService('n'));
  await becomes(directory, 'n>b');
});

test('a directory that took the place of another is watched, not only rescanned', async (t) => {
  const dir = join(await tempDir(t), 'resources.d');
  await mkdir(dir);
  const { directory } = await watched(t, dir);
  await rename(dir, `${dir}.old`);
  await mkdir(dir);
  await directory.reload();
  await writeFile(join(dir, 'n.yaml'), virtualService('n'));
  await becomes(directory, 'n>b');
});

test('a file that can no longer be read stays in force', async (t) => {
  const dir = await tempDir(t);
  const file = join(dir, 'a.yaml');
  await writeFile(file, virtualService('a'));
  const { directory } = await watched(t, dir);
  // Whoever may read everything is stopped by the limit of size instead.
  const isRoot = process.getuid?.() === 0;
  if (isRoot) await replace(file, '#'.repeat(4 * 1024 * 1024 + 1));
  else await chmod(file, 0);
  await directory.reload();
  await eventually('the diagnostic', () => directory.resources.diagnostics[0]?.code === 'TRY0006');
  assert.match(directory.resources.diagnostics[0]?.message ?? '', isRoot ? /^has 4194305 bytes/ : /^cannot be read: /);
  assert.equal(summary(directory.resources), 'a>b');
});

test('an agent that starts while files are broken keeps their last good versions', async (t) => {
  const dir = await tempDir(t);
  const lastGoodFile = join(await tempDir(t), 'resources.json');
  const options = { dir, log: silentLog(), onChange: () => undefined, lastGoodFile };
  await writeFile(join(dir, 'a.yaml'), virtualService('a'));
  await writeFile(join(dir, 'b.yaml'), virtualService('b'));
  await writeFile(join(dir, 'c.yaml'), virtualService('c'));
  const before = new ResourceDirectory(options);
  await before.start();
  await before.stop();

  await writeFile(join(dir, 'a.yaml'), virtualService('a', 'c').slice(0, -5));
  await writeFile(join(dir, 'b.yaml'), virtualService('b', 'c').replace('hosts', 'hsots'));
  await unlink(join(dir, 'c.yaml'));
  for (const _ of ['once', 'and again']) {
    const after = new ResourceDirectory(options);
    const resources = await after.start();
    await after.stop();
    assert.equal(summary(resources), 'a>b b>b');
    assert.deepEqual([...new Set(resources.diagnostics.map(({ code }) => code))].sort(), ['IST0106', 'TRY0001']);
  }

  await rename(dir, `${dir}.away`);
  const homeless = new ResourceDirectory(options);
  assert.equal(summary(await homeless.start()), 'a>b b>b');
  await homeless.stop();
  await rename(`${dir}.away`, dir);

  await writeFile(lastGoodFile, '{"version": 1, "files": [5]}');
  const forgetful = new ResourceDirectory(options);
  assert.equal(summary(await forgetful.start()), '');
  await forgetful.stop();
});

test('a state folder that cannot be written to is said, tried again, and changes nothing else', async (t) => {
  const dir = await tempDir(t);
  const state = join(dir, 'absent');
  await writeFile(join(dir, 'a.yaml'), virtualService('a'));
  const lastGoodFile = join(state, 'resources.json');
  const directory = new ResourceDirectory({ dir, log: silentLog(), onChange: () => undefined, lastGoodFile });
  t.after(() => directory.stop());
  const unsaved = (): string =>
    directory.resources.diagnostics
      .filter(({ code }) => code === 'TRY0102')
      .map(formatDiagnostic)
      .join('\n');
  const { virtualServices } = await directory.start();
  assert.equal(virtualServices.length, 1);
  assert.match(
    unsaved(),
    new RegExp(`^warning TRY0102 ${lastGoodFile}: the last good resources cannot be saved: ENOENT.* Free space`),
  );
  await mkdir(state);
  await directory.reload();
  assert.equal(unsaved(), '');
  assert.match(await readFile(lastGoodFile, 'utf8'), /VirtualService/);
});

test('after stop nothing is reported', async (t) => {
  const dir = await tempDir(t);
  const { directory, changes } = await watched(t, dir, 10);
  await directory.stop();
  await writeFile(join(dir, 'a.yaml'), virtualService('a'));
  await directory.reload();
  await rm(dir, { recursive: true });
  await directory.reload();
  assert.equal(changes.length, 0);
  assert.equal(summary(directory.resources), '');
});

test('a file that is too large is not read, nor are those that do not fit beside the others; the last good stay', async (t) => {
  const dir = await tempDir(t);
  const padded = (name: string, destination: string, bytes: number): string =>
    `${virtualService(name, destination)}# ${'x'.repeat(bytes)}\n`;
  const MB = 1024 * 1024;
  for (const name of ['a', 'b', 'c', 'd']) await writeFile(join(dir, `${name}.yaml`), padded(name, 'b', 3.5 * MB));
  await writeFile(join(dir, 'e.yaml'), padded('e', 'b', MB));
  await writeFile(join(dir, 'f.yaml'), virtualService('f'));
  const { directory, first } = await watched(t, dir);
  assert.equal(summary(first), 'a>b b>b c>b d>b e>b f>b');
  assert.deepEqual(first.diagnostics, []);
  const said = (): readonly string[] =>
    directory.resources.diagnostics.map((one) =>
      formatDiagnostic(one)
        .replaceAll(dir, '')
        .replaceAll(/\d{5,}/g, 'N'),
    );
  const remedy = 'Delete what is not needed, or publish it for the fleet (docs/fleet.md).';
  const held = 'what was read of it before stays in force';

  await replace(join(dir, 'a.yaml'), padded('a', 'edited', 5 * MB));
  await directory.reload();
  assert.equal(summary(directory.resources), 'a>b b>b c>b d>b e>b f>b');
  assert.deepEqual(said(), [`/a.yaml:1: warning TRY0006: has N bytes, and N are the most; ${held}. ${remedy}`]);

  await replace(join(dir, 'a.yaml'), padded('a', 'b', 3.5 * MB));
  await replace(join(dir, 'e.yaml'), padded('e', 'edited', 3 * MB));
  await replace(join(dir, 'g.yaml'), padded('g', 'b', 3 * MB));
  await writeFile(join(dir, 'h.yaml'), virtualService('h'));
  await directory.reload();
  assert.equal(summary(directory.resources), 'a>b b>b c>b d>b e>b f>b h>b');
  const tooMuch = 'has N bytes, with which the files of the folder up to it have more than N';
  assert.deepEqual(said(), [
    `/e.yaml:1: warning TRY0006: ${tooMuch}; ${held}. ${remedy}`,
    `/g.yaml:1: warning TRY0006: ${tooMuch}. ${remedy}`,
  ]);

  await unlink(join(dir, 'a.yaml'));
  await directory.reload();
  assert.equal(summary(directory.resources), 'b>b c>b d>b e>edited f>b h>b');
  await unlink(join(dir, 'b.yaml'));
  await directory.reload();
  assert.equal(summary(directory.resources), 'c>b d>b e>edited f>b g>b h>b');
  assert.deepEqual(said(), []);
});
