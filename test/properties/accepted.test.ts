/** Whatever passes our validation, on whatever host: translation makes it whole, and Envoy takes it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parseResources } from '../../src/sources/resource-reader.ts';
import { diagnose } from '../../src/translate/diagnose.ts';
import { Translator } from '../../src/translate/translator.ts';
import { tempDir } from '../support/temp-dir.ts';
import { refusal } from '../translate/refusal.ts';
import { identitiesOf } from './any-host.ts';
import { anyResources } from './any-resources.ts';
import { drawn, meshOf, tries } from './drawn.ts';
import { filesOf } from './words.ts';

/** What an EnvoyFilter itself got wrong. */
const OF_PATCHES = new Set(['TRY0409', 'TRY0410']);

test('Envoy takes what is made of any resources for any host', async (t) => {
  const dir = await tempDir(t);
  await fc.assert(
    fc.asyncProperty(drawn, async ({ resources, config, host }) => {
      const mesh = meshOf({ resources, config });
      const translator = new Translator();
      const made = translator.translate(mesh, host);
      assert.deepEqual(
        translator.failures.filter(({ code }) => !OF_PATCHES.has(code)),
        [],
      );
      for (const { code, message, remedy } of [...mesh.diagnostics, ...diagnose(mesh, host)])
        assert.ok(message !== '' && remedy !== undefined, `${code} has no remedy: ${message}`);
      assert.equal(await refusal(made, identitiesOf(host), dir), undefined);
    }),
    tries(150),
  );
});

test('nearly all resources that are drawn are valid', () => {
  const all = fc.sample(anyResources, { numRuns: 300, seed: 5 }).flat();
  const refused = all.filter((one) =>
    parseResources(filesOf([one])).diagnostics.some(({ severity }) => severity === 'error'),
  );
  assert.ok(refused.length < all.length / 5, `${refused.length} of ${all.length} are refused`);
});
