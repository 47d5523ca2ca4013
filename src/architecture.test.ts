// The one-way rule: which room may import which. See ARCHITECTURE.md.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { test } from 'node:test';
import { ROOMS, roomViolations } from './architecture.ts';

const src = import.meta.dirname;

function sourceFiles(): readonly string[] {
  return readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(
    (f) => f.endsWith('.ts') && !f.startsWith(`gen${sep}`),
  );
}

test('every room imports only the rooms that the table allows', () => {
  const violations = sourceFiles().flatMap((file) => roomViolations(file, readFileSync(join(src, file), 'utf8')));
  assert.deepEqual(violations, []);
});

test('the rule finds an import that it must refuse', () => {
  assert.match(
    roomViolations('translate/a.ts', "import { x } from '../consul/client.ts';")[0] ?? '',
    /translate.*may not import consul/,
  );
  assert.match(roomViolations('translate/a.ts', "import fs from 'node:fs';")[0] ?? '', /node:fs/);
  assert.match(roomViolations('translate/a.ts', "import { X } from '../xds/server.ts';")[0] ?? '', /only types/);
  assert.deepEqual(roomViolations('translate/a.ts', "import type { X } from '../xds/resource.ts';"), []);
  assert.match(
    roomViolations('xds/a.ts', "const x = await import('../model/mesh.ts');")[0] ?? '',
    /xds.*may not import model/,
  );
});

test('every room has a README, and every folder is a room', () => {
  const folders = readdirSync(src, { withFileTypes: true })
    .filter((e) => e.isDirectory())
    .map((e) => e.name);
  assert.deepEqual(
    folders.filter((f) => !(f in ROOMS)),
    [],
    'folders that the table does not know',
  );
  assert.deepEqual(
    folders.filter((f) => !existsSync(join(src, f, 'README.md'))),
    [],
    'rooms without README.md',
  );
});

test('the README of a room says what the table says of its imports', () => {
  for (const [room, { mayImport, typesOf = [] }] of Object.entries(ROOMS)) {
    const file = join(src, room, 'README.md');
    if (!existsSync(file)) continue;
    const [, sentence = ''] = /\*\*May import:\*\* ([^\n]*)/.exec(readFileSync(file, 'utf8')) ?? [];
    const named = [...sentence.matchAll(/`([a-z-]+)`/g)].map(([, name = '']) => name).filter((name) => name in ROOMS);
    const others = Object.keys(ROOMS).filter((name) => name !== room && !mayImport.includes(name));
    const isExcept = /\bbut\b/.test(sentence);
    assert.deepEqual(
      named.toSorted(),
      (isExcept ? others : [...mayImport, ...typesOf]).toSorted(),
      `${room}: ${sentence}`,
    );
  }
});
