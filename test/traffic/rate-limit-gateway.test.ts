/** Rate limits at a gateway, counted by a real Envoy before anything inside sees a request. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ingressRole } from './gateway-host.ts';
import { askEdge, certificateOf, edgeStatuses, limitYaml, startLimitedGateway } from './limited-gateway.ts';
import { counted } from './limited-service.ts';

const OK2_NO1 = [200, 200, 429];

test('by the address of the client, which x-forwarded-for does not change, with headers and statistics', async (t) => {
  const { http, envoy, seen } = await startLimitedGateway(t, {
    limits: limitYaml('[{name: clients, by: [remoteAddress], requests: 2, per: 1h}]'),
  });
  const first = await askEdge(http);
  assert.equal(first.status, 200);
  assert.equal(first.headers['x-ratelimit-limit'], '2');
  assert.equal(first.headers['x-ratelimit-remaining'], '1');
  const forged = { headers: { 'x-forwarded-for': '10.1.1.1' } };
  assert.deepEqual(await edgeStatuses(http, 2, forged), [200, 429]);
  assert.deepEqual(await edgeStatuses(http, 3, { from: '127.0.0.2' }), OK2_NO1);
  assert.deepEqual(await edgeStatuses(http, 1, { host: 'two.test' }), [429], 'all hosts have one bucket');
  assert.equal(seen.length, 4);
  assert.equal(await counted(envoy, 'default/edge/clients', 'enforced'), 3);
  assert.equal(await counted(envoy, 'default/edge/clients', 'ok'), 4);
  assert.deepEqual(envoy.rejected, []);
  assert.doesNotMatch(envoy.output(), /warning|error/, envoy.output());
});

test('behind a proxy that is trusted, the client is who that proxy has seen', async (t) => {
  const { http } = await startLimitedGateway(t, {
    roles: [ingressRole({ trustedHops: 1 })],
    limits: limitYaml('[{name: clients, by: [remoteAddress], requests: 2, per: 1h}]'),
  });
  const client = (address: string) => ({ headers: { 'x-forwarded-for': `6.6.6.6, ${address}` } });
  assert.deepEqual(await edgeStatuses(http, 3, client('10.1.1.1')), OK2_NO1);
  assert.deepEqual(await edgeStatuses(http, 1, { headers: { 'x-forwarded-for': '7.7.7.7, 10.1.1.1' } }), [429]);
  assert.deepEqual(await edgeStatuses(http, 3, client('10.1.1.2')), OK2_NO1);
});

test('by header, path and method, where a condition holds', async (t) => {
  const { http } = await startLimitedGateway(t, {
    limits: limitYaml(`
  - {name: keys, by: [{header: x-api-key}], match: [{path: {prefix: /api}}], requests: 2, per: 1h}
  - {name: logins, match: [{path: {exact: /login}, method: {exact: POST}}], requests: 2, per: 1h}
  - {name: paths, by: [path], match: [{path: {prefix: /p/}, headers: {x-plan: {}}}], requests: 2, per: 1h}`),
  });
  const key = (value: string) => ({ path: '/api/x', headers: { 'x-api-key': value } });
  assert.deepEqual(await edgeStatuses(http, 3, key('a')), OK2_NO1);
  assert.deepEqual(await edgeStatuses(http, 3, key('b')), OK2_NO1);
  assert.deepEqual(await edgeStatuses(http, 3, { path: '/login' }), [200, 200, 200]);
  assert.deepEqual(await edgeStatuses(http, 3, { path: '/login?a', method: 'POST' }), OK2_NO1);
  const plan = { headers: { 'x-plan': 'free' } };
  assert.deepEqual(await edgeStatuses(http, 3, { ...plan, path: '/p/1' }), OK2_NO1);
  assert.deepEqual(await edgeStatuses(http, 1, { ...plan, path: '/p/2?x' }), [200]);
  assert.deepEqual(await edgeStatuses(http, 4, { path: '/p/1' }), [200, 200, 200, 200]);
});

test('for some of its hosts, however they are written; nothing of the others', async (t) => {
  const { http, https } = await startLimitedGateway(t, {
    limits: limitYaml('[{name: all, requests: 3, per: 1h}]', 'hosts: [One.test, "*.two.test"]'),
  });
  assert.deepEqual(await edgeStatuses(http, 5, { host: 'two.test' }), [200, 200, 200, 200, 200]);
  assert.deepEqual(await edgeStatuses(https, 5, { host: 'two.test', tls: true }), [200, 200, 200, 200, 200]);
  assert.equal((await askEdge(http, { host: 'two.test' })).headers['x-ratelimit-limit'], undefined);
  assert.deepEqual(await edgeStatuses(http, 1, { host: 'ONE.test:8443' }), [200]);
  assert.deepEqual(await edgeStatuses(http, 1, { host: 'one.test:+1' }), [200]);
  assert.deepEqual(await edgeStatuses(http, 1, { host: 'api.two.test' }), [200]);
  assert.deepEqual(await edgeStatuses(http, 1, { host: 'one.test' }), [429]);
  assert.deepEqual(await edgeStatuses(http, 1, { host: 'a.b.two.test:80' }), [429]);
});

test('a port of HTTP has one bucket, each server of HTTPS one of its own', async (t) => {
  const { http, https } = await startLimitedGateway(t, {
    limits: limitYaml('[{name: all, requests: 2, per: 1h}]'),
  });
  assert.deepEqual(await edgeStatuses(http, 3), OK2_NO1);
  assert.deepEqual(await edgeStatuses(https, 3, { tls: true }), OK2_NO1);
  assert.deepEqual(await edgeStatuses(https, 3, { host: 'two.test', tls: true }), OK2_NO1);
  assert.deepEqual(await edgeStatuses(http, 1, { host: 'two.test' }), [429]);
});

test('callers are who their certificates say, where a server asks for one', async (t) => {
  const { http, https, envoy } = await startLimitedGateway(t, {
    limits: limitYaml(`
  - {name: batch, match: [{callers: [ns/default/sa/batch]}], requests: 2, per: 1h}
  - {name: each, by: [caller], match: [{path: {prefix: /each}}], requests: 2, per: 1h}`),
  });
  const batch = { tls: true, client: await certificateOf('batch') };
  assert.deepEqual(await edgeStatuses(https, 3, batch), OK2_NO1);
  assert.deepEqual(await edgeStatuses(https, 3, { tls: true }), [200, 200, 200]);
  assert.deepEqual(await edgeStatuses(http, 3), [200, 200, 200]);
  const forged = { 'x-forwarded-client-cert': 'URI=spiffe://cluster.local/ns/default/sa/batch' };
  assert.deepEqual(await edgeStatuses(http, 1, { headers: forged }), [200]);
  for (const account of ['web', 'shop'])
    assert.deepEqual(
      await edgeStatuses(https, 3, { path: '/each', tls: true, client: await certificateOf(account) }),
      OK2_NO1,
    );
  assert.deepEqual(await edgeStatuses(http, 3, { path: '/each', headers: forged }), OK2_NO1);
  assert.deepEqual(envoy.rejected, []);
});

test('a dry run lets all through and counts what it would refuse', async (t) => {
  const { http, envoy, seen } = await startLimitedGateway(t, {
    limits: limitYaml('[{name: try, requests: 1, per: 1h, dryRun: true}]'),
  });
  assert.deepEqual(await edgeStatuses(http, 3), [200, 200, 200]);
  assert.equal(await counted(envoy, 'default/edge/try', 'rate_limited'), 2);
  assert.equal(seen.length, 3);
});
