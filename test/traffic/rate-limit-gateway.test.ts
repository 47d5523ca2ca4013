/** Rate limits at a gateway, counted by a real Envoy before anything inside sees a request. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { exchange } from '../translate/applications.ts';
import { spiffe } from '../translate/mesh-literals.ts';
import { ingressRole } from './gateway-host.ts';
import { askEdge, authority, certificateOf, edgeStatuses, limitYaml, startLimitedGateway } from './limited-gateway.ts';
import { counted } from './limited-service.ts';
import { startRateLimitServer } from './rate-limit-server.ts';

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

test('behind a load balancer with the PROXY protocol, the client is who its header names', async (t) => {
  const { http } = await startLimitedGateway(t, {
    roles: [ingressRole({ proxyProtocol: true })],
    limits: limitYaml('[{name: clients, by: [remoteAddress], requests: 2, per: 1h}]'),
  });
  const status = async (client: string): Promise<string | undefined> => {
    const request = `GET / HTTP/1.1\r\nhost: one.test\r\nx-forwarded-for: 6.6.6.6\r\nconnection: close\r\n\r\n`;
    const answer = await exchange(http, `PROXY TCP4 ${client} 127.0.0.1 4000 80\r\n${request}`);
    return answer?.slice(9, 12);
  };
  for (const client of ['203.0.113.7', '203.0.113.8'])
    assert.deepEqual([await status(client), await status(client), await status(client)], ['200', '200', '429']);
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
    servers: (_, port) =>
      `  - {port: {number: ${port}, name: mesh, protocol: HTTPS}, hosts: [a.two.test], tls: {mode: ISTIO_MUTUAL}}`,
    limits: limitYaml(`
  - {name: batch, match: [{callers: [ns/default/sa/batch]}], requests: 2, per: 1h}
  - {name: each, by: [caller], match: [{path: {prefix: /each}}], requests: 2, per: 1h}`),
  });
  const batch = { tls: true, client: await certificateOf('batch') };
  assert.deepEqual(await edgeStatuses(https, 3, batch), OK2_NO1);
  assert.deepEqual(await edgeStatuses(https, 3, { tls: true }), [200, 200, 200]);
  assert.deepEqual(await edgeStatuses(http, 3), [200, 200, 200]);
  assert.deepEqual(
    await edgeStatuses(https, 3, { ...batch, host: 'a.two.test' }),
    OK2_NO1,
    'the certificate of the mesh',
  );
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

test('redirects of a route count; those to HTTPS and what nobody serves do not', async (t) => {
  const { http } = await startLimitedGateway(t, {
    limits: limitYaml('[{name: all, requests: 2, per: 1h}]'),
    servers: (port) =>
      `  - {port: {number: ${port}, name: secure, protocol: HTTP}, hosts: [secure.test], tls: {httpsRedirect: true}}`,
    more: `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: paths}
spec:
  hosts: [paths.test]
  gateways: [gw]
  http: [{match: [{uri: {prefix: /a}}], directResponse: {status: 204}}]
---`,
  });
  assert.deepEqual(await edgeStatuses(http, 4, { host: 'nobody.test' }), [404, 404, 404, 404]);
  assert.deepEqual(await edgeStatuses(http, 4, { host: 'paths.test', path: '/b' }), [404, 404, 404, 404]);
  assert.deepEqual(await edgeStatuses(http, 4, { host: 'secure.test' }), [301, 301, 301, 301]);
  assert.deepEqual(await edgeStatuses(http, 3, { path: '/moved' }), [301, 301, 429]);
  assert.deepEqual(await edgeStatuses(http, 1, { host: 'paths.test', path: '/a' }), [429]);
});

test('Gateways that share a port: each counts its own hosts, and both those that both serve', async (t) => {
  const { http, envoy } = await startLimitedGateway(t, {
    limits: `${limitYaml('[{name: all, requests: 2, per: 1h}]')}${limitYaml('[{name: all, requests: 3, per: 1h}]')
      .replace('name: edge', 'name: other')
      .replace('gateway: gw', 'gateway: other')}`,
    more: (port) => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: other}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: ${port}, name: http, protocol: HTTP}, hosts: [three.test, two.test]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: three}
spec:
  hosts: [three.test, two.test]
  gateways: [other]
  http: [{route: [{destination: {host: web.test}}]}]
---`,
  });
  assert.deepEqual(await edgeStatuses(http, 4, { host: 'three.test' }), [200, 200, 200, 429]);
  assert.deepEqual(await edgeStatuses(http, 3), [200, 200, 429]);
  assert.equal(await counted(envoy, 'default/other/all', 'ok'), 3);
  assert.equal(await counted(envoy, 'default/edge/all', 'enforced'), 1);
  assert.deepEqual(await edgeStatuses(http, 1, { host: 'two.test' }), [429]);
  assert.equal(await counted(envoy, 'default/edge/all', 'enforced'), 2);
  assert.deepEqual(envoy.rejected, []);
});

test('limits come and go while requests pass; figures touch no connection', async (t) => {
  const { http, envoy, limit } = await startLimitedGateway(t, { limits: '' });
  const header = async () => {
    const { status, headers } = await askEdge(http);
    assert.equal(status, 200);
    return headers['x-ratelimit-limit'];
  };
  assert.equal(await header(), undefined);
  limit(limitYaml('[{name: all, requests: 1000, per: 1h}]'));
  await eventually('a limit', async () => assert.equal(await header(), '1000'));
  const listeners = await envoy.stats('listener_manager.listener_(modified|in_place_updated)');
  limit(limitYaml('[{name: all, requests: 2000, per: 1h}]'));
  await eventually('another figure', async () => assert.equal(await header(), '2000'));
  assert.equal(await envoy.stats('listener_manager.listener_(modified|in_place_updated)'), listeners);
  limit('');
  await eventually('none', async () => assert.equal(await header(), undefined));
  assert.deepEqual(envoy.rejected, []);
});

test('a refused call of gRPC is told as gRPC, one of a browser as HTTP', async (t) => {
  const { http } = await startLimitedGateway(t, {
    limits: limitYaml('[{name: all, requests: 1, per: 1h}]'),
    servers: (port) => `  - {port: {number: ${port}, name: web, protocol: GRPC-WEB}, hosts: [browser.test]}`,
  });
  const call = (type: string) => askEdge(http, { method: 'POST', headers: { 'content-type': type } });
  assert.equal((await askEdge(http)).status, 200);
  const refused = await call('application/grpc');
  assert.equal(refused.status, 200);
  assert.equal(refused.headers['grpc-status'], '8');
  assert.equal((await call('application/grpc-web')).status, 429);
});

test('a server counts for the gateway, asked with its certificate', async (t) => {
  const server = await startRateLimitServer(t, await certificateOf('limits'), authority.rootPem);
  const { http, envoy } = await startLimitedGateway(t, {
    limits: limitYaml(
      '[{name: clients, by: [remoteAddress, path], requests: 2, per: 1h}]',
      'server: {host: limits, domain: edge, timeout: 30s, failClosed: true}',
    ),
    more: `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: limits}
spec:
  hosts: [limits.default.mesh]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8081, name: grpc, protocol: GRPC}]
  endpoints:
  - {address: 127.0.0.1, ports: {grpc: ${server.port}}, serviceAccount: limits, labels: {security.istio.io/tlsMode: istio}}
---`,
  });
  await eventually('the server is connected', async () => {
    assert.equal((await askEdge(http, { path: '/warm', from: '127.0.0.9' })).status, 200);
  });
  const before = server.asked.length;
  const first = await askEdge(http, { path: '/a?x' });
  assert.equal(first.status, 200);
  assert.equal(first.headers['x-ratelimit-remaining'], '1');
  assert.deepEqual(server.asked.slice(before), [
    {
      domain: 'edge',
      descriptor: 'limit=clients,remoteAddress=127.0.0.1,path=/a',
      limit: '2/HOUR',
      caller: `URI:${spiffe('ingress')}`,
    },
  ]);
  assert.deepEqual(await edgeStatuses(http, 2, { path: '/a' }), [200, 429]);
  assert.deepEqual(await edgeStatuses(http, 3, { path: '/a', from: '127.0.0.2' }), [200, 200, 429]);
  assert.deepEqual(await edgeStatuses(http, 3, { path: '/moved' }), [301, 301, 301], 'redirects are not asked for');
  assert.deepEqual(envoy.rejected, []);
});

test('a limit of the fleet is shared by the live instances of a gateway that is registered', async (t) => {
  const fleet = limitYaml('[{name: all, requests: 6, per: 1h, scope: fleet}]');
  const instances = (count: number): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ingress}
spec:
  hosts: [ingress.default.mesh]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 443, name: https, protocol: HTTPS}]
  endpoints: [${Array.from({ length: count }, (_, i) => `{address: 127.0.3.${i + 1}}`).join(', ')}]
---`;
  const { http, limit } = await startLimitedGateway(t, {
    roles: [ingressRole({ registered: { address: '127.0.3.1', port: 443 } })],
    limits: fleet + instances(2),
  });
  const share = async () => (await askEdge(http)).headers['x-ratelimit-limit'];
  assert.equal(await share(), '3');
  limit(fleet + instances(3));
  await eventually('a third', async () => assert.equal(await share(), '2'));
  limit(fleet + instances(1));
  await eventually('all', async () => assert.equal(await share(), '6'));
});
