import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { PAGES } from '../../scripts/docs.ts';
import { loadAgentSettings } from '../../src/agent/settings-load.ts';
import { EXIT } from '../../src/cli/exit-codes.ts';
import { formatDiagnostic } from '../../src/model/diagnostic.ts';
import { DIAGNOSTIC_CODES } from '../../src/model/diagnostic-codes.ts';
import { fieldRows } from '../../src/sources/field-table.ts';
import { KINDS } from '../../src/sources/kinds.ts';
import { tempDir } from '../support/temp-dir.ts';

const root = join(import.meta.dirname, '../..');

function page(name: string): string {
  return readFileSync(join(root, 'docs', name), 'utf8');
}

function sources(): readonly { readonly file: string; readonly text: string }[] {
  return globSync('src/**/*.ts', { cwd: root, exclude: ['src/gen/**', 'src/**/*.test.ts'] }).map((file) => ({
    file,
    text: readFileSync(join(root, file), 'utf8'),
  }));
}

for (const [name, render] of Object.entries(PAGES))
  test(`docs/${name} is what the source says`, () => {
    assert.equal(page(name), render(), `run: scripts/node scripts/docs.ts`);
  });

test('docs/istio-api.md leaves out no field, and nothing that is said of one', () => {
  const sections = new Map(
    page('istio-api.md')
      .split(/^## /m)
      .map((section) => [section.slice(0, section.indexOf('\n')), section]),
  );
  const patterns = new Set(['exact', 'prefix', 'regex']);
  for (const [name, kind] of Object.entries(KINDS)) {
    const section = sections.get(name) ?? '';
    const words = new Set([...section.matchAll(/`([^`]+)`/g)].flatMap(([, path = '']) => path.split(/[.[\]]+/)));
    for (const { path, limits } of fieldRows(kind)) {
      const field = path.split(/[.[\]]+/).findLast((word) => word !== '' && word !== '*') ?? '';
      assert.ok(patterns.has(field) || words.has(field), `${name} ${path}`);
      for (const { remedy } of limits) assert.ok(section.includes(remedy.replaceAll('|', '\\|')), remedy);
    }
  }
});

test('every diagnostic code that the source uses is defined, and every one that is defined is used', () => {
  const used = new Set<string>();
  for (const { file, text } of sources())
    if (!file.endsWith('diagnostic-codes.ts'))
      for (const [, code = ''] of text.matchAll(/['"`]((?:TRY|IST)\d{4})['"`]/g)) used.add(code);
  assert.deepEqual([...used].toSorted(), Object.keys(DIAGNOSTIC_CODES).toSorted());
});

test('every error code of the source stands in docs/errors.md', () => {
  const documented = new Set([...page('errors.md').matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)].map(([, code]) => code));
  const missing: string[] = [];
  for (const { file, text } of sources())
    for (const [, first = '', second = ''] of text.matchAll(
      /new TrysailError\(\s*(?:\w+ \? )?'([A-Z_]+)'(?: : '([A-Z_]+)')?/g,
    ))
      for (const code of [first, second]) if (code !== '' && !documented.has(code)) missing.push(`${code} (${file})`);
  assert.deepEqual(missing, []);
});

test('every error code of docs/errors.md is one of the source', () => {
  const all = sources()
    .map(({ text }) => text)
    .join('\n');
  const codes = [...page('errors.md').matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)].map(([, code = '']) => code);
  assert.ok(codes.length > 50);
  assert.deepEqual(
    codes.filter((code) => !all.includes(`'${code}'`)),
    [],
  );
});

test('decisions have numbers of their own, and all are listed', () => {
  const files = globSync('docs/decisions/0*.md', { cwd: root }).map((file) => file.split('/').at(-1) ?? '');
  const numbers = files.map((file) => file.slice(0, 4));
  assert.equal(new Set(numbers).size, numbers.length);
  const listed = [...page('decisions/README.md').matchAll(/\]\((0[\w-]+\.md)\)/g)].map(([, file]) => file);
  assert.deepEqual(listed, files.toSorted());
});

test('docs/errors.md lists the exit codes as they are', () => {
  const rows = [...page('errors.md').matchAll(/^\| (\d+) \| `(\w+)` \|/gm)].map(([, code, name]) => [
    name,
    Number(code),
  ]);
  assert.deepEqual(Object.fromEntries(rows), EXIT);
});

test('the example of docs/agent-yaml.md is valid but for the files that a reader does not have', async (t) => {
  const example = /```yaml\n([\s\S]*?)```/.exec(page('agent-yaml.md'))?.[1] ?? '';
  assert.ok(example.includes('services:'));
  const file = join(await tempDir(t), 'agent.yaml');
  await writeFile(file, example);
  const machine = { hostName: 'vm-1', address: '10.0.0.5', cores: 2 };
  const loaded = loadAgentSettings({ file, flags: {}, env: {}, machine });
  const issues = ('issues' in loaded ? loaded.issues : loaded.warnings).map(formatDiagnostic);
  assert.deepEqual(
    issues.filter((issue) => !issue.includes('/etc/trysail/consul.token does not exist')),
    [],
  );
});
