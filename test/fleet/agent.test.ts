// What is published reaches the Envoys of real agents; what is forged does not; a restart without Consul serves it.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { deleteResources } from '../../src/fleet/fleet.ts';
import { fleetHosts } from '../../src/fleet/host-status.ts';
import { headKey } from '../../src/fleet/layout.ts';
import { eventually } from '../support/eventually.ts';
import { startHost } from '../support/local-mesh.ts';
import { freePort } from '../support/ports.ts';
import { answering, startFleet } from './fleet-lab.ts';

test('a published resource reaches Envoy, a forged head does not, and a restart without Consul serves what was', async (t) => {
  const lab = await startFleet(t);
  const port = await freePort();
  const host = await startHost(t, {
    name: 'front',
    address: '127.0.0.1',
    dir: lab.dir,
    resources: join(lab.dir, 'resources'),
    consul: lab.consul.address,
    services: [{ name: 'front', namespace: 'shop' }],
    upstreams: [{ service: { name: 'reviews', namespace: 'shop' }, port: 80, listen: `127.0.0.1:${port}` }],
    overrides: { mesh: { resources: join(lab.dir, 'resources'), fleet: { trust: lab.trustFile } } },
  });
  await host.ready();
  const statusOf = async (): Promise<number> => (await fetch(`http://127.0.0.1:${port}/`)).status;
  const answers = async (status: number): Promise<void> =>
    eventually(`Envoy answers ${status}`, async () => assert.equal(await statusOf(), status)).catch(
      async (error: unknown) => {
        const { fleet, xds, diagnostics } = await host.status();
        throw new Error(JSON.stringify({ fleet, xds, diagnostics }), { cause: error });
      },
    );

  await t.test('apply', async (step) => {
    await lab.apply(answering('reviews', 418));
    const publishedAt = performance.now();
    await answers(418);
    step.diagnostic(`first resource in force ${Math.round(performance.now() - publishedAt)} ms after apply returned`);
    await lab.apply(answering('reviews', 419));
    const changedAt = performance.now();
    await answers(419);
    step.diagnostic(`changed resource in force ${Math.round(performance.now() - changedAt)} ms after apply returned`);
    const { fleet, diagnostics } = await host.status();
    const shop = fleet?.namespaces.find(({ namespace }) => namespace === 'shop');
    assert.deepEqual([shop?.revision, shop?.publisher, shop?.current], [2, 'admin', true]);
    assert.deepEqual(
      diagnostics.filter(({ code }) => code.startsWith('TRY07')),
      [],
    );
  });

  await t.test('files of the host do not count, and status says so', async () => {
    await mkdir(join(lab.dir, 'resources'), { recursive: true });
    await writeFile(join(lab.dir, 'resources/more.yaml'), JSON.stringify(answering('reviews', 500, 'default')));
    await eventually('it is said', async () => {
      const { diagnostics } = await host.status();
      assert.ok(diagnostics.some(({ code }) => code === 'TRY0707'));
    });
    assert.equal(await statusOf(), 419);
  });

  const key = headKey('shop');
  const good = (await lab.client.kv.get(key)).value;
  assert.ok(good);

  await t.test('a head that somebody has written who may only write', async () => {
    const forged = Buffer.from(good.value).toString().replaceAll('419', '503');
    assert.notEqual(forged, Buffer.from(good.value).toString());
    await lab.client.kv.put(key, Buffer.from(forged));
    await eventually('it is refused', async () => {
      const { diagnostics } = await host.status();
      assert.match(diagnostics.find(({ code }) => code === 'TRY0702')?.message ?? '', /signature .* revision 2 holds/);
    });
    assert.equal(await statusOf(), 419);
    await lab.client.kv.put(key, good.value);
    await eventually('it is well again', async () => {
      const { diagnostics } = await host.status();
      assert.deepEqual(
        diagnostics.filter(({ code }) => code === 'TRY0702'),
        [],
      );
    });
  });

  await t.test('a restart with Consul away', async () => {
    await host.child.stop('SIGTERM');
    await lab.consul.child.stop('SIGKILL');
    host.start();
    await host.ready();
    await answers(419);
    const consul = await lab.consul.restart();
    t.after(async () => consul.child.stop('SIGKILL'));
  });

  await t.test('a replay after the restart is refused', async () => {
    const fleet = lab.fleet;
    await eventually('a change after the outage', async () => void (await lab.apply(answering('reviews', 420))));
    await answers(420);
    await lab.client.kv.put(key, good.value);
    await eventually('it is refused', async () => {
      const { diagnostics } = await host.status();
      assert.match(diagnostics.find(({ code }) => code === 'TRY0702')?.message ?? '', /revision 2 is below 3/);
    });
    assert.equal(await statusOf(), 420);
    await assert.rejects(
      deleteResources(fleet, [{ kind: 'VirtualService', name: 'nothing', namespace: 'shop' }], { key: lab.admin }),
      { code: 'FLEET_NO_SUCH_RESOURCE' },
    );
  });
});

test('a gateway that is not registered says so in Consul, for those who publish', async (t) => {
  const lab = await startFleet(t);
  const host = await startHost(t, {
    name: 'edge-1',
    address: '127.0.0.1',
    dir: lab.dir,
    resources: join(lab.dir, 'resources'),
    consul: lab.consul.address,
    overrides: {
      mesh: { resources: join(lab.dir, 'resources'), fleet: { trust: lab.trustFile } },
      gateways: [{ name: 'edge', namespace: 'shop', address: '127.0.0.1', labels: { zone: 'north' } }],
    },
  });
  await host.ready();
  const labels = { app: 'edge', istio: 'edge', zone: 'north' };
  await eventually('it is said', async () => {
    const [said] = await fleetHosts(lab.client.kv);
    assert.deepEqual(said?.gateways, [{ namespace: 'shop', name: 'edge', labels }]);
    assert.ok(said?.namespaces.includes('shop'));
  });
});
