// What becomes of a fleet whose marks in Consul somebody deletes, overwrites or plays back, and how it goes on.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { KvStore } from '../../src/consul/kv.ts';
import { composeHead } from '../../src/fleet/compose-head.ts';
import { applyResources, publishedResources, rollBack } from '../../src/fleet/fleet.ts';
import { addPublisher, listPublishers, revokePublisher } from '../../src/fleet/fleet-admin.ts';
import { FleetStore } from '../../src/fleet/fleet-store.ts';
import { freezeReport, setFrozen } from '../../src/fleet/freeze.ts';
import { bodyKey, FLEET_LIMITS, FREEZE_KEY, headKey, MESH_KEY, revisionKey } from '../../src/fleet/layout.ts';
import { repairFleet, restoreList } from '../../src/fleet/repair.ts';
import { createSigningKey, publicHalf } from '../../src/fleet/signing-key.ts';
import { trysail } from '../support/run-trysail.ts';
import { answering, type FleetLab, manifestsOf, startFleet } from './fleet-lab.ts';

const ENEMIES = [
  ['deleted', async ({ client }: FleetLab, key: string) => client.kv.delete(key)],
  ['overwritten', async ({ client }: FleetLab, key: string) => client.kv.put(key, Buffer.from('nonsense'))],
] as const;

async function listIn({ client }: FleetLab): Promise<string> {
  const { value } = await client.kv.get(MESH_KEY);
  return Buffer.from(value?.value ?? '').toString('utf8');
}

for (const [what, enemy] of ENEMIES) {
  test(`the freeze mark is ${what}: nothing is published until it is made anew, which a key can`, async (t) => {
    const lab = await startFleet(t);
    await enemy(lab, FREEZE_KEY);
    await assert.rejects(lab.apply(answering('reviews', 418)), { code: 'FLEET_UNVERIFIED', remedy: /unfreeze/ });
    const told = await trysail('fleet', 'repair', '--consul', lab.consul.address, '--root', lab.trustFile);
    assert.deepEqual([told.code, told.out], [1, '']);
    assert.match(told.err, /mark that freezes changes .*does not verify[^]*"trysail unfreeze"/);
    await assert.rejects(setFrozen(lab.fleet, createSigningKey(), false, undefined), { code: 'FLEET_FORBIDDEN' });
    await setFrozen(lab.fleet, lab.admin, true, 'look first');
    await assert.rejects(lab.apply(answering('reviews', 418)), { code: 'FLEET_FROZEN' });
    await setFrozen(lab.fleet, lab.root, false, undefined);
    assert.equal((await freezeReport(lab.fleet)).frozen, false);
    await lab.apply(answering('reviews', 418));
  });

  test(`the list of publishers is ${what}: the copy of a host puts it back`, async (t) => {
    const lab = await startFleet(t);
    await lab.apply(answering('reviews', 418));
    const list = await listIn(lab);
    await enemy(lab, MESH_KEY);
    await assert.rejects(lab.apply(answering('reviews', 419)), { remedy: /trysail fleet repair --list/ });
    const file = join(lab.dir, 'mesh.json');
    await writeFile(file, list);
    const args = ['fleet', 'repair', '--list', file, '--consul', lab.consul.address, '--root', lab.trustFile];
    const { code, out, err } = await trysail(...args);
    assert.deepEqual([code, out], [0, 'The list of publishers is at revision 1 again.\n'], err);
    assert.equal((await trysail(...args)).out, 'All that is in Consul verifies.\n');
    await lab.apply(answering('reviews', 419));
    const gone = await trysail('fleet', 'repair', '--list', join(lab.dir, 'none'), ...args.slice(4));
    assert.match(gone.err, /list of publishers .*none cannot be read/);
  });
}

async function added(t: TestContext): Promise<{ lab: FleetLab; older: string; newer: string }> {
  const lab = await startFleet(t);
  const older = await listIn(lab);
  const team = { name: 'team', publicKey: publicHalf(createSigningKey()), namespaces: ['shop'], kinds: ['*'] };
  await addPublisher(lab.fleet, lab.root, { ...team, mayFreeze: false });
  return { lab, older, newer: await listIn(lab) };
}

test('an older list that was put back gives way to the newer one, and never the other way round', async (t) => {
  const { lab, older, newer } = await added(t);
  assert.equal(await restoreList(lab.fleet, older), undefined);
  await lab.client.kv.put(MESH_KEY, Buffer.from(older));
  assert.equal((await listPublishers(lab.fleet)).length, 1);
  assert.equal(await restoreList(lab.fleet, newer), 2);
  assert.equal((await listPublishers(lab.fleet)).length, 2);
});

test('a list that the root has not signed is not put back', async (t) => {
  const { lab, newer } = await added(t);
  await lab.client.kv.delete(MESH_KEY);
  await assert.rejects(restoreList(lab.fleet, newer.replace('"revision', '"revlsion')), { code: 'FLEET_UNVERIFIED' });
  await assert.rejects(restoreList(lab.fleet, 'nonsense'), { code: 'FLEET_UNVERIFIED' });
});

test('a namespace that does not verify keeps nobody from publishing in others, and repair from mending them', async (t) => {
  const lab = await startFleet(t);
  await lab.apply(answering('reviews', 418));
  await lab.apply(answering('till', 200, 'pay'));
  for (const namespace of ['a-broken', 'pay']) await lab.client.kv.put(headKey(namespace), Buffer.from('nonsense'));
  await lab.client.kv.put(bodyKey('begun', 'x'.repeat(43)), Buffer.from('of somebody who ended before the first head'));
  const { revisions, diagnostics } = await lab.apply(answering('reviews', 419));
  assert.deepEqual(revisions, { shop: 2 });
  assert.deepEqual(
    diagnostics.map(({ code, severity, object }) => [code, severity, object]),
    ['a-broken', 'pay'].map((name) => ['TRY0702', 'warning', `namespace ${name}`]),
  );
  const back = await rollBack(lab.fleet, 'shop', 1, { key: lab.admin });
  assert.deepEqual(back.revisions, { shop: 3 });
  await assert.rejects(lab.apply(answering('till', 201, 'pay')), { code: 'FLEET_UNVERIFIED' });
  await assert.rejects(repairFleet(lab.fleet), { code: 'FLEET_BEYOND_REPAIR', message: /of a-broken in/ });
  await lab.client.kv.delete(headKey('a-broken'));
  assert.deepEqual(await repairFleet(lab.fleet), [{ namespace: 'begun', headless: true }]);
  await lab.apply(answering('till', 201, 'pay'));
});

test('a copy that is signed, and names what its publisher may not change, is nothing to go back to', async (t) => {
  const lab = await startFleet(t);
  const key = createSigningKey();
  const team = { name: 'team', publicKey: publicHalf(key), namespaces: ['shop'], kinds: ['Gateway'], mayFreeze: false };
  await addPublisher(lab.fleet, lab.root, team);
  await lab.apply(answering('reviews', 418));
  const { store } = lab.fleet;
  const { document } = await store.publishers();
  const current = await store.current('shop', await store.publishers());
  const [manifest] = manifestsOf(answering('reviews', 500));
  assert.ok(manifest);
  const { held } = composeHead(
    {
      fleet: document.fleet,
      transaction: { id: 'x', revisions: { shop: 2 } },
      key,
      plan: { action: 'apply', message: undefined },
      budget: FLEET_LIMITS.headBytes,
    },
    { current, puts: [manifest], deletes: [] },
  );
  const forged = Buffer.from(held.sealed);
  await lab.client.kv.put(revisionKey('shop', 2, held.hash), forged);
  assert.deepEqual((await lab.apply(answering('reviews', 419))).revisions, { shop: 2 });
  await lab.client.kv.put(headKey('shop'), forged);
  assert.deepEqual(await repairFleet(lab.fleet), [{ namespace: 'shop', revision: 2 }]);
  assert.match((await publishedResources(lab.fleet, ['shop']))[0]?.text ?? '', /419/);
});

test('who is revoked cannot keep that off by writing to heads', async (t) => {
  const lab = await startFleet(t);
  const key = createSigningKey();
  const team = { name: 'team', publicKey: publicHalf(key), namespaces: ['shop'], kinds: ['*'], mayFreeze: false };
  await addPublisher(lab.fleet, lab.root, team);
  const publishAs = async (status: number): Promise<unknown> =>
    applyResources(lab.fleet, { manifests: manifestsOf(answering('reviews', status)) }, { key });
  await publishAs(418);
  await publishAs(419);
  let writes = 0;
  const kv: KvStore = {
    ...lab.client.kv,
    transact: async (...args) => {
      writes += 1;
      await lab.client.kv.put(headKey('shop'), Buffer.from(`nonsense ${writes}`));
      return lab.client.kv.transact(...args);
    },
  };
  const { roots } = lab.fleet.store;
  await revokePublisher({ store: new FleetStore(kv, roots), close: () => undefined }, lab.root, 'team');
  assert.equal(writes, 3);
  assert.deepEqual(await repairFleet(lab.fleet), [{ namespace: 'shop', revision: 2 }]);
  await assert.rejects(publishAs(420), { code: 'FLEET_FORBIDDEN' });
  assert.deepEqual((await lab.apply(answering('reviews', 421))).revisions, { shop: 3 });
});
