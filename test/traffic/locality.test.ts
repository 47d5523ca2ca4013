/** Which endpoints get requests by where they are: shares, failover and the way back, with a real Envoy. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import type { Host } from '../../src/model/host.ts';
import { eventually } from '../support/eventually.ts';
import { freePort, freePorts } from '../support/ports.ts';
import { call, httpApplication } from '../translate/applications.ts';
import { startEnvoy } from '../translate/envoy.ts';
import { host, upstream, workload } from '../translate/mesh-literals.ts';
import { meshOf } from './gateway-host.ts';

interface Place {
  readonly locality: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly weight?: number;
}

interface Scene {
  shares(count: number): Promise<Readonly<Record<string, number>>>;
}

/** The service `reviews` at some places, called from `eu/a/1` by a policy; nobody listens at those that are `dead`. */
async function startScene(
  t: TestContext,
  places: Readonly<Record<string, Place>>,
  trafficPolicy: object,
  options: { readonly dead?: readonly string[]; readonly self?: Partial<Host> } = {},
): Promise<Scene> {
  const names = Object.keys(places);
  const ports = await freePorts(names.length);
  for (const [i, name] of names.entries())
    if (options.dead?.includes(name) !== true) await httpApplication(t, ports[i] ?? 0, name);
  const entry = {
    hosts: ['reviews.default.mesh'],
    location: 'MESH_INTERNAL',
    resolution: 'STATIC',
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
    endpoints: Object.values(places).map(({ locality, labels = {}, weight = 1 }, i) => ({
      address: '127.0.0.1',
      ports: { http: ports[i] },
      locality,
      labels,
      weight,
    })),
  };
  const yaml = [
    { kind: 'ServiceEntry', spec: entry },
    { kind: 'DestinationRule', spec: { host: 'reviews', trafficPolicy } },
  ]
    .map((resource) => stringify({ apiVersion: 'networking.istio.io/v1', metadata: { name: 'reviews' }, ...resource }))
    .join('---\n');
  const port = await freePort();
  const self = host({
    upstreams: [upstream('reviews', port)],
    callerIdentity: undefined,
    locality: { region: 'eu', zone: 'a', subzone: '1' },
    ...options.self,
  });
  await startEnvoy(t, meshOf(yaml), self, []);
  return {
    async shares(count) {
      const counts: Record<string, number> = {};
      for (let i = 0; i < count; i++) {
        const { status, headers } = await call(port);
        const key = status === 200 ? String(headers['x-app']) : String(status);
        counts[key] = (counts[key] ?? 0) + 1;
      }
      return counts;
    },
  };
}

const PLACES = {
  near: { locality: 'eu/a/1' },
  zone: { locality: 'eu/a/2' },
  region: { locality: 'eu/b/1' },
  us: { locality: 'us/a/1' },
  ap: { locality: 'ap/a/1' },
} as const;
const OUTLIER = { consecutive5xxErrors: 1, interval: '100ms', baseEjectionTime: '30s', maxEjectionPercent: 100 };

test('without outlier detection locality does not count', async (t) => {
  const scene = await startScene(t, PLACES, {
    loadBalancer: { simple: 'ROUND_ROBIN' },
  });
  assert.deepEqual(await scene.shares(25), { near: 5, zone: 5, region: 5, us: 5, ap: 5 });
});

test('with outlier detection the nearest get everything', async (t) => {
  const scene = await startScene(t, PLACES, { outlierDetection: OUTLIER });
  assert.deepEqual(await scene.shares(20), { near: 20 });
});

test('what fails is followed by the next nearest, and regions by the one that failover names', async (t) => {
  const { near, us, ap } = PLACES;
  const gone = { ...near, labels: {} };
  const scene = await startScene(
    t,
    { us, ap },
    { outlierDetection: OUTLIER, loadBalancer: { localityLbSetting: { failover: [{ from: 'eu', to: 'us' }] } } },
  );
  assert.deepEqual(await scene.shares(20), { us: 20 });
  const other = await startScene(
    t,
    { us, ap, gone },
    { outlierDetection: OUTLIER, loadBalancer: { localityLbSetting: { enabled: false } } },
  );
  // At random: one of three is met by none of so many once in 10^13 runs.
  assert.deepEqual(Object.keys(await other.shares(80)).toSorted(), ['ap', 'gone', 'us']);
});

test('endpoints that nobody listens at are followed by the next nearest, one distance after the other', async (t) => {
  const scene = await startScene(t, PLACES, { outlierDetection: OUTLIER }, { dead: ['near', 'zone'] });
  await eventually('all requests go to the next nearest', async () => (await scene.shares(20))['region'] === 20);
});

test('distribute: shares by locality, within one by weights; other localities get nothing', async (t) => {
  const scene = await startScene(
    t,
    {
      near: { locality: 'eu/a/1', weight: 3 },
      zone: { locality: 'eu/a/2' },
      region: { locality: 'eu/b/1' },
      us: { locality: 'us/a/1' },
      ap: { locality: 'ap/a/1' },
    },
    {
      loadBalancer: {
        simple: 'ROUND_ROBIN',
        localityLbSetting: { distribute: [{ from: 'eu/*', to: { 'eu/a/*': 80, 'us/*': 20 } }] },
      },
    },
  );
  const counts = await scene.shares(200);
  assert.deepEqual(Object.keys(counts).toSorted(), ['near', 'us', 'zone']);
  for (const [name, expected] of [
    ['near', 120],
    ['zone', 40],
    ['us', 40],
  ] as const)
    assert.ok(Math.abs((counts[name] ?? 0) - expected) <= 8, JSON.stringify(counts));
});

test('failoverPriority: by labels in their order, those of the client or written ones', async (t) => {
  const places = {
    far: { locality: 'ap/a/1', labels: { rack: 'r7', generation: 'new' } },
    near: { locality: 'eu/a/1', labels: { rack: 'r1' } },
  };
  const policy = (entry: string): object => ({
    outlierDetection: OUTLIER,
    loadBalancer: { localityLbSetting: { failoverPriority: [entry] } },
  });
  const labels = { rack: 'r7' };
  const callee = workload('web', 'HTTP', await freePort(), await freePort(), { labels });
  const self = { workloads: [callee], callerIdentity: undefined };
  assert.deepEqual(await (await startScene(t, places, policy('rack'), { self })).shares(20), { far: 20 });
  assert.deepEqual(await (await startScene(t, places, policy('rack=r1'), { self })).shares(20), { near: 20 });
  assert.deepEqual(await (await startScene(t, places, policy('generation=new'), { self })).shares(20), { far: 20 });
});
