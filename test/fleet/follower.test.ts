// What a host's follower makes of a real Consul: whole changes, the cost of one, missing and forged parts, a full disk.
import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { KvStore } from '../../src/consul/kv.ts';
import { applyResources, publishedResources } from '../../src/fleet/fleet.ts';
import { revokePublisher, setLocalResources } from '../../src/fleet/fleet-admin.ts';
import { FleetFollower } from '../../src/fleet/follower.ts';
import { bodyKey, headKey, MESH_KEY, revisionOfKey, revisionsPrefix } from '../../src/fleet/layout.ts';
import { publicHalf } from '../../src/fleet/signing-key.ts';
import { silentLog } from '../../src/lib/log.ts';
import { sleep } from '../../src/lib/sleep.ts';
import { eventually, PATIENCE_MS } from '../support/eventually.ts';
import { answering, type FleetLab, manifestsOf, startFleet } from './fleet-lab.ts';

interface Host {
  readonly follower: FleetFollower;
  /** Keys that were read from Consul, as often as they were. */
  readonly reads: string[];
  /** The status that each VirtualService answers with, by `namespace/name`, after every change. */
  readonly seen: Readonly<Record<string, number>>[];
  statuses(): Readonly<Record<string, number>>;
  stop(): Promise<void>;
}

async function startHost(
  t: TestContext,
  { client, root, dir }: FleetLab,
  namespaces: readonly string[],
  kv: Pick<KvStore, 'get'> = client.kv,
  { name = 'host', otherHalfMs = PATIENCE_MS } = {},
): Promise<Host> {
  const reads: string[] = [];
  const seen: Readonly<Record<string, number>>[] = [];
  const stateDir = join(dir, name);
  await mkdir(stateDir, { recursive: true });
  const follower = new FleetFollower({
    kv: {
      get: async (key, options) => {
        reads.push(key);
        return kv.get(key, options);
      },
    },
    host: 'web-1',
    roots: [publicHalf(root)],
    stateDir,
    maxNamespaces: 64,
    otherHalfMs,
    log: silentLog(),
    onChange: () => seen.push(host.statuses()),
  });
  const host: Host = {
    follower,
    reads,
    seen,
    statuses: () =>
      Object.fromEntries(
        follower.resources.virtualServices.map(({ meta, http }) => [
          `${meta.namespace}/${meta.name}`,
          http[0]?.directResponse?.status ?? 0,
        ]),
      ),
    stop: async () => follower.stop(),
  };
  t.after(async () => host.stop());
  await follower.start(new Set(namespaces));
  return host;
}

const codes = ({ follower }: Host): readonly string[] => follower.diagnostics.map(({ code }) => code);

test('a change of several namespaces is seen whole, never by halves', async (t) => {
  const lab = await startFleet(t);
  const names = ['a', 'b', 'c'];
  const both = (status: number): readonly object[] => names.map((name) => answering('web', status, name));
  await lab.apply(...both(200));
  const host = await startHost(t, lab, names);
  await host.follower.firstAnswers(60_000, t.signal);
  for (let status = 201; status <= 230; status += 1) await lab.apply(...both(status));
  await eventually('the last is in force', () => assert.equal(host.statuses()['a/web'], 230));
  const states = host.seen.filter((state) => Object.keys(state).length > 0);
  for (const state of states) assert.equal(new Set(Object.values(state)).size, 1, JSON.stringify(state));
  assert.deepEqual(codes(host), []);
});

test('the other half of a change that comes later is waited for', async (t) => {
  const lab = await startFleet(t);
  await lab.apply(answering('web', 200, 'a'), answering('web', 200, 'b'));
  const old = (await lab.client.kv.get(headKey('b'))).value;
  assert.ok(old);
  const arrived = Promise.withResolvers<void>();
  let late = true;
  const get: KvStore['get'] = async (key, options) => {
    const answer = await lab.client.kv.get(key, options);
    if (key === headKey('a') && (answer.value?.modifyIndex ?? 0) > old.modifyIndex) arrived.resolve();
    return key === headKey('b') && late ? { ...answer, value: old } : answer;
  };
  const host = await startHost(t, lab, ['a', 'b'], { get });
  await host.follower.firstAnswers(60_000, t.signal);
  await lab.apply(answering('web', 201, 'a'), answering('web', 201, 'b'));
  await arrived.promise;
  await sleep(300);
  assert.deepEqual(host.statuses(), { 'a/web': 200, 'b/web': 200 });
  late = false;
  // Wakes the watch, as a Consul server that has caught up would.
  const current = (await lab.client.kv.get(headKey('b'))).value;
  assert.ok(current);
  await lab.client.kv.put(headKey('b'), Buffer.from(`${Buffer.from(current.value).toString()}\n`));
  await eventually('both are in force', () => assert.equal(host.statuses()['a/web'], 201));
  assert.equal(host.statuses()['b/web'], 201);
  assert.deepEqual(codes(host), []);
});

test('the half of a change whose other half does not come is taken after a while, and said', async (t) => {
  const lab = await startFleet(t);
  await lab.apply(answering('web', 200, 'a'), answering('web', 200, 'b'));
  const old = (await lab.client.kv.get(headKey('b'))).value;
  assert.ok(old);
  // A Consul that shows the host the old head of b.
  const get: KvStore['get'] = async (key, options) => {
    const answer = await lab.client.kv.get(key, options);
    return key === headKey('b') ? { ...answer, value: old } : answer;
  };
  const host = await startHost(t, lab, ['a', 'b'], { get }, { otherHalfMs: 2000 });
  await host.follower.firstAnswers(60_000, t.signal);
  await lab.apply(answering('web', 201, 'a'), answering('web', 201, 'b'));
  await eventually('one half is in force', () => assert.equal(host.statuses()['a/web'], 201));
  assert.equal(host.statuses()['b/web'], 200);
  assert.deepEqual(codes(host), ['TRY0710']);
});

test('one changed resource costs one read of a head, and nothing else', async (t) => {
  const lab = await startFleet(t);
  const many = Array.from({ length: 600 }, (_, i) => answering(`web-${i}`, 200));
  await lab.apply(...many);
  const host = await startHost(t, lab, ['shop']);
  const startedAt = performance.now();
  await eventually('all are there', () => assert.equal(Object.keys(host.statuses()).length, 600));
  t.diagnostic(`600 resources in force ${Math.round(performance.now() - startedAt)} ms after the start`);
  host.reads.length = 0;
  const changed = lab.apply(answering('web-7', 418));
  await eventually('it is in force', () => assert.equal(host.statuses()['shop/web-7'], 418));
  await changed;
  assert.deepEqual([...new Set(host.reads)], [headKey('shop')]);
});

test('what an earlier follower kept is in force at once, with no Consul', async (t) => {
  const lab = await startFleet(t);
  await lab.apply(answering('web', 200), answering('api', 201));
  const first = await startHost(t, lab, ['shop']);
  await eventually('it is in force', () => assert.equal(first.statuses()['shop/api'], 201));
  await first.stop();
  const away = { get: async () => Promise.reject(new Error('no Consul')) };
  const second = await startHost(t, lab, ['shop'], away);
  assert.deepEqual(second.statuses(), { 'shop/api': 201, 'shop/web': 200 });
  await eventually('it is said', () => assert.deepEqual(codes(second), ['TRY0704']));
  await second.stop();
  // Deleted bodies do not stay on the disk.
  await lab.apply(answering('web', 300));
  const third = await startHost(t, lab, ['shop']);
  await eventually('it is in force', () => assert.equal(third.statuses()['shop/web'], 300));
  await third.stop();
  assert.equal((await readdir(join(lab.dir, 'host/fleet/shop'))).length, 3);
});

test('a body that is missing or another one: the revision is not taken until it is right', async (t) => {
  const lab = await startFleet(t);
  await lab.apply(answering('web', 200));
  // Without bodies inside of the head, as with large ones.
  const many = Array.from({ length: 200 }, (_, i) => answering(`web-${i}`, 200));
  await lab.apply(...many);
  const [some] = (await lab.client.kv.keys(bodyKey('shop', ''))).value.filter((key) => key.length > 0).slice(-1);
  assert.ok(some);
  const all = await Promise.all(
    (await lab.client.kv.keys(bodyKey('shop', ''))).value.map(async (key) => (await lab.client.kv.get(key)).value),
  );
  for (const entry of all) if (entry !== undefined) await lab.client.kv.put(entry.key, Buffer.from('kind: Enemy\n'));
  const host = await startHost(t, lab, ['shop']);
  await eventually('it is said', () => assert.deepEqual(codes(host), ['TRY0703']));
  assert.deepEqual(host.statuses(), {});
  for (const entry of all) if (entry !== undefined) await lab.client.kv.put(entry.key, entry.value);
  await eventually('it is taken', () => assert.equal(Object.keys(host.statuses()).length, 201));
  assert.deepEqual(codes(host), []);
});

test('a list of publishers by another root, and one of before, are refused; a deleted one holds', async (t) => {
  const lab = await startFleet(t);
  await lab.apply(answering('web', 200));
  const host = await startHost(t, lab, ['shop']);
  await eventually('it is in force', () => assert.equal(host.statuses()['shop/web'], 200));
  const list = (await lab.client.kv.get(MESH_KEY)).value;
  assert.ok(list);
  await lab.client.kv.put(MESH_KEY, Buffer.from('{}'));
  await eventually('it is refused', () => assert.deepEqual(codes(host), ['TRY0701']));
  await lab.client.kv.delete(MESH_KEY);
  await eventually('it is gone', () => assert.match(host.follower.diagnostics[0]?.message ?? '', /does not exist/));
  assert.deepEqual(host.statuses(), { 'shop/web': 200 });
  await lab.client.kv.put(MESH_KEY, list.value);
  await eventually('all is well', () => assert.deepEqual(codes(host), []));
  await lab.client.kv.delete(headKey('shop'));
  await eventually('the head is gone', () => assert.deepEqual(codes(host), ['TRY0702']));
  assert.deepEqual(host.statuses(), { 'shop/web': 200 });
});

test('the root says whether resource files of hosts count, and a revocation reaches hosts', async (t) => {
  const lab = await startFleet(t);
  await lab.apply(answering('web', 200));
  const host = await startHost(t, lab, ['shop']);
  await eventually('it is in force', () => assert.equal(host.statuses()['shop/web'], 200));
  assert.equal(host.follower.localResources, 'deny');
  await setLocalResources(lab.fleet, lab.root, 'allow');
  await eventually('files count', () => assert.equal(host.follower.localResources, 'allow'));
  await revokePublisher(lab.fleet, lab.root, 'admin');
  await eventually('the list is there', () => assert.equal(host.follower.meshRevision, 3));
  assert.deepEqual([host.statuses(), codes(host)], [{ 'shop/web': 200 }, []]);
  await assert.rejects(lab.apply(answering('web', 201)), { code: 'FLEET_FORBIDDEN' });
});

test('a revocation that comes while a head of that publisher is read counts', async (t) => {
  const lab = await startFleet(t);
  const { kv } = lab.client;
  await lab.apply(answering('web', 200));
  const first = (await kv.get(headKey('shop'))).value;
  const web = answering('web', 201);
  // Too long to stand in the head.
  await lab.apply({
    ...web,
    metadata: { name: 'web', namespace: 'shop', annotations: { note: 'long '.repeat(8000) } },
  });
  const second = (await kv.get(headKey('shop'))).value;
  const list = await kv.get(MESH_KEY);
  assert.ok(first && second);
  await kv.put(headKey('shop'), first.value);
  for (const key of (await kv.keys(revisionsPrefix('shop'))).value)
    if (revisionOfKey(key) === 2) assert.ok(await kv.delete(key));
  await revokePublisher(lab.fleet, lab.root, 'admin');
  // What the publisher signs after the revocation.
  await kv.put(headKey('shop'), second.value);

  const [news, text] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let asked = 0;
  const host = await startHost(t, lab, ['shop'], {
    get: async (key, options) => {
      if (key === MESH_KEY && asked++ === 0) return list;
      if (key === MESH_KEY) await news.promise;
      if (key.includes('/obj/')) await text.promise;
      return kv.get(key, options);
    },
  });
  await eventually('the text is asked for', () => host.reads.some((key) => key.includes('/obj/')));
  news.resolve();
  await eventually('the host knows of the revocation', () => assert.equal(host.follower.meshRevision, 2));
  text.resolve();
  await eventually('it is refused', () => assert.deepEqual(codes(host), ['TRY0702']));
  assert.deepEqual(host.statuses(), {});
  assert.ok(host.seen.every((statuses) => statuses['shop/web'] === undefined));
});

test('a namespace that comes later, one that nothing was published in, and one that is no longer followed', async (t) => {
  const lab = await startFleet(t);
  await lab.apply(answering('web', 200, 'a'));
  const host = await startHost(t, lab, ['a', 'empty']);
  await eventually('it is in force', () => assert.equal(host.statuses()['a/web'], 200));
  await lab.apply(answering('web', 201, 'empty'));
  await eventually('the first of its namespace', () => assert.equal(host.statuses()['empty/web'], 201));
  await lab.apply(answering('web', 202, 'late'));
  host.follower.setNamespaces(new Set(['a', 'late']));
  await eventually('the later one', () => assert.deepEqual(host.statuses(), { 'a/web': 200, 'late/web': 202 }));
});

test('a state folder that takes nothing: all is in force, and status says what is at stake', async (t) => {
  const lab = await startFleet(t);
  await mkdir(join(lab.dir, 'host'));
  await writeFile(join(lab.dir, 'host/fleet'), 'a file where a folder is to be');
  await lab.apply(answering('web', 200));
  const host = await startHost(t, lab, ['shop']);
  await eventually('it is in force', () => assert.equal(host.statuses()['shop/web'], 200));
  await eventually('it is said', () => assert.deepEqual(codes(host), ['TRY0706']));
});

test('ages follow the time of creation over namespaces; a copied creationTimestamp goes before', async (t) => {
  const lab = await startFleet(t);
  await lab.apply(answering('old', 200, 'b'));
  await sleep(5);
  await lab.apply(answering('young', 200, 'a'));
  await lab.apply(answering('old', 201, 'b'));
  const copied = { ...answering('copied', 200, 'a') } as { metadata: object };
  copied.metadata = { ...copied.metadata, creationTimestamp: '2020-01-01T00:00:00Z' };
  await applyResources(lab.fleet, { manifests: manifestsOf(copied) }, { key: lab.admin });
  const host = await startHost(t, lab, ['a', 'b']);
  await eventually('all are there', () => assert.equal(Object.keys(host.statuses()).length, 3));
  assert.deepEqual(
    host.follower.resources.virtualServices.map(({ meta }) => meta.name),
    ['copied', 'old', 'young'],
  );
  assert.equal((await publishedResources(lab.fleet, undefined)).length, 3);
});
