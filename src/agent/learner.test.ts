import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createLog } from '../lib/log.ts';
import type { Host, NamedUpstream } from '../model/host.ts';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { buildMesh } from '../sources/build-mesh.ts';
import { EMPTY_RESOURCES } from '../sources/resource-set.ts';
import { type CalledService, CalledServices } from './called-services.ts';
import { Learner } from './learner.ts';
import { LearntServices } from './learnt-services.ts';

const MESH = buildMesh(undefined, {
  config: DEFAULT_MESH_CONFIG,
  resources: EMPTY_RESOURCES,
  catalogue: undefined,
  localServices: [],
});

interface Scene {
  readonly learner: Learner;
  readonly services: CalledServices;
  readonly asked: string[];
  readonly called: (readonly CalledService[])[];
}

/** A learner before a Consul that has every service but `nobody`, and an Envoy that takes everything. */
async function scene(t: TestContext, exists?: (host: string) => Promise<boolean>): Promise<Scene> {
  const dir = await mkdtemp(join(tmpdir(), 'learner-'));
  const asked: string[] = [];
  const called: (readonly CalledService[])[] = [];
  let named: readonly NamedUpstream[] = [];
  let { services } = MESH;
  const host = (): Host =>
    ({ workloads: [], upstreams: [], callerIdentity: undefined, namedUpstreams: named }) as unknown as Host;
  const calledServices = new CalledServices({
    store: await LearntServices.open(dir),
    settings: () =>
      ({
        discovery: { onDemand: true, keepForMs: 60_000, max: 3, proxy: undefined },
        consul: { maxWatches: 64 },
        upstreams: [],
      }) as never,
    mesh: () => ({ ...MESH, services }),
    host,
    isAsked: () => learner.isAsked,
    call: (next) => {
      called.push(next);
      named = next.map(({ host, isLeaving }, i) => ({
        serviceHost: host,
        addresses: [`127.240.0.${i + 1}`],
        ...(isLeaving ? { isLeaving } : {}),
      }));
      services = new Map(next.map(({ host }) => [host, { host, aliases: [], ports: [{ number: 80 }] }])) as never;
      return Promise.resolve();
    },
    stats: () => Promise.resolve(new Map()),
    log: createLog('error'),
  });
  const learner = new Learner({
    called: calledServices,
    mesh: () => ({ ...MESH, services }),
    host,
    isServed: (name) => services.has(name),
    isSettled: () => Promise.resolve(true),
    exists: async (name) => {
      asked.push(name);
      return exists === undefined ? !name.startsWith('nobody') : exists(name);
    },
    log: createLog('error'),
  });
  t.after(async () => {
    learner.stop();
    await calledServices.close();
    await rm(dir, { recursive: true });
  });
  return { learner, services: calledServices, asked, called };
}

test('all names of a service are one service, and many who ask are one', async (t) => {
  const { learner, asked } = await scene(t);
  const names = ['reviews.default.mesh', 'reviews.mesh', 'Reviews.default.mesh', 'reviews.service.consul'];
  const learnt = await Promise.all(names.map(async (name) => learner.learn(name)));
  assert.deepEqual(new Set(learnt.map(({ outcome }) => outcome)), new Set(['found']));
  assert.deepEqual(asked, ['reviews.default.mesh']);
});

test('a name that nobody has is asked for once, one that nobody can have never', async (t) => {
  t.mock.method(performance, 'now', () => 5000);
  const { learner, asked, called } = await scene(t);
  for (const name of ['nobody.default.mesh', 'nobody.mesh', 'www.example.com', '', '*'])
    assert.equal((await learner.learn(name)).outcome, 'unknown', name);
  assert.deepEqual([asked, called], [['nobody.default.mesh'], []]);
});

test('a Consul that does not answer is no proof that there is no service', async (t) => {
  let away = true;
  const { learner } = await scene(t, async () => {
    if (away) throw new Error('connection refused');
    return true;
  });
  assert.equal((await learner.learn('reviews.mesh')).outcome, 'failed');
  away = false;
  assert.equal((await learner.learn('reviews.mesh')).outcome, 'found');
});

test('of too many the longest unused leaves, and is served until nobody can know its address', async (t) => {
  const { learner, services, called } = await scene(t);
  for (const name of ['a', 'b', 'c', 'd']) assert.equal((await learner.learn(`${name}.mesh`)).outcome, 'found');
  const leaving = called.at(-1)?.filter(({ isLeaving }) => isLeaving);
  assert.equal(leaving?.length, 1);
  assert.equal(services.learnt.length, 3);
  const [gone] = leaving;
  assert.equal((await learner.learn(gone?.host ?? '')).outcome, 'found');
  assert.ok(services.learnt.some(({ host }) => host === gone?.host));
});

test('names that nobody has cannot be asked of Consul without end', async (t) => {
  // All within one second.
  t.mock.method(performance, 'now', () => 5000);
  const { learner, asked } = await scene(t, () => Promise.resolve(false));
  for (let i = 0; i < 200; i += 1) await learner.learn(`nobody-${i}.mesh`);
  assert.equal(asked.length, 50);
});
