/** What `exportTo` hides from a caller, by itself and by the defaults of the mesh configuration. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MeshConfig } from '../../src/model/mesh-config.ts';
import { type Document, PLAIN, startBookshop, to } from './bookshop.ts';

const VERSIONS = { v1: PLAIN, v2: PLAIN };
/** Calls that are spread at random over two: that all go to one happens once in 10^12 runs. */
const CALLS = 40;

/** Everything to version 2. */
function second(namespace: string, exportTo?: readonly string[]): Document {
  return {
    kind: 'VirtualService',
    name: 'second',
    namespace,
    spec: {
      hosts: ['reviews.default.mesh'],
      http: [{ route: [{ ...to('v2'), destination: { host: 'reviews.default.mesh', subset: 'v2' } }] }],
      ...(exportTo !== undefined && { exportTo }),
    },
  };
}

const cases: readonly (readonly [string, Document, Partial<MeshConfig>, boolean])[] = [
  ['nobody sees what is exported to nobody, not even its own namespace', second('default', ['~']), {}, false],
  ['its own namespace sees what is exported to it', second('default', ['.']), {}, true],
  ['the mesh’s namespace keeps what is its own', second('istio-system', ['.']), {}, false],
  ['a default hides', second('istio-system'), { defaultVirtualServiceExportTo: ['.'] }, false],
  [
    'what a rule says goes before the default',
    second('istio-system', ['*']),
    { defaultVirtualServiceExportTo: ['~'] },
    true,
  ],
];

for (const [name, rule, config, holds] of cases)
  test(name, async (t) => {
    const shop = await startBookshop(t, { versions: VERSIONS, rules: [rule], config });
    const shares = await shop.shares(CALLS);
    if (holds) assert.deepEqual(shares, { v2: CALLS });
    else assert.ok((shares['v1'] ?? 0) > 0, JSON.stringify(shares));
  });

test('subsets of DestinationRules that are hidden by default are not known', async (t) => {
  const shop = await startBookshop(t, {
    versions: VERSIONS,
    rules: [second('default')],
    config: { defaultDestinationRuleExportTo: ['~'] },
  });
  assert.deepEqual(await shop.shares(3), { 503: 3 });
});
