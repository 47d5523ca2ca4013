// A publisher that ends at any of its calls to Consul, before or after Consul has done it: nobody sees half of a change.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KvStore } from '../../src/consul/kv.ts';
import { applyResources, type OpenFleet, publishedResources } from '../../src/fleet/fleet.ts';
import { FleetStore } from '../../src/fleet/fleet-store.ts';
import { pastHeads } from '../../src/fleet/history.ts';
import { repairFleet } from '../../src/fleet/repair.ts';
import { answering, manifestsOf, startFleet } from './fleet-lab.ts';

const DEATH = 'the publisher is dead';

/** A store whose `last`-th call of those that write is the last one, done or not. */
function mortal(kv: KvStore, last: number, isDone: boolean): KvStore {
  let calls = 0;
  return {
    ...kv,
    transact: async (...args: Parameters<KvStore['transact']>) => {
      calls += 1;
      if (calls > last) throw new Error(DEATH);
      if (calls < last) return kv.transact(...args);
      if (isDone) await kv.transact(...args);
      throw new Error(DEATH);
    },
  };
}

test('wherever a publisher ends, all of its change is in force or nothing', async (t) => {
  const lab = await startFleet(t);
  const both = (status: number): ReturnType<typeof manifestsOf> =>
    manifestsOf(answering('reviews', status), answering('till', status, 'pay'));
  const statuses = async (): Promise<readonly string[]> =>
    (await publishedResources(lab.fleet, undefined)).map(({ text }) => /status"?: ?(\d+)/.exec(text)?.[1] ?? '');
  await applyResources(lab.fleet, { manifests: both(200) }, { key: lab.admin });
  let [before, deaths] = [200, 0];
  // Long enough that revisions are dropped and collected, too.
  for (let status = 201; status < 245; status += 1) {
    const last = 1 + (status % 7);
    const store = new FleetStore(mortal(lab.client.kv, last, status % 2 === 0), lab.fleet.store.roots);
    const dying: OpenFleet = { store, close: () => undefined };
    try {
      await applyResources(dying, { manifests: both(status) }, { key: lab.admin });
    } catch (error) {
      assert.equal((error as Error).message, DEATH);
      deaths += 1;
    }
    const [one, other] = await statuses();
    assert.equal(one, other, `died at ${last}`);
    assert.ok(one === `${status}` || one === `${before}`, `${one} after ${status}`);
    before = Number(one);
  }
  assert.ok(deaths > 20, `${deaths} deaths`);
  await applyResources(lab.fleet, { manifests: both(300) }, { key: lab.admin });
  const { store } = lab.fleet;
  const publishers = await store.publishers();
  for (const namespace of ['pay', 'shop']) {
    const { held } = await store.current(namespace, publishers);
    assert.ok(held);
    const past = await pastHeads(store, held, publishers, 32);
    assert.equal(past.length, Math.min(32, held.head.revision), 'history has no gap');
  }
  await repairFleet(lab.fleet);
  assert.deepEqual(await repairFleet(lab.fleet), []);
  assert.deepEqual(await statuses(), ['300', '300']);
});
