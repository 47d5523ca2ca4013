import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { Host } from '../model/host.ts';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import type { CatalogueState } from '../sources/catalogue-state.ts';
import { catalogue, instance, istio, MTLS, resources, route } from '../sources/mesh-fixture.ts';
import { type Resource, type Resources, TYPE_URL } from '../xds/resource.ts';
import { MeshLoop, type MeshLoopOptions } from './mesh-loop.ts';

const SERVICES = ['alpha', 'beta', 'gamma'] as const;

const HOST: Host = {
  nodeId: 'vm-1',
  nodeCluster: 'web.default',
  locality: { region: '', zone: '', subzone: '' },
  workloads: [],
  upstreams: SERVICES.map((name, i) => ({
    serviceHost: `${name}.default.mesh`,
    servicePort: undefined,
    listen: { address: '127.0.0.1', port: 20_000 + i },
  })),
  callerIdentity: undefined,
  healthListener: { address: '127.0.0.1', port: 15_021 },
};

const ENDPOINTS = Array.from({ length: 5 }, (_, i) => instance(`n${i}/x`, { address: `10.0.0.${i}`, meta: {} }));
const FIRST = catalogue(Object.fromEntries(SERVICES.map((name) => [name, ENDPOINTS])));

interface Running {
  readonly loop: MeshLoop;
  /** What was served, oldest first. */
  readonly served: Resources[];
  readonly seen: ReadonlySet<string>[];
}

function run(t: TestContext, options: Partial<MeshLoopOptions> = {}): Running {
  const served: Resources[] = [];
  const seen: ReadonlySet<string>[] = [];
  const loop = new MeshLoop({
    config: DEFAULT_MESH_CONFIG,
    host: HOST,
    usesConsul: true,
    localServices: [],
    seenMeshed: new Set(),
    serve: (next) => void served.push(next),
    onMesh: (_mesh, meshed) => void seen.push(meshed),
    ...options,
  });
  t.after(() => loop.stop());
  loop.update({ catalogue: FIRST });
  loop.start();
  return { loop, served, seen };
}

function withEndpoint(
  state: CatalogueState,
  name: string,
  index: number,
  status: 'critical' | 'passing',
): CatalogueState {
  const all = state.services.get(name) ?? [];
  const [old] = all.slice(index);
  assert.ok(old !== undefined);
  return { ...state, services: new Map(state.services).set(name, all.with(index, { ...old, status })) };
}

/** Names of what is not the same object any more, or gone. */
function changed(before: Resources | undefined, after: Resources | undefined): readonly string[] {
  const types = new Set([...(before?.keys() ?? []), ...(after?.keys() ?? [])]);
  return [...types].flatMap((type) => {
    const [old, now] = [before?.get(type), after?.get(type)];
    return [...new Set([...(old?.keys() ?? []), ...(now?.keys() ?? [])])]
      .filter((name) => old?.get(name) !== now?.get(name))
      .map((name) => `${type.slice(type.lastIndexOf('.') + 1)} ${name}`);
  });
}

const ASSIGNMENT = 'outbound|9080||beta.default.mesh';

test('an endpoint that changes costs one load assignment, through the whole loop', async (t) => {
  const { loop, served } = run(t);
  assert.equal(served.length, 1);
  assert.equal(loop.served.get(TYPE_URL.endpoint)?.size, SERVICES.length);
  loop.update({ catalogue: withEndpoint(FIRST, 'beta', 2, 'critical') });
  await setImmediate();
  assert.equal(served.length, 2);
  assert.deepEqual(changed(served[0], served[1]), [`ClusterLoadAssignment ${ASSIGNMENT}`]);
});

test('changes of one turn make one round; none makes none', async (t) => {
  const { loop, served, seen } = run(t);
  loop.update({ catalogue: withEndpoint(FIRST, 'beta', 2, 'critical') });
  loop.update({ catalogue: withEndpoint(FIRST, 'beta', 3, 'critical') });
  loop.update({ resources: resources(istio('VirtualService', 'beta', `{hosts: [beta], ${route('gamma')}}`)) });
  await setImmediate();
  assert.equal(served.length, 2);
  const rounds = seen.length;
  loop.update({ host: structuredClone(HOST) });
  await setImmediate();
  assert.equal(served.length, 2, 'the same is not served again');
  assert.equal(seen.length, rounds, 'the mesh is the same');
});

test('nothing is served before the start, and nothing after the stop', async (t) => {
  const served: Resources[] = [];
  const loop = new MeshLoop({
    config: DEFAULT_MESH_CONFIG,
    host: HOST,
    usesConsul: true,
    localServices: [],
    seenMeshed: new Set(),
    serve: (next) => void served.push(next),
    onMesh: () => undefined,
  });
  t.after(() => loop.stop());
  loop.update({ catalogue: FIRST });
  await setImmediate();
  assert.equal(served.length, 0);
  loop.start();
  assert.equal(served.length, 1);
  loop.update({ catalogue: withEndpoint(FIRST, 'beta', 2, 'critical') });
  loop.stop();
  await setImmediate();
  assert.equal(served.length, 1);
});

test('new secrets leave all the rest alone', async (t) => {
  const { loop, served } = run(t);
  const secret: Resource = { name: 'ROOTCA', value: Buffer.from('1') };
  loop.update({ secrets: new Map([['ROOTCA', secret]]) });
  await setImmediate();
  assert.deepEqual(changed(served[0], served[1]), ['Secret ROOTCA']);
  for (const [type, byName] of served[0] ?? []) {
    if (type !== TYPE_URL.secret) assert.equal(served[1]?.get(type), byName, type);
  }
});

test('what Envoy refuses is served in its last accepted version and reported, until it changes', async (t) => {
  const { loop, served } = run(t);
  loop.accept(TYPE_URL.endpoint);
  loop.update({ catalogue: withEndpoint(FIRST, 'beta', 2, 'critical') });
  await setImmediate();
  loop.refuse({ typeUrl: TYPE_URL.endpoint, names: [ASSIGNMENT], message: 'not like this' });
  assert.equal(served.length, 3);
  assert.deepEqual(changed(served[0], served[2]), [], 'what was accepted is back');
  const diagnostic = loop.diagnostics.find(({ code }) => code === 'TRY0101');
  assert.equal(diagnostic?.object, `ClusterLoadAssignment ${ASSIGNMENT}`);
  assert.match(diagnostic?.message ?? '', /not like this/);
  // Another endpoint's change goes on as ever.
  loop.update({ catalogue: withEndpoint(withEndpoint(FIRST, 'beta', 2, 'critical'), 'gamma', 0, 'critical') });
  await setImmediate();
  assert.deepEqual(changed(served[2], served[3]), ['ClusterLoadAssignment outbound|9080||gamma.default.mesh']);
  loop.update({ catalogue: withEndpoint(FIRST, 'beta', 4, 'critical') });
  await setImmediate();
  assert.ok(changed(served[3], served[4]).includes(`ClusterLoadAssignment ${ASSIGNMENT}`), 'another version is tried');
  assert.deepEqual(
    loop.diagnostics.filter(({ code }) => code === 'TRY0101'),
    [],
  );
});

test('a service that was meshed once stays so when only plain instances are left', async (t) => {
  const meshed = { ...FIRST, services: new Map(FIRST.services).set('beta', [instance('n/m', { meta: MTLS })]) };
  const { loop, seen } = run(t);
  loop.update({ catalogue: meshed });
  await setImmediate();
  assert.deepEqual([...(seen.at(-1) ?? [])], ['beta.default.mesh']);
  loop.update({ catalogue: FIRST });
  await setImmediate();
  assert.equal(loop.mesh?.services.get('beta.default.mesh')?.tls, 'required');
  assert.deepEqual(loop.mesh?.endpoints.get('beta.default.mesh'), []);

  // After a restart too.
  const next = run(t, { seenMeshed: seen.at(-1) ?? new Set() });
  assert.equal(next.loop.mesh?.services.get('beta.default.mesh')?.tls, 'required');
  assert.equal(next.loop.mesh?.services.get('gamma.default.mesh')?.tls, 'plain');
});

test('the faults of sources and of the host are among the diagnostics', async (t) => {
  const { loop } = run(t);
  loop.update({
    host: {
      ...HOST,
      upstreams: [
        ...HOST.upstreams,
        { serviceHost: 'nobody.default.mesh', servicePort: undefined, listen: { address: '127.0.0.1', port: 20_009 } },
      ],
    },
    resources: resources(istio('VirtualService', 'beta', '{hosts: [beta], http: [{timeout: never}]}')),
  });
  await setImmediate();
  assert.deepEqual(loop.diagnostics.map(({ code }) => code).toSorted(), ['IST0106', 'TRY0401']);
});
