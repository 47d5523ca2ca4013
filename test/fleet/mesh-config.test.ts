// The mesh configuration goes out by the fleet: it changes what running Envoys do, in steps, and back.
import assert from 'node:assert/strict';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { applyResources, deleteResources, FleetRefusal, rollBack } from '../../src/fleet/fleet.ts';
import { addPublisher } from '../../src/fleet/fleet-admin.ts';
import { followRollout } from '../../src/fleet/follow-rollout.ts';
import { fleetHosts } from '../../src/fleet/host-status.ts';
import { createSigningKey, publicHalf } from '../../src/fleet/signing-key.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import { META } from '../../src/model/registration.ts';
import { eventually } from '../support/eventually.ts';
import { type LocalHost, startHost } from '../support/local-mesh.ts';
import { freePorts } from '../support/ports.ts';
import { trysail } from '../support/run-trysail.ts';
import { tempDir } from '../support/temp-dir.ts';
import { manifestsOf, startFleet } from './fleet-lab.ts';

function meshConfig(spec: object, namespace = 'istio-system'): object {
  return { apiVersion: 'trysail.dev/v1', kind: 'MeshConfig', metadata: { name: 'mesh', namespace }, spec };
}

/** Routes without retries of their own try once more after a 503, which is not so by default. */
const RETRYING = { defaultHttpRetryPolicy: { attempts: 1, retryOn: '503' } };

/** A service of which only the second attempt succeeds. */
async function reviews(t: TestContext): Promise<object> {
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    response.statusCode = request.headers['x-envoy-attempt-count'] === '1' ? 503 : 200;
    response.end();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: 'reviews', namespace: 'shop' },
    spec: {
      hosts: ['reviews.shop.mesh'],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
      endpoints: [{ address: '127.0.0.1', ports: { http: port } }],
    },
  };
}

const REVIEWS = { name: 'reviews', namespace: 'shop' };

async function become(what: string, ports: readonly number[], wanted: readonly number[]): Promise<void> {
  await eventually(what, async () => {
    const found = await Promise.all(ports.map(async (port) => (await fetch(`http://127.0.0.1:${port}/`)).status));
    assert.deepEqual(
      found.toSorted((a, b) => a - b),
      wanted,
    );
  });
}

test('a MeshConfig changes what running Envoys do, in steps, and back', async (t) => {
  const lab = await startFleet(t);
  const { fleet, admin } = lab;
  const names = ['web-1', 'web-2'];
  const ports = await freePorts(names.length);
  const hosts = await Promise.all(
    names.map(async (name, i): Promise<LocalHost> => {
      const resources = join(lab.dir, name, 'resources');
      return startHost(t, {
        name,
        address: '127.0.0.1',
        dir: lab.dir,
        resources,
        consul: lab.consul.address,
        services: [{ name: 'front', namespace: 'shop' }],
        upstreams: [{ service: REVIEWS, port: 80, listen: `127.0.0.1:${ports[i]}` }],
        overrides: {
          mesh: { config: join(lab.dir, name, 'meshconfig.yaml'), resources, fleet: { trust: lab.trustFile } },
        },
      });
    }),
  );
  await Promise.all(hosts.map(async (host) => host.ready()));
  await lab.apply(await reviews(t));
  await become('both have the service', ports, [503, 503]);
  const epochs = async (): Promise<readonly unknown[]> =>
    Promise.all(
      hosts.map(async (host) => {
        const { pid, epoch, restarts } = (await host.status()).envoy;
        return [pid, epoch, restarts];
      }),
    );
  const before = await epochs();

  await t.test('in steps: one host, then all', async () => {
    await eventually('both say that they follow the root namespace', async () => {
      const said = await fleetHosts(lab.client.kv);
      assert.deepEqual(
        said.filter(({ namespaces }) => namespaces.includes('istio-system')).map(({ host }) => host),
        names,
      );
    });
    const manifests = manifestsOf(meshConfig(RETRYING));
    await applyResources(fleet, { manifests }, { key: admin, steps: ['1', 'all'] });
    await become('one has it', ports, [200, 503]);
    const { state } = await followRollout(fleet, 'istio-system', {
      key: admin,
      timeoutMs: 60_000,
      pauseMs: 0,
      onTimeout: 'stay',
      signal: AbortSignal.timeout(120_000),
      onProgress: () => undefined,
    });
    assert.equal(state, 'done');
    await become('both have it', ports, [200, 200]);
    const status = await hosts[0]?.status();
    assert.deepEqual(status?.meshConfig, {
      file: join(lab.dir, 'web-1', 'meshconfig.yaml'),
      resource: { source: 'consul:istio-system/MeshConfig/mesh@1', fields: ['defaultHttpRetryPolicy'] },
    });
    assert.deepEqual(await epochs(), before, 'the same Envoys');
  });

  await t.test('another one in its place: what the first said is no longer so', async () => {
    const log = join(lab.dir, 'access.log');
    await lab.apply(meshConfig({ accessLogFile: log }));
    await become('no retries', ports, [503, 503]);
    await eventually('Envoy writes each request down', async () => {
      await fetch(`http://127.0.0.1:${ports[0]}/written-down`);
      assert.match(await readFile(log, 'utf8'), /written-down/);
    });
    assert.deepEqual(await epochs(), before, 'the same Envoys');
  });

  await t.test('taken back by a roll-back, and away when it is deleted', async () => {
    await rollBack(fleet, 'istio-system', 2, { key: admin });
    await become('retries', ports, [200, 200]);
    await deleteResources(fleet, [{ kind: 'MeshConfig', name: 'mesh', namespace: 'istio-system' }], { key: admin });
    await become('as the file says', ports, [503, 503]);
    const status = await hosts[1]?.status();
    assert.deepEqual(status?.meshConfig, { file: join(lab.dir, 'web-2', 'meshconfig.yaml') });
  });

  await t.test('who may not publish the kind is refused', async () => {
    const key = createSigningKey();
    await addPublisher(fleet, lab.root, {
      name: 'routes',
      publicKey: publicHalf(key),
      namespaces: ['*'],
      kinds: ['VirtualService'],
      mayFreeze: false,
    });
    await assert.rejects(applyResources(fleet, { manifests: manifestsOf(meshConfig(RETRYING)) }, { key }), {
      code: 'FLEET_FORBIDDEN',
    });
  });

  await t.test('what is for the hosts to say is refused, and so is any other place', async () => {
    const codes = async (one: object): Promise<readonly string[]> => {
      const error: unknown = await lab.apply(one).then(
        () => undefined,
        (refusal: unknown) => refusal,
      );
      assert.ok(error instanceof FleetRefusal);
      return error.diagnostics.map(({ code }) => code);
    };
    assert.deepEqual(await codes(meshConfig({ envoyFilters: { namespaces: ['*'] } })), ['TRY0003']);
    assert.deepEqual(await codes(meshConfig({ rootNamespace: 'shop' })), ['TRY0003']);
    assert.deepEqual(await codes(meshConfig(RETRYING, 'shop')), ['TRY0008']);
  });

  await t.test('a publisher of another namespace changes nothing, also one who does not check', async () => {
    const key = createSigningKey();
    await addPublisher(fleet, lab.root, {
      name: 'shop-team',
      publicKey: publicHalf(key),
      namespaces: ['shop'],
      kinds: ['*'],
      mayFreeze: false,
    });
    await assert.rejects(applyResources(fleet, { manifests: manifestsOf(meshConfig(RETRYING)) }, { key }), {
      code: 'FLEET_FORBIDDEN',
    });
    const config = { ...DEFAULT_MESH_CONFIG, rootNamespace: 'shop' };
    await applyResources(fleet, { manifests: manifestsOf(meshConfig(RETRYING, 'shop')), config }, { key });
    for (const host of hosts)
      await eventually('it is said', async () => {
        const { diagnostics } = await host.status();
        assert.deepEqual(
          diagnostics.filter(({ code }) => code === 'TRY0008').map(({ object }) => object),
          ['MeshConfig shop/mesh'],
        );
      });
    await become('nothing has changed', ports, [503, 503]);
    for (const host of hosts) assert.equal((await host.status()).meshConfig?.resource, undefined);
    await eventually('check reads what the agent has kept of the fleet', async () => {
      const { out } = await trysail('check', '--offline', '--config', hosts[0]?.configFile ?? '', '-o', 'json');
      assert.match(out, /"TRY0008"/);
    });
  });
});

test('a MeshConfig in the folder of a host without a fleet: written, faulty, gone', async (t) => {
  const dir = await tempDir(t);
  const resources = join(dir, 'resources');
  const [port = 0] = await freePorts(1);
  await mkdir(resources);
  await writeFile(join(resources, 'reviews.yaml'), JSON.stringify(await reviews(t)));
  const host = await startHost(t, {
    name: 'alone',
    address: '127.0.0.1',
    dir,
    resources,
    upstreams: [{ service: REVIEWS, port: 80, listen: `127.0.0.1:${port}` }],
  });
  await host.ready();
  await become('it has the service', [port], [503]);
  const file = join(resources, 'mesh.yaml');
  await writeFile(file, JSON.stringify(meshConfig(RETRYING)));
  await become('written', [port], [200]);
  await writeFile(file, JSON.stringify(meshConfig({ defaultHttpRetryPolicy: { attempts: 'many' } })));
  await eventually('the fault is said', async () => {
    const { diagnostics } = await host.status();
    assert.match(diagnostics.find(({ code }) => code === 'IST0106')?.message ?? '', /last good version stays in force/);
  });
  await become('the last good one holds', [port], [200]);
  await rm(file);
  await become('gone', [port], [503]);
});

test('diff says what a MeshConfig changes in Envoys, over the file of --mesh', async (t) => {
  const lab = await startFleet(t);
  for (const host of ['1', '2']) {
    const body = {
      ID: `front-${host}`,
      Name: 'shop--front',
      Address: `10.0.1.${host}`,
      Port: 9080,
      Meta: { [META.host]: `web-${host}` },
    };
    const url = `${lab.consul.address}/v1/agent/service/register`;
    const { ok } = await fetch(url, { method: 'PUT', body: JSON.stringify(body) });
    assert.ok(ok);
  }
  await lab.apply(await reviews(t), meshConfig({ connectTimeout: '3s' }));
  const [file, mesh] = [join(lab.dir, 'change.yaml'), join(lab.dir, 'mesh.yaml')];
  await writeFile(file, JSON.stringify(meshConfig({ connectTimeout: '4s' })));
  await writeFile(mesh, JSON.stringify({ connectTimeout: '9s' }));
  const diff = async (...more: readonly string[]): ReturnType<typeof trysail> =>
    trysail('diff', '-f', file, '--full', '--consul', lab.consul.address, '--root', lab.trustFile, ...more);
  for (const more of [[], ['--mesh', mesh]]) {
    const { code, out, err } = await diff(...more);
    assert.equal(code, 10, err);
    assert.match(out, /front\.shop \(2 hosts\):/);
    assert.match(out, /cluster outbound\|80\|\|reviews\.shop\.mesh changed/);
    assert.match(out, /^ *- .*connect_timeout: 3s/m);
    assert.match(out, /^ *\+ .*connect_timeout: 4s/m);
    assert.doesNotMatch(out, /connect_timeout: 9s/);
  }
  await writeFile(file, JSON.stringify(meshConfig({ tcpKeepalive: { time: '1m' } })));
  const { out } = await diff('--mesh', mesh);
  assert.match(out, /^ *- .*connect_timeout: 3s/m);
  assert.match(out, /^ *\+ .*connect_timeout: 9s/m, 'what it says no longer is the file’s again');
});
