/** The examples of docs/rate-limits.md are valid. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatDiagnostic } from '../../src/model/diagnostic.ts';
import { parseResources } from '../../src/sources/resource-reader.ts';
import { ROOT } from '../support/tools.ts';

test('resources of docs/rate-limits.md are valid', () => {
  const page = readFileSync(join(ROOT, 'docs/rate-limits.md'), 'utf8');
  const files = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = ''], i) => ({ file: `${i}.yaml`, text }));
  const { rateLimits, sidecars, diagnostics } = parseResources(files);
  assert.deepEqual(diagnostics.map(formatDiagnostic), []);
  assert.equal(rateLimits.length, 3);
  assert.equal(sidecars.length, 1);
});
