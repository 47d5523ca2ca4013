/** Retries and time limits on a real Envoy, counted at the upstream. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Conduct, routes, startBookshop, to } from './bookshop.ts';

const uri = (exact: string): readonly object[] => [{ uri: { exact } }];
const failing: Conduct = ({ headers }) => ({ status: Number(headers['x-status'] ?? 200) });
/** Fails twice in three times. */
const recovering: Conduct = (_, count) => ({ status: count % 3 === 0 ? 200 : 503 });

test('as often as a route says, for the answers that it names', async (t) => {
  const shop = await startBookshop(t, {
    versions: { v1: failing, v2: recovering },
    rules: [
      routes(
        { match: uri('/default'), route: [to('v1')] },
        { match: uri('/off'), retries: { attempts: 0 }, route: [to('v1')] },
        { match: uri('/codes'), retries: { attempts: 3, retryOn: '503,429' }, route: [to('v1')] },
        { match: uri('/5xx'), retries: { attempts: 2, retryOn: '5xx', backoff: '1ms' }, route: [to('v1')] },
        { match: uri('/recovers'), retries: { attempts: 2, retryOn: '503' }, route: [to('v2')] },
      ),
    ],
  });
  const attempts = async (path: string, status: string): Promise<number> => {
    const before = shop.arrived['v1']?.length ?? 0;
    assert.equal((await shop.call({ path, headers: { 'x-status': status } })).status, Number(status));
    return (shop.arrived['v1']?.length ?? 0) - before;
  };
  assert.equal(await attempts('/default', '503'), 1, 'a plain 503 is not retried');
  assert.equal(await attempts('/off', '503'), 1);
  assert.equal(await attempts('/codes', '503'), 4);
  assert.equal(await attempts('/codes', '429'), 4);
  assert.equal(await attempts('/codes', '500'), 1);
  assert.equal(await attempts('/5xx', '500'), 3);
  assert.deepEqual(await shop.shares(3, { path: '/recovers' }), { v2: 3 });
  assert.equal(shop.arrived['v2']?.length, 9);
  assert.equal(shop.arrived['v2']?.[2]?.headers['x-envoy-attempt-count'], '3');
});

test('the mesh says how routes retry that say nothing', async (t) => {
  const retries = {
    attempts: 1,
    perTryTimeoutMs: undefined,
    retryOn: '503',
    retryRemoteLocalities: false,
    retryIgnorePreviousHosts: true,
    backoffMs: undefined,
  };
  const shop = await startBookshop(t, {
    versions: { v1: failing },
    rules: [routes({ match: uri('/off'), retries: { attempts: 0 }, route: [to('v1')] }, { route: [to('v1')] })],
    config: { defaultHttpRetryPolicy: retries },
  });
  const headers = { 'x-status': '503' };
  await shop.call({ headers });
  assert.equal(shop.arrived['v1']?.length, 2);
  await shop.call({ path: '/off', headers });
  assert.equal(shop.arrived['v1']?.length, 3);
});

test('time limits, of the whole and of each try', async (t) => {
  const slow: Conduct = (_, count) => ({ delayMs: count === 1 ? 60_000 : 0 });
  const shop = await startBookshop(t, {
    versions: { v1: () => ({ delayMs: 60_000 }), v2: slow },
    rules: [
      routes(
        { match: uri('/limited'), timeout: '200ms', route: [to('v1')] },
        {
          match: uri('/tries'),
          // So many, for tries that come while this process, which is to answer, has to wait for its turn.
          retries: { attempts: 25, perTryTimeout: '1s', retryOn: '5xx' },
          route: [to('v2')],
        },
      ),
    ],
  });
  assert.equal((await shop.call({ path: '/limited' })).status, 504);
  assert.equal((await shop.call({ path: '/tries' })).status, 200);
  assert.ok((shop.arrived['v2']?.length ?? 0) >= 2, 'a later try was in time');
});
