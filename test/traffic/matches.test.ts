/** Which requests a route takes, on a real Envoy: all kinds of conditions, delegates, callers, weights. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Workload } from '../../src/model/host.ts';
import { spiffe } from '../translate/mesh-literals.ts';
import { type CallOptions, type Document, PLAIN, routes, startBookshop, to } from './bookshop.ts';

const VERSIONS = { v1: PLAIN, v2: PLAIN, v3: PLAIN };

test('every kind of condition on a request', async (t) => {
  const conditions: Readonly<Record<string, object>> = {
    exact: { uri: { exact: '/Exact' } },
    exactAnyCase: { uri: { exact: '/Any/Case' }, ignoreUriCase: true },
    prefixAnyCase: { uri: { prefix: '/Prefix/Case' }, ignoreUriCase: true },
    prefix: { uri: { prefix: '/foo' } },
    regex: { uri: { regex: '/r[0-9]+' } },
    query: { uri: { prefix: '/query' }, queryParams: { a: { exact: '1' }, b: { regex: '[x-z]+' }, c: {} } },
    without: { uri: { prefix: '/without' }, withoutHeaders: { 'x-a': { exact: '1' }, 'x-b': {} } },
    header: { headers: { 'x-kind': { prefix: 'he' }, 'x-any': {} } },
    method: { method: { exact: 'PUT' } },
    authority: { authority: { regex: '(a|b)[.]example' } },
    scheme: { uri: { exact: '/scheme' }, scheme: { exact: 'http' } },
    tls: { uri: { exact: '/tls' }, scheme: { exact: 'https' } },
    port: { uri: { exact: '/port' }, port: 9080 },
    otherPort: { uri: { exact: '/other-port' }, port: 8080 },
    ingress: { uri: { exact: '/gateway' }, gateways: ['ingress'] },
    // Gateways of its own make the conditions on the source void.
    mesh: { uri: { exact: '/mesh' }, gateways: ['mesh'], sourceNamespace: 'elsewhere' },
    elsewhere: { uri: { exact: '/elsewhere' }, sourceNamespace: 'elsewhere' },
    here: { uri: { exact: '/here' }, sourceNamespace: 'default' },
  };
  const shop = await startBookshop(t, {
    versions: VERSIONS,
    rules: [
      routes(
        ...Object.entries(conditions).map(([name, match]) => ({
          match: [match],
          headers: { response: { set: { 'x-route': name } } },
          route: [to('v1')],
        })),
        { route: [to('v1')] },
      ),
    ],
  });
  const taken = async (path: string, options: CallOptions = {}): Promise<unknown> =>
    (await shop.call({ path, ...options })).headers['x-route'];
  assert.equal(await taken('/Exact'), 'exact');
  assert.equal(await taken('/exact'), undefined);
  assert.equal(await taken('/any/case'), 'exactAnyCase');
  assert.equal(await taken('/PREFIX/CASE/x'), 'prefixAnyCase');
  assert.equal(await taken('/foobar'), 'prefix');
  assert.equal(await taken('/r12'), 'regex');
  assert.equal(await taken('/r12/x'), undefined, 'regular expressions match the whole path');
  assert.equal(await taken('/query?a=1&b=xz&c='), 'query');
  assert.equal(await taken('/query?a=1&b=q&c='), undefined);
  assert.equal(await taken('/query?a=1&b=x'), undefined);
  assert.equal(await taken('/without'), 'without');
  assert.equal(await taken('/without', { headers: { 'x-a': '2' } }), 'without');
  assert.equal(await taken('/without', { headers: { 'x-a': '1' } }), undefined);
  assert.equal(await taken('/without', { headers: { 'x-b': '' } }), undefined);
  assert.equal(await taken('/', { headers: { 'x-kind': 'hello', 'x-any': 'y' } }), 'header');
  assert.equal(await taken('/', { headers: { 'x-kind': 'hello' } }), undefined);
  assert.equal(await taken('/', { method: 'PUT' }), 'method');
  assert.equal(await taken('/', { headers: { host: 'b.example' } }), 'authority');
  assert.equal(await taken('/', { headers: { host: 'c.example' } }), undefined);
  assert.equal(await taken('/scheme'), 'scheme');
  assert.equal(await taken('/tls'), undefined);
  assert.equal(await taken('/port'), 'port');
  assert.equal(await taken('/other-port'), undefined);
  assert.equal(await taken('/gateway'), undefined);
  assert.equal(await taken('/mesh'), 'mesh');
  assert.equal(await taken('/elsewhere'), undefined);
  assert.equal(await taken('/here'), 'here');
});

test('by the labels of the caller', async (t) => {
  const callers: readonly Workload[] = [
    {
      namespace: 'default',
      service: 'web',
      serviceHost: 'web.default.mesh',
      identity: spiffe('web'),
      labels: { app: 'web', version: 'v2' },
      inbound: undefined,
    },
  ];
  const rule = routes(
    { match: [{ sourceLabels: { app: 'web', version: 'v3' } }], route: [to('v3')] },
    { match: [{ sourceLabels: { app: 'web' } }], route: [to('v2')] },
    { route: [to('v1')] },
  );
  for (const [workloads, version] of [
    [callers, 'v2'],
    [[], 'v1'],
  ] as const)
    await t.test(version, async (inner) => {
      const shop = await startBookshop(inner, { versions: VERSIONS, rules: [rule], host: { workloads } });
      assert.deepEqual(await shop.shares(5), { [version]: 5 });
    });
});

test('routes of a delegate, within those of its root', async (t) => {
  const root: Document = {
    kind: 'VirtualService',
    spec: {
      hosts: ['reviews'],
      http: [
        {
          match: [{ uri: { prefix: '/api' } }],
          delegate: { name: 'api', namespace: 'shop' },
          headers: { response: { set: { 'x-root': 'yes' } } },
        },
        { route: [to('v1')] },
      ],
    },
  };
  const delegate: Document = {
    kind: 'VirtualService',
    name: 'api',
    namespace: 'shop',
    spec: {
      http: [
        {
          match: [{ uri: { prefix: '/api/v3' } }],
          route: [{ destination: { host: 'reviews.default.mesh', subset: 'v3' } }],
        },
        { route: [{ destination: { host: 'reviews.default.mesh', subset: 'v2' } }] },
      ],
    },
  };
  const shop = await startBookshop(t, { versions: VERSIONS, rules: [root, delegate] });
  const reached = async (path: string): Promise<unknown> => (await shop.call({ path })).headers['x-app'];
  assert.equal(await reached('/api/v3/x'), 'v3');
  assert.equal(await reached('/api/x'), 'v2');
  assert.equal(await reached('/x'), 'v1');
  assert.equal((await shop.call({ path: '/api' })).headers['x-root'], 'yes');
});

test('shares of weights; statistics of their own', async (t) => {
  const shop = await startBookshop(t, {
    versions: VERSIONS,
    rules: [
      routes({
        match: [{ uri: { prefix: '/' }, statPrefix: 'canary' }],
        route: [to('v1', { weight: 90 }), to('v2', { weight: 30 }), to('v3', { weight: 0 })],
      }),
    ],
  });
  const shares = await shop.shares(200);
  assert.equal(shares['v3'], undefined);
  // 50 expected, standard deviation 6.
  assert.ok(Math.abs((shares['v2'] ?? 0) - 50) < 40, JSON.stringify(shares));
  assert.equal(await shop.envoy.stat('vhost.reviews.default.mesh:9080.route.canary.upstream_rq_200'), 200);
});
