import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { SETTINGS } from './settings-list.ts';
import { loadAgentSettings } from './settings-load.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

const MACHINE = { hostName: 'vm-1', address: '10.0.0.5', cores: 2 };

/** A value set at the path of a setting, lists getting one element. */
function nest(path: string, value: unknown): unknown {
  return path
    .split('.')
    .toReversed()
    .reduce<unknown>(
      (inner, step) => (step.endsWith('[]') ? { [step.slice(0, -2)]: [inner] } : { [step]: inner }),
      value,
    );
}

test('whatever stands in agent.yaml, loading it ends in settings or in errors that have a place and a remedy', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'trysail-fuzz-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const file = join(dir, 'agent.yaml');
  const hostile = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom(
      '',
      '\0',
      '../..',
      '${CREDENTIALS_DIRECTORY}',
      '[::1]:80',
      '0.0.0.0:1',
      'a/b',
      '-1',
      '1e9',
      'http://',
    ),
    fc.string({ unit: 'binary' }),
  );
  const document = fc.oneof(
    fc
      .tuple(fc.constantFrom(...SETTINGS.map(({ path }) => path)), hostile)
      .map(([path, value]) => JSON.stringify(nest(path, value))),
    fc.jsonValue().map((value) => JSON.stringify(value)),
    fc.string({ unit: 'binary' }),
    fc.constantFrom(
      '__proto__: {a: 1}',
      '{constructor: 1}',
      'services: [__proto__]',
      '? [a]\n: b',
      '!!set {a, b}',
      '!!binary aGk=',
    ),
  );
  fc.assert(
    fc.property(document, (text) => {
      writeFileSync(file, text);
      const loaded = loadAgentSettings({ file, flags: {}, env: {}, machine: MACHINE });
      if ('settings' in loaded) return;
      assert.ok(loaded.issues.some(({ severity }) => severity === 'error'));
      for (const { source, remedy, message } of loaded.issues) {
        assert.equal(source?.file, file);
        assert.ok(source.line >= 1);
        assert.ok(message !== '' && remedy !== undefined && remedy !== '', message);
      }
    }),
    { numRuns: 2000 },
  );
});
