/** Mirrored requests on a real Envoy: which arrive, and that callers do not notice them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { PLAIN, routes, startBookshop, to } from './bookshop.ts';

const reviews = (subset: string): object => ({ host: 'reviews', subset });

test('copies arrive in their share, with the host that was asked; their answers are nobody’s', async (t) => {
  const shop = await startBookshop(t, {
    versions: { v1: PLAIN, v2: () => ({ status: 500 }), v3: PLAIN, v4: PLAIN },
    rules: [
      routes(
        { match: [{ uri: { exact: '/one' } }], mirror: reviews('v2'), route: [to('v1')] },
        {
          match: [{ uri: { exact: '/none' } }],
          mirror: reviews('v2'),
          mirrorPercentage: { value: 0 },
          route: [to('v1')],
        },
        {
          mirrors: [{ destination: reviews('v3'), percentage: { value: 50 } }, { destination: reviews('v4') }],
          route: [to('v1')],
        },
      ),
    ],
  });
  const count = (version: string): number => shop.arrived[version]?.length ?? 0;
  assert.deepEqual(await shop.shares(5, { path: '/one', headers: { host: 'asked' } }), { v1: 5 });
  await eventually('all copies have arrived', () => count('v2') === 5);
  const [copy] = shop.arrived['v2'] ?? [];
  assert.deepEqual([copy?.url, copy?.headers.host], ['/one', 'asked']);

  assert.deepEqual(await shop.shares(100), { v1: 100 });
  await eventually('all copies have arrived', () => count('v4') === 100);
  // 50 expected, standard deviation 5.
  assert.ok(Math.abs(count('v3') - 50) < 35, `${count('v3')} copies`);

  assert.deepEqual(await shop.shares(20, { path: '/none' }), { v1: 20 });
  assert.equal(count('v2'), 5);
});
