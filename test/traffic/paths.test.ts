/** What is made of paths before they are matched and sent on, by `pathNormalization` of the mesh configuration. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMeshConfig } from '../../src/sources/mesh-config.ts';
import { PLAIN, startBookshop } from './bookshop.ts';

const ASKED = '/a//b/../c%2Fd';

const SENT: Readonly<Record<string, string>> = {
  NONE: ASKED,
  DEFAULT: '/a//c%2Fd',
  MERGE_SLASHES: '/a/c%2Fd',
  DECODE_AND_MERGE_SLASHES: '/a/c/d',
};

for (const [normalization, sent] of Object.entries(SENT)) {
  test(`${normalization}: ${ASKED} becomes ${sent}`, async (t) => {
    const { config, diagnostics } = parseMeshConfig(
      `pathNormalization: {normalization: ${normalization}}`,
      'mesh.yaml',
    );
    assert.deepEqual(diagnostics, []);
    assert.ok(config !== undefined);
    const shop = await startBookshop(t, { versions: { v1: PLAIN }, rules: [], config });
    assert.equal((await shop.call({ path: ASKED })).status, 200);
    assert.deepEqual(
      shop.arrived['v1']?.map(({ url }) => url),
      [sent],
    );
  });
}
