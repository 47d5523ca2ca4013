/** Rate limits that the instances themselves count, on a real Envoy. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { endpoint } from '../translate/mesh-literals.ts';
import { ask, counted, HOUR_MS, limit, rateLimit, startLimited, statuses } from './limited-service.ts';

const OK3_NO1 = [200, 200, 200, 429];

test('one limit holds for all requests, with and without mutual TLS, and says so in headers', async (t) => {
  const { port, server, seen } = await startLimited(t, { rateLimits: [rateLimit([limit()])] });
  const first = await ask(port);
  assert.equal(first.status, 200);
  assert.equal(first.headers['x-ratelimit-limit'], '3');
  assert.equal(first.headers['x-ratelimit-remaining'], '2');
  assert.deepEqual(await statuses(port, 3, { as: 'web' }), [200, 200, 429]);
  const refused = await ask(port);
  assert.equal(refused.status, 429);
  assert.equal(refused.headers['x-ratelimit-remaining'], '0');
  assert.ok(Number(refused.headers['x-ratelimit-reset']) > 1000, String(refused.headers['x-ratelimit-reset']));
  assert.equal(await counted(server, 'default/api/all', 'ok'), 3);
  assert.equal(await counted(server, 'default/api/all', 'enforced'), 2);
  assert.equal(seen.length, 3);
  assert.deepEqual(server.rejected, []);
  assert.doesNotMatch(server.output(), /warning|error/, server.output());
});

test('each caller has a bucket of its own, which no header changes; those in plain text share one', async (t) => {
  const { port } = await startLimited(t, { rateLimits: [rateLimit([limit({ by: [{ kind: 'caller' }] })])] });
  assert.deepEqual(await statuses(port, 4, { as: 'web' }), OK3_NO1);
  const forged = { 'x-forwarded-client-cert': 'URI=spiffe://cluster.local/ns/default/sa/other', caller: 'other' };
  assert.deepEqual(await statuses(port, 1, { as: 'web', headers: forged }), [429]);
  assert.deepEqual(await statuses(port, 4, { as: 'shop' }), OK3_NO1);
  assert.deepEqual(await statuses(port, 4), OK3_NO1);
  assert.deepEqual(await statuses(port, 1, { headers: forged }), [429]);
});

test('buckets by header, by path without its query, and by method', async (t) => {
  const { port } = await startLimited(t, {
    rateLimits: [
      rateLimit([
        limit({ name: 'tenant', by: [{ kind: 'header', name: 'x-tenant' }], match: [{ ...NONE, path: prefix('/t') }] }),
        limit({ name: 'path', by: [{ kind: 'path' }, { kind: 'method' }], match: [{ ...NONE, path: prefix('/p') }] }),
        limit({ name: 'address', by: [{ kind: 'remoteAddress' }], match: [{ ...NONE, path: prefix('/a') }] }),
      ]),
    ],
  });
  const tenant = (name: string) => ({ path: '/t', headers: { 'x-tenant': name } });
  assert.deepEqual(await statuses(port, 4, tenant('a')), OK3_NO1);
  assert.deepEqual(await statuses(port, 4, tenant('b')), OK3_NO1);
  assert.deepEqual(await statuses(port, 4, { path: '/t' }), OK3_NO1);
  assert.deepEqual(await statuses(port, 3, { path: '/p/1?x=1' }), [200, 200, 200]);
  assert.deepEqual(await statuses(port, 1, { path: '/p/1?x=2' }), [429]);
  assert.deepEqual(await statuses(port, 4, { path: '/p/1', method: 'POST' }), OK3_NO1);
  assert.deepEqual(await statuses(port, 4, { path: '/p/2' }), OK3_NO1);
  assert.deepEqual(
    await statuses(port, 3, { path: '/a', headers: { 'x-forwarded-for': '10.1.1.1' } }),
    [200, 200, 200],
  );
  assert.deepEqual(await statuses(port, 1, { path: '/a', headers: { 'x-forwarded-for': '10.1.1.2' } }), [429]);
  assert.deepEqual(await statuses(port, 5, { path: '/other' }), [200, 200, 200, 200, 200]);
});

test('conditions: alternatives share one bucket, and each holds whole', async (t) => {
  const { port } = await startLimited(t, {
    rateLimits: [
      rateLimit([
        limit({
          match: [
            { ...NONE, path: { kind: 'exact', value: '/login' }, method: { kind: 'exact', value: 'POST' } },
            { ...NONE, path: { kind: 'regex', value: '^/api/v[12]$' }, headers: { 'x-plan': { kind: 'present' } } },
            { ...NONE, callers: ['ns/default/sa/batch'] },
          ],
        }),
      ]),
    ],
  });
  for (const free of [
    { path: '/login' },
    { path: '/login2', method: 'POST' },
    { path: '/api/v1' },
    { path: '/api/v3', headers: { 'x-plan': 'free' } },
    { as: 'batch2' },
    { headers: { 'x-forwarded-client-cert': 'URI=spiffe://cluster.local/ns/default/sa/batch' } },
  ])
    assert.deepEqual(await statuses(port, 4, free), [200, 200, 200, 200], JSON.stringify(free));
  assert.deepEqual(await statuses(port, 1, { path: '/login?next=%2F', method: 'POST' }), [200]);
  assert.deepEqual(await statuses(port, 1, { path: '/api/v2?q', headers: { 'x-plan': 'free' } }), [200]);
  assert.deepEqual(await statuses(port, 2, { as: 'batch' }), [200, 429]);
  assert.deepEqual(await statuses(port, 1, { path: '/login', method: 'POST' }), [429]);
});

test('a dry run lets all through and counts what it would refuse', async (t) => {
  const { port, server } = await startLimited(t, { rateLimits: [rateLimit([limit({ name: 'try', dryRun: true })])] });
  const answers = await statuses(port, 5);
  assert.deepEqual(answers, [200, 200, 200, 200, 200]);
  assert.equal((await ask(port)).headers['x-ratelimit-limit'], undefined);
  assert.equal(await counted(server, 'default/api/try', 'rate_limited'), 3);
  assert.equal(await counted(server, 'default/api/try', 'enforced'), 0);
});

test('a call by gRPC gets RESOURCE_EXHAUSTED', async (t) => {
  const { port } = await startLimited(t, { rateLimits: [rateLimit([limit({ requests: 1 })])] });
  const grpc = { method: 'POST', headers: { 'content-type': 'application/grpc' } };
  assert.equal((await ask(port, grpc)).headers['grpc-status'], undefined);
  const refused = await ask(port, grpc);
  assert.equal(refused.status, 200);
  assert.equal(refused.headers['grpc-status'], '8');
});

test('bursts and steady refill; a change of figures touches no connection', async (t) => {
  const slow = limit({ requests: 20, perMs: 2000, burst: 2 });
  const { port, server, serve } = await startLimited(t, { rateLimits: [rateLimit([slow])] });
  assert.deepEqual(await statuses(port, 2), [200, 200]);
  // One comes every 100 ms.
  await eventually('it is refilled', async () => assert.deepEqual(await statuses(port, 1), [200]));
  const listeners = await server.stats('listener_manager.listener_in_place_updated');
  serve([rateLimit([limit({ requests: 1, perMs: HOUR_MS })])]);
  await eventually('the new figure', async () => assert.equal((await ask(port)).headers['x-ratelimit-limit'], '1'));
  assert.equal(await server.stats('listener_manager.listener_in_place_updated'), listeners);
});

test('limits come and go, and no request fails of it', async (t) => {
  const { port, server, serve } = await startLimited(t, { rateLimits: [] });
  const headers = async () => {
    const answer = await ask(port);
    assert.equal(answer.status, 200);
    return answer.headers['x-ratelimit-limit'];
  };
  assert.equal(await headers(), undefined);
  serve([rateLimit([limit({ requests: 1000 })])]);
  await eventually('one', async () => assert.equal(await headers(), '1000'));
  serve([rateLimit([limit({ requests: 1000 }), limit({ name: 'more', requests: 2000 })])]);
  await eventually('two', async () => assert.equal(await headers(), '2000, 1000'));
  serve([rateLimit([limit({ name: 'more', requests: 2000 })])]);
  await eventually('the other', async () => assert.equal(await headers(), '2000'));
  serve([]);
  await eventually('none', async () => assert.equal(await headers(), undefined));
  assert.deepEqual(server.rejected, []);
});

test('a limit of the fleet is shared by the live instances, as they come and go', async (t) => {
  const limits = [rateLimit([limit({ requests: 12, scope: 'fleet' })])];
  const { port, server, serve } = await startLimited(t, { rateLimits: limits });
  const shareOf = async () => Number((await ask(port)).headers['x-ratelimit-limit']);
  assert.equal(await shareOf(), 12);
  const other = (last: number, rest = {}) => endpoint(`127.0.1.${last}`, 80, rest);
  serve(limits, [other(1), other(2)]);
  await eventually('a third', async () => assert.equal(await shareOf(), 4));
  const shares = await statuses(port, 5);
  assert.equal(shares.at(-1), 429);
  assert.ok(shares.filter((status) => status === 200).length <= 4);
  serve(limits, [other(1), other(2, { health: 'UNHEALTHY' })]);
  await eventually('a half', async () => assert.equal(await shareOf(), 6));
  serve(limits, [other(1, { weight: 3 })]);
  await eventually('a quarter, by weight', async () => assert.equal(await shareOf(), 3));
  serve(limits, []);
  await eventually('all', async () => assert.equal(await shareOf(), 12));
  assert.deepEqual(server.rejected, []);
});

test('every limit that a request meets counts it', async (t) => {
  const { port } = await startLimited(t, {
    rateLimits: [
      rateLimit([limit({ name: 'a', requests: 4 }), limit({ name: 'b', by: [{ kind: 'path' }], requests: 2 })]),
    ],
  });
  assert.deepEqual(await statuses(port, 3, { path: '/1' }), [200, 200, 429]);
  const last = await ask(port, { path: '/2' });
  // One value a limit, in the order in which they stand before the application, the last first.
  assert.equal(last.headers['x-ratelimit-limit'], '2, 4');
  assert.equal(last.headers['x-ratelimit-remaining'], '1, 0');
  assert.deepEqual(await statuses(port, 1, { path: '/2' }), [429]);
});

const NONE = { path: undefined, method: undefined, headers: {}, callers: [] };

function prefix(value: string) {
  return { kind: 'prefix', value } as const;
}

test('a query never leads past a condition on the path, wherever the expression has its ends', async (t) => {
  const matching: readonly (readonly [string, string])[] = [
    ['^/a$|^/b$', '/a?x'],
    ['(^/a$)|(^/b$)', '/a?x'],
    ['^/a\\z', '/a?x'],
    ['/a\\$', '/a$?x'],
    ['/[$]', '/$?x'],
    ['/\\Qa$b\\E$', '/a$b?x'],
    ['/a', '/a?x'],
  ];
  const { port, server, serve } = await startLimited(t, { rateLimits: [] });
  for (const [i, [value, path]] of matching.entries()) {
    const name = `r${i}`;
    const match = [{ ...NONE, path: { kind: 'regex' as const, value } }];
    serve([rateLimit([limit({ name, match })])]);
    await eventually(`${value} counts`, async () => {
      await ask(port, { path });
      assert.ok((await counted(server, `default/api/${name}`, 'rate_limited')) > 0);
    });
  }
  assert.deepEqual(server.rejected, []);
});

test('a path beyond ASCII, or with what cannot be printed, is one that Envoy takes', async (t) => {
  const exact = (value: string) => [{ ...NONE, path: { kind: 'exact' as const, value } }];
  const limits = ['/é/😀', '/a\u0007b', '/x.y'].map((value, i) => limit({ name: `p${i}`, match: exact(value) }));
  const { port, server } = await startLimited(t, { rateLimits: [rateLimit(limits)] });
  assert.deepEqual(await statuses(port, 4, { path: '/x.y?z' }), OK3_NO1);
  assert.deepEqual(await statuses(port, 4, { path: '/x-y?z' }), [200, 200, 200, 200]);
  assert.deepEqual(server.rejected, []);
});
