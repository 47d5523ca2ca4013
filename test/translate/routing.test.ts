/** Routes, retries, load balancing and outliers on a real Envoy: one sidecar, plain instances. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import type { Host } from '../../src/model/host.ts';
import { canonicalHost } from '../../src/model/host-names.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { parseResources } from '../../src/sources/resource-reader.ts';
import { freePort, freePorts } from '../support/ports.ts';
import { type Answer, call, httpApplication } from './applications.ts';
import { type RunningEnvoy, startEnvoy } from './envoy.ts';
import { host } from './mesh-literals.ts';

interface Bookshop {
  readonly envoy: RunningEnvoy;
  call(options?: Parameters<typeof call>[1]): Promise<Answer>;
}

interface Document {
  readonly kind: string;
  readonly spec: unknown;
}

interface Instance {
  readonly version: string;
  readonly port: number;
  readonly weight?: number;
}

/** `reviews` in plain text with these instances and rules, called through one sidecar. */
async function bookshop(
  t: TestContext,
  instances: readonly Instance[],
  rules: readonly Document[],
  rest: Partial<Host> = {},
): Promise<Bookshop> {
  const port = await freePort();
  const entry = {
    kind: 'ServiceEntry',
    spec: {
      hosts: ['reviews.default.mesh'],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports: [{ number: 9080, name: 'http', protocol: 'HTTP' }],
      endpoints: instances.map(({ version, port: http, weight }) => ({
        address: '127.0.0.1',
        ports: { http },
        labels: { version },
        ...(weight !== undefined && { weight }),
      })),
    },
  };
  const text = [entry, ...rules]
    .map(({ kind, spec }) =>
      stringify({ apiVersion: 'networking.istio.io/v1', kind, metadata: { name: 'reviews' }, spec }),
    )
    .join('---\n');
  const resources = parseResources([{ file: 'in.yaml', text }]);
  assert.deepEqual(resources.diagnostics, []);
  const config = DEFAULT_MESH_CONFIG;
  const mesh = buildMesh(undefined, { config, resources, catalogue: undefined, localServices: [] });
  const serviceHost = canonicalHost(config, 'reviews', 'default');
  const upstreams = [{ serviceHost, servicePort: undefined, listen: { address: '127.0.0.1', port } }];
  const envoy = await startEnvoy(t, mesh, host({ upstreams, callerIdentity: undefined, ...rest }), []);
  return { envoy, call: (options) => call(port, options) };
}

async function versions(t: TestContext, ...names: readonly string[]): Promise<Instance[]> {
  const ports = await freePorts(names.length);
  await Promise.all(names.map((name, i) => httpApplication(t, ports[i] ?? 0, name)));
  return names.map((version, i) => ({ version, port: ports[i] ?? 0 }));
}

const SUBSETS: Document = {
  kind: 'DestinationRule',
  spec: { host: 'reviews', subsets: ['v1', 'v2', 'v3'].map((name) => ({ name, labels: { version: name } })) },
};
const to = (subset: string, weight?: number): object => ({
  destination: { host: 'reviews', subset },
  ...(weight !== undefined && { weight }),
});
const routes = (...http: readonly object[]): Document => ({
  kind: 'VirtualService',
  spec: { hosts: ['reviews'], http },
});

async function shares(
  shop: Bookshop,
  requests: number,
  options?: Parameters<typeof call>[1],
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (let i = 0; i < requests; i++) {
    const { status, headers } = await shop.call(options);
    const key = status === 200 ? String(headers['x-app']) : String(status);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

test('shares by weight, of a total that is not 100; weight 0 gets nothing', async (t) => {
  const shop = await bookshop(t, await versions(t, 'v1', 'v2', 'v3'), [
    SUBSETS,
    routes({ route: [to('v1', 3), to('v2', 1), to('v3', 0)] }),
  ]);
  const counts = await shares(shop, 400);
  assert.equal(counts.get('v3'), undefined);
  // 300 expected, standard deviation below 9.
  assert.ok(Math.abs((counts.get('v1') ?? 0) - 300) < 60, JSON.stringify([...counts]));
  assert.equal((counts.get('v1') ?? 0) + (counts.get('v2') ?? 0), 400);
});

test('matches by header, path, query and method, first one first', async (t) => {
  const shop = await bookshop(t, await versions(t, 'v1', 'v2', 'v3'), [
    SUBSETS,
    routes(
      { match: [{ headers: { 'end-user': { exact: 'jason' } } }], route: [to('v2')] },
      { match: [{ uri: { prefix: '/beta' }, queryParams: { on: { exact: '1' } } }], route: [to('v3')] },
      { match: [{ uri: { regex: '/v[0-9]/.*' }, withoutHeaders: { old: {} } }], route: [to('v3')] },
      { match: [{ authority: { exact: 'three' } }], route: [to('v3')] },
      { route: [to('v1')] },
    ),
  ]);
  const reached = async (path: string, headers: Record<string, string> = {}): Promise<unknown> =>
    (await shop.call({ path, headers })).headers['x-app'];
  assert.equal(await reached('/', { 'end-user': 'jason' }), 'v2');
  assert.equal(await reached('/', { 'end-user': 'jason2' }), 'v1');
  assert.equal(await reached('/beta/x?on=1'), 'v3');
  assert.equal(await reached('/beta?on=2'), 'v1');
  assert.equal(await reached('/v7/x'), 'v3');
  assert.equal(await reached('/v7/x', { old: 'y' }), 'v1');
  assert.equal(await reached('/x/v7/x'), 'v1');
  assert.equal(await reached('/', { host: 'three' }), 'v3');
  assert.equal(await reached('/', { host: 'whatever.the.caller.says' }), 'v1');
});

test('by default a plain 503 is not retried; named as a code it is', async (t) => {
  const instances = await versions(t, 'v1', 'v1');
  const asks = { headers: { 'x-status': '503' } };
  const attempts = async (rule: readonly Document[]): Promise<number> => {
    let count = 0;
    await t.test(`with ${rule.length} rules`, async (inner) => {
      const shop = await bookshop(inner, instances, rule);
      assert.equal((await shop.call(asks)).status, 503);
      count = await shop.envoy.stat('cluster.outbound|9080||reviews.default.mesh;.upstream_rq_total');
    });
    return count;
  };
  assert.equal(await attempts([]), 1);
  const retryOn = 'connect-failure,refused-stream,reset,503';
  assert.equal(
    await attempts([routes({ retries: { attempts: 3, retryOn }, route: [{ destination: { host: 'reviews' } }] })]),
    4,
  );
});

test('an instance that is gone costs no request: retried elsewhere, then ejected', async (t) => {
  const [dead] = await freePorts(1);
  const shop = await bookshop(
    t,
    [...(await versions(t, 'v1', 'v2')), { version: 'v3', port: dead ?? 0 }],
    [
      routes({
        retries: { attempts: 2, retryOn: 'connect-failure,refused-stream,reset,503' },
        route: [{ destination: { host: 'reviews' } }],
      }),
      {
        kind: 'DestinationRule',
        spec: {
          host: 'reviews',
          trafficPolicy: { outlierDetection: { consecutive5xxErrors: 1, interval: '100ms', alwaysEjectOneHost: true } },
        },
      },
    ],
  );
  const counts = await shares(shop, 60);
  assert.deepEqual([...counts.keys()].toSorted(), ['v1', 'v2']);
  const cluster = 'cluster.outbound|9080||reviews.default.mesh;';
  assert.equal(await shop.envoy.stat(`${cluster}.outlier_detection.ejections_active`), 1);
});

test('a subset or service that does not exist is 503 for its own requests alone', async (t) => {
  const shop = await bookshop(t, await versions(t, 'v1'), [
    SUBSETS,
    routes(
      { match: [{ uri: { prefix: '/unknown' } }], route: [{ destination: { host: 'gone.default.mesh' } }] },
      { match: [{ uri: { prefix: '/subset' } }], route: [to('v9')] },
      { match: [{ uri: { prefix: '/empty' } }], route: [to('v3')] },
      { route: [to('v1')] },
    ),
  ]);
  for (const path of ['/unknown', '/subset', '/empty']) assert.equal((await shop.call({ path })).status, 503, path);
  assert.equal((await shop.call()).status, 200);
});

test('a hash keeps a session with one instance', async (t) => {
  const shop = await bookshop(t, await versions(t, 'v1', 'v2', 'v3'), [
    {
      kind: 'DestinationRule',
      spec: {
        host: 'reviews',
        trafficPolicy: { loadBalancer: { consistentHash: { httpCookie: { name: 'session', ttl: '60s' } } } },
      },
    },
  ]);
  const first = await shop.call();
  const cookie = String(first.headers['set-cookie']?.[0]).split(';')[0] ?? '';
  assert.match(cookie, /^session=/);
  const counts = await shares(shop, 20, { headers: { cookie } });
  assert.deepEqual([...counts], [[String(first.headers['x-app']), 20]]);
  assert.ok((await shares(shop, 40)).size > 1, 'without the cookie requests spread');
});

test('the nearest locality is preferred once outlier detection is on', async (t) => {
  const [near, far] = await versions(t, 'near', 'far');
  const port = await freePort();
  const text = stringify({
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: 'reviews' },
    spec: {
      hosts: ['reviews.default.mesh'],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports: [{ number: 9080, name: 'http', protocol: 'HTTP' }],
      endpoints: [
        { address: '127.0.0.1', ports: { http: near?.port }, locality: 'eu/a' },
        { address: '127.0.0.1', ports: { http: far?.port }, locality: 'us/a' },
      ],
    },
  });
  const rule = stringify({
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: 'reviews' },
    spec: { host: 'reviews', trafficPolicy: { outlierDetection: {} } },
  });
  for (const [yaml, size] of [
    [text, 2],
    [`${text}---\n${rule}`, 1],
  ] as const) {
    await t.test(`${size} of two instances`, async (inner) => {
      const resources = parseResources([{ file: 'in.yaml', text: yaml }]);
      const inputs = { config: DEFAULT_MESH_CONFIG, resources, catalogue: undefined, localServices: [] };
      const mesh = buildMesh(undefined, inputs);
      const listen = { address: '127.0.0.1', port };
      const upstreams = [{ serviceHost: 'reviews.default.mesh', servicePort: undefined, listen }];
      const locality = { region: 'eu', zone: 'a', subzone: '' };
      const envoy = await startEnvoy(inner, mesh, host({ upstreams, locality, callerIdentity: undefined }), []);
      const counts = await shares({ envoy, call: (options) => call(port, options) }, 60);
      assert.equal(counts.size, size, JSON.stringify([...counts]));
      assert.ok(counts.has('near'));
    });
  }
});
