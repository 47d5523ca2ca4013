import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkNames } from '../../src/agent/check-host.ts';
import { EXIT } from '../../src/cli/exit-codes.ts';
import { DIAGNOSTIC_CODES } from '../../src/model/diagnostic-codes.ts';
import { ROOT } from '../support/tools.ts';

const page = readFileSync(join(ROOT, 'docs/check.md'), 'utf8');

test('docs/check.md has every check, in the order of the report', () => {
  assert.deepEqual(
    [...page.matchAll(/^### (\S+)$/gm)].map(([, name]) => name),
    checkNames(),
  );
});

test('docs/check.md explains every code of the checks, and no other', () => {
  const codes = new Set([...page.matchAll(/`(TRY\d{4})`/g)].map(([, code = '']) => code));
  const ours = Object.keys(DIAGNOSTIC_CODES).filter((code) => code.startsWith('TRY11'));
  assert.deepEqual(
    ours.filter((code) => !codes.has(code)),
    [],
  );
  assert.deepEqual(
    [...codes].filter((code) => !(code in DIAGNOSTIC_CODES)),
    [],
  );
});

test('docs/check.md has the exit codes as they are', () => {
  const rows = [...page.matchAll(/^\| (\d) \|/gm)].map(([, code]) => Number(code));
  assert.deepEqual(rows, [EXIT.ok, EXIT.usage, EXIT.invalidConfiguration, EXIT.warnings, EXIT.hostUnfit]);
});
