/** Rate limits that a server counts, over Envoy's protocol and the mesh's TLS. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { RateLimitServer } from '../../src/model/rate-limit.ts';
import { eventually } from '../support/eventually.ts';
import { endpoint, service, spiffe } from '../translate/mesh-literals.ts';
import {
  ask,
  authority,
  HOUR_MS,
  type LimitedService,
  limit,
  rateLimit,
  startLimited,
  statuses,
} from './limited-service.ts';
import { type RateLimitServerInTest, startRateLimitServer } from './rate-limit-server.ts';

const SERVER: RateLimitServer = {
  host: 'limits.default.mesh',
  port: undefined,
  domain: 'shop',
  timeoutMs: 20_000,
  failClosed: false,
};

interface WithServer extends LimitedService {
  readonly limits: RateLimitServerInTest;
}

async function start(
  t: TestContext,
  rules: Parameters<typeof rateLimit>[0],
  server: Partial<RateLimitServer> = {},
): Promise<WithServer> {
  const limits = await startRateLimitServer(t, await authority.issue(spiffe('limits')), authority.rootPem);
  const limited = await startLimited(t, {
    rateLimits: [rateLimit(rules, { server: { ...SERVER, ...server } })],
    // As if nobody had said which protocol it speaks.
    services: [[service('limits', 'AUTO'), [endpoint('127.0.0.1', limits.port)]]],
  });
  await eventually('the server is connected', async () => {
    await ask(limited.port, { path: '/warm' });
    assert.ok(limits.asked.length > 0);
  });
  return { ...limited, limits };
}

test('a server counts by its descriptors; Envoy asks it with the certificate of the workload', async (t) => {
  const { port, limits, seen, server } = await start(t, [
    limit({ name: 'callers', requests: 2, by: [{ kind: 'path' }, { kind: 'caller' }], match: [] }),
  ]);
  const before = limits.asked.length;
  const first = await ask(port, { path: '/a?x', as: 'web' });
  assert.equal(first.status, 200);
  assert.equal(first.headers['x-ratelimit-limit'], '2, 2;w=3600');
  assert.equal(first.headers['x-ratelimit-remaining'], '1');
  assert.equal(first.headers['x-ratelimit-reset'], '1800');
  assert.deepEqual(limits.asked.slice(before), [
    {
      domain: 'shop',
      descriptor: `limit=callers,path=/a,caller=${spiffe('web')}`,
      limit: '2/HOUR',
      caller: `URI:${spiffe('reviews')}`,
    },
  ]);
  assert.deepEqual(await statuses(port, 2, { path: '/a', as: 'web' }), [200, 429]);
  const reached = seen.length;
  assert.deepEqual(await statuses(port, 3, { path: '/a' }), [200, 200, 429]);
  assert.equal(seen.length, reached + 2);
  assert.match(await server.stats('ratelimit'), /ratelimit\.default\/api\/callers\.over_limit: 2/);
  assert.deepEqual(server.rejected, []);
});

test('a dry run asks and lets through', async (t) => {
  const { port, limits } = await start(t, [limit({ requests: 1, dryRun: true })]);
  const before = limits.asked.length;
  assert.deepEqual(await statuses(port, 4), [200, 200, 200, 200]);
  assert.equal(limits.asked.length, before + 4);
});

test('requests pass while the server is away', async (t) => {
  const { port, limits } = await start(t, [limit({ requests: 1, perMs: HOUR_MS, by: [{ kind: 'path' }] })]);
  assert.deepEqual(await statuses(port, 2, { path: '/x' }), [200, 429]);
  limits.stop();
  await eventually('it is away', async () => assert.deepEqual(await statuses(port, 1, { path: '/x' }), [200]));
});

test('failClosed refuses while the server is away', async (t) => {
  const { port, limits } = await start(t, [limit({ requests: 100 })], { failClosed: true });
  assert.deepEqual(await statuses(port, 2), [200, 200]);
  limits.stop();
  await eventually('it is away', async () => assert.deepEqual(await statuses(port, 1), [503]));
});

test('a server that the mesh does not know counts as away', async (t) => {
  const rules = [limit({ requests: 1 })];
  const unknown = { ...SERVER, host: 'nowhere.default.mesh' };
  const { port, serve, server } = await startLimited(t, { rateLimits: [rateLimit(rules, { server: unknown })] });
  assert.deepEqual(await statuses(port, 3), [200, 200, 200]);
  serve([rateLimit(rules, { server: { ...unknown, failClosed: true } })]);
  await eventually('closed', async () => assert.deepEqual(await statuses(port, 1), [503]));
  assert.deepEqual(server.rejected, []);
});
