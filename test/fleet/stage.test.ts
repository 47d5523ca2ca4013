// A change that goes out in steps to real agents and their Envoys: step by step, taken back, held up by a dead host.
import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { applyResources, namespaceHistory } from '../../src/fleet/fleet.ts';
import { followRollout } from '../../src/fleet/follow-rollout.ts';
import { fleetHosts } from '../../src/fleet/host-status.ts';
import { headKey, statusKey } from '../../src/fleet/layout.ts';
import { type RolloutProgress, rolloutProgress, takeBack } from '../../src/fleet/rollout.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import { eventually, PATIENCE_MS } from '../support/eventually.ts';
import { type LocalHost, startHost } from '../support/local-mesh.ts';
import { freePorts } from '../support/ports.ts';
import { trysail } from '../support/run-trysail.ts';
import { answering, manifestsOf, startFleet } from './fleet-lab.ts';

const NAMES = ['web-1', 'web-2', 'web-3'];

/** A filter that Envoy's schema takes and Envoy does not. */
const REFUSED = {
  apiVersion: 'networking.istio.io/v1alpha3',
  kind: 'EnvoyFilter',
  metadata: { name: 'broken', namespace: 'shop' },
  spec: {
    configPatches: [
      {
        applyTo: 'HTTP_FILTER',
        match: {
          listener: {
            filterChain: {
              filter: {
                name: 'envoy.filters.network.http_connection_manager',
                subFilter: { name: 'envoy.filters.http.router' },
              },
            },
          },
        },
        patch: {
          operation: 'INSERT_BEFORE',
          value: {
            name: 'broken',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua',
              default_source_code: { inline_string: 'this is no Lua' },
            },
          },
        },
      },
    ],
  },
};

test('a change goes out in steps', async (t) => {
  const lab = await startFleet(t);
  const { fleet, admin } = lab;
  const filters = { envoyFilters: { namespaces: ['*'] } };
  const ports = await freePorts(NAMES.length);
  await mkdir(join(lab.dir, 'resources'), { recursive: true });
  const hosts = await Promise.all(
    NAMES.map(async (name, i): Promise<LocalHost> => {
      const mesh = { config: join(lab.dir, name, 'meshconfig.yaml'), fleet: { trust: lab.trustFile } };
      const reviews = { name: 'reviews', namespace: 'shop' };
      return startHost(t, {
        name,
        address: '127.0.0.1',
        dir: lab.dir,
        resources: join(lab.dir, 'resources'),
        consul: lab.consul.address,
        services: [{ name: 'front', namespace: 'shop' }],
        upstreams: [{ service: reviews, port: 80, listen: `127.0.0.1:${ports[i]}` }],
        meshConfig: filters,
        overrides: { mesh: { ...mesh, resources: join(lab.dir, 'resources') } },
      });
    }),
  );
  await Promise.all(hosts.map(async (host) => host.ready()));
  const answers = async (): Promise<readonly number[]> =>
    Promise.all(ports.map(async (port) => (await fetch(`http://127.0.0.1:${port}/`)).status));
  const become = async (what: string, wanted: readonly number[]): Promise<void> =>
    eventually(what, async () =>
      assert.deepEqual(
        (await answers()).toSorted((a, b) => a - b),
        wanted,
      ),
    );
  const publish = async (
    steps: readonly string[] | undefined,
    ...resources: readonly object[]
  ): ReturnType<typeof applyResources> =>
    applyResources(
      fleet,
      { manifests: manifestsOf(...resources), config: { ...DEFAULT_MESH_CONFIG, ...filters } },
      { key: admin, steps },
    );
  const follow = async (seen: RolloutProgress[] = []): ReturnType<typeof followRollout> =>
    followRollout(fleet, 'shop', {
      key: admin,
      timeoutMs: PATIENCE_MS,
      pauseMs: 0,
      onTimeout: 'stay',
      signal: AbortSignal.timeout(3 * PATIENCE_MS),
      onProgress: (progress) => seen.push(progress),
    });
  const head = async (): Promise<Uint8Array> => {
    const { value } = await lab.client.kv.get(headKey('shop'));
    assert.ok(value);
    return value.value;
  };

  await eventually('all hosts say that they are there', async () => {
    const said = await fleetHosts(lab.client.kv);
    assert.deepEqual(
      said.filter(({ namespaces }) => namespaces.includes('shop')).map(({ host }) => host),
      NAMES,
    );
  });
  await publish(undefined, answering('reviews', 418));
  await become('all have the first one', [418, 418, 418]);
  const steps = ['1', '60%', 'all'];
  let first: Uint8Array = Buffer.alloc(0);

  await t.test('the first step is one host, and the others hold what they have', async () => {
    await publish(steps, answering('reviews', 419));
    first = await head();
    await become('one has it', [418, 418, 419]);
    await eventually('it says so', async () => {
      const { accepted, waiting, later } = await rolloutProgress(fleet, 'shop');
      assert.deepEqual([accepted.length, waiting.length, later], [1, 0, 2]);
    });
    const status = await Promise.all(hosts.map(async (host) => host.status()));
    const revisions = status.map(
      (one) => one.fleet?.namespaces.find(({ namespace }) => namespace === 'shop')?.revision,
    );
    assert.deepEqual(
      revisions.toSorted((a = 0, b = 0) => a - b),
      [1, 1, 2],
    );
    await assert.rejects(publish(undefined, answering('reviews', 500)), { code: 'FLEET_STAGED' });
  });

  await t.test('a host that comes new in the middle takes what was in force before', async () => {
    const before = await answers();
    const late = before.indexOf(418);
    const host = hosts[late];
    assert.ok(host);
    await host.child.stop('SIGTERM');
    await rm(join(host.stateDir, 'fleet'), { recursive: true });
    host.start();
    await host.ready();
    // A Consul that takes its time is not waited for without end.
    await eventually('as before', async () => {
      assert.deepEqual(await answers(), before);
      const { fleet: now } = await host.status();
      const shop = now?.namespaces.find(({ namespace }) => namespace === 'shop');
      assert.deepEqual([shop?.revision, shop?.current], [1, true]);
    });
  });

  await t.test('the further steps, each when the one before is in force', async () => {
    const seen: RolloutProgress[] = [];
    const { state } = await follow(seen);
    assert.equal(state, 'done');
    await become('all have it', [419, 419, 419]);
    const done = [1, 2, 3].map((step) => seen.findLast((one) => one.step === step)?.accepted.length);
    assert.deepEqual(done, [1, 2, 3]);
    const history = await namespaceHistory(fleet, 'shop');
    assert.deepEqual(
      history.map(({ action }) => action),
      ['stage', 'stage', 'apply', 'apply'],
    );
  });

  await t.test('an earlier step that somebody puts back is refused', async () => {
    const last = await head();
    await lab.client.kv.put(headKey('shop'), first);
    await eventually('all refuse it', async () => {
      for (const host of hosts) {
        const { diagnostics } = await host.status();
        assert.match(diagnostics.find(({ code }) => code === 'TRY0702')?.message ?? '', /revision 2 is below 4/);
      }
    });
    assert.deepEqual(await answers(), [419, 419, 419]);
    await lab.client.kv.put(headKey('shop'), last);
  });

  await t.test('what one Envoy refuses is taken back, and the others never see it', async () => {
    await publish(['1', 'all'], REFUSED, answering('reviews', 420));
    const { state, outcome, progress } = await follow();
    assert.deepEqual([state, outcome, progress.step, progress.rejected.length], ['reverted', 'rejected', 1, 1]);
    assert.match(progress.rejected[0]?.errors[0] ?? '', /TRY0101 .*Lua|TRY0101 .*script/i);
    await become('all are back', [419, 419, 419]);
    await eventually('nothing is refused any more', async () => {
      for (const host of hosts) {
        const { diagnostics, fleet: now } = await host.status();
        assert.deepEqual(
          diagnostics.filter(({ code }) => code === 'TRY0101'),
          [],
        );
        assert.equal(now?.namespaces.find(({ namespace }) => namespace === 'shop')?.revision, 6);
      }
    });
  });

  await t.test('a dead host is named, and the change stays or goes back by a word', async () => {
    await hosts[2]?.child.stop('SIGKILL');
    const [file, key] = [join(lab.dir, 'change.yaml'), join(lab.dir, 'admin.key')];
    await writeFile(file, JSON.stringify(answering('reviews', 421)));
    await writeFile(key, admin.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    const common = ['--consul', lab.consul.address, '--root', lab.trustFile];
    const late = await trysail('apply', '-f', file, '--key', key, '--stage', 'all', '--timeout', '20s', ...common);
    assert.equal(late.code, 5, late.out + late.err);
    assert.match(late.err, /no answer of web-3/);
    assert.match(late.out, /Step 1 of 1 \(all\): 2 of 3 hosts have it; not yet: web-3/);
    const status = await trysail('rollout', 'status', '-n', 'shop', ...common);
    assert.match(status.out, /2 of 3 hosts have it/);
    await takeBack(fleet, 'shop', { key: admin, message: 'one is dead' });
    await eventually('those that live are back', async () =>
      assert.deepEqual((await answers()).slice(0, 2), [419, 419]),
    );
    // Its Envoy serves on without it, and ends with the agent that takes it over.
    hosts[2]?.start();
    await hosts[2]?.ready();
    await become('so is the dead one when it comes again', [419, 419, 419]);
  });

  await t.test('what a host that lives would not understand is refused', async () => {
    const old = { version: '0.0.9', level: 0, namespaces: ['shop'], atMs: Date.now(), rollouts: [] };
    await lab.client.kv.put(statusKey('old-1'), Buffer.from(JSON.stringify(old)));
    await assert.rejects(publish(undefined, answering('reviews', 422)), {
      code: 'FLEET_TOO_NEW',
      message: /old-1 \(Trysail 0\.0\.9\)/,
    });
    const silent = { ...old, atMs: Date.now() - 24 * 3_600_000 };
    await lab.client.kv.put(statusKey('old-1'), Buffer.from(JSON.stringify(silent)));
    await publish(undefined, answering('reviews', 422));
  });
});
