/**
 * Each folder beside this file is a case: `in.yaml` (Istio), `host.yaml` (this host) and, if wanted, `mesh.yaml` must
 * give `envoy.yaml` and `diagnostics.yaml`, and the real Envoy must take it.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { tempDir } from '../support/temp-dir.ts';
import { refusal } from '../translate/refusal.ts';
import { caseNames, loadCase } from './golden-case.ts';

const DIR = import.meta.dirname;
const rewrite = process.env['GOLDEN'] === 'write';

for (const name of caseNames(DIR)) {
  test(`golden ${name}`, async (t) => {
    const golden = loadCase(DIR, name);
    assert.equal(loadCase(DIR, name).output, golden.output, 'two translations differ');
    for (const [file, made] of [
      ['envoy.yaml', golden.output],
      ['diagnostics.yaml', golden.diagnostics],
    ] as const) {
      const path = join(golden.dir, file);
      if (rewrite) writeFileSync(path, made);
      const expected = existsSync(path) ? readFileSync(path, 'utf8') : '';
      assert.equal(made, expected, `${path} differs. If the change is meant: npm run golden, then read the diff.`);
    }
    for (const { code, object, message, remedy } of golden.said)
      assert.ok(message !== '' && remedy !== undefined && /[.!?]$/.test(remedy), `${code} of ${object}: no remedy`);

    const refused = await refusal(golden.resources, golden.identities, await tempDir(t));
    assert.equal(refused, undefined, `Envoy refuses the resources of ${name}`);
  });
}
