// Namespaces that a host has to do with later than at its start: their rules hold for the very first call.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { readHostResources } from '../../src/agent/read-resources.ts';
import { toHost } from '../../src/agent/settings-host.ts';
import { loadAgentSettings } from '../../src/agent/settings-load.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import { eventually } from '../support/eventually.ts';
import { startHost, trysail } from '../support/local-mesh.ts';
import { freePorts } from '../support/ports.ts';
import { answering, startFleet } from './fleet-lab.ts';

const MACHINE = { hostName: 'front', address: '127.0.0.1', cores: 1 };

function record(name: string, namespace: string): object {
  return {
    apiVersion: 'trysail.dev/v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: { ports: [{ number: 80, name: 'main', protocol: 'HTTP' }], tls: 'migrating' },
  };
}

test('the fleet’s rules of a namespace hold for the first call of a service that lies there', async (t) => {
  const lab = await startFleet(t);
  const [proxyPort = 0, port = 0, dnsPort = 0] = await freePorts(3);
  for (const [name, namespace, status] of [
    ['reviews', 'books', 418],
    ['ledger', 'money', 419],
  ] as const) {
    await lab.apply(record(name, namespace), answering(name, status, namespace));
    const { ok } = await fetch(`${lab.consul.address}/v1/agent/service/register`, {
      method: 'PUT',
      body: JSON.stringify({ ID: name, Name: `${namespace}--${name}`, Address: '127.0.0.1', Port: 9 }),
    });
    assert.ok(ok);
  }
  const host = await startHost(t, {
    name: 'front',
    address: '127.0.0.1',
    dir: lab.dir,
    resources: join(lab.dir, 'resources'),
    consul: lab.consul.address,
    services: [{ name: 'front', namespace: 'shop' }],
    overrides: {
      mesh: { resources: join(lab.dir, 'resources'), fleet: { trust: lab.trustFile } },
      dns: { enabled: true, listen: `127.0.0.1:${dnsPort}`, addresses: ['127.235.0.0/16'] },
      discovery: { proxy: `127.0.0.1:${proxyPort}` },
    },
  });
  await host.ready();
  const namespaces = async (): Promise<readonly string[]> =>
    ((await host.status()).fleet?.namespaces ?? []).map(({ namespace }) => namespace);
  const ask = async (at: number, name: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port: at, headers: { host: name }, agent: false };
      const call = request(options, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      call.once('error', reject);
      call.end();
    });

  await t.test('one that is learnt', async () => {
    assert.ok(!(await namespaces()).includes('books'));
    // Whom a busy machine has waiting for more than two seconds is refused, and asks again.
    const first = await eventually('an answer', async () => {
      const code = await ask(proxyPort, 'reviews.books.mesh');
      assert.notEqual(code, 503);
      return code;
    });
    assert.equal(first, 418);
    assert.ok((await namespaces()).includes('books'));
  });

  await t.test('one that a reload declares', async () => {
    const settings = JSON.parse(await readFile(host.configFile, 'utf8')) as Record<string, unknown>;
    const upstreams = [{ service: { name: 'ledger', namespace: 'money' }, port: 80, listen: `127.0.0.1:${port}` }];
    await writeFile(host.configFile, JSON.stringify({ ...settings, upstreams }));
    await trysail('reload', '--socket', join(host.runDir, 'api.sock'));
    const first = await eventually('it is open', async () => ask(port, 'ledger'));
    assert.equal(first, 419);
  });

  await t.test('a check that asks nobody goes by what the agent has kept', async () => {
    const file = answering('ledger', 500, 'shop');
    await writeFile(join(lab.dir, 'resources/ledger.yaml'), JSON.stringify(file));
    const loaded = loadAgentSettings({ file: host.configFile, flags: {}, env: {}, machine: MACHINE });
    assert.ok('settings' in loaded);
    const { settings } = loaded;
    const config = DEFAULT_MESH_CONFIG;
    const known = async (stateDir: string): Promise<readonly string[]> => {
      const here = { ...settings, paths: { ...settings.paths, state: stateDir } };
      const { virtualServices } = await readHostResources({ settings: here, config, host: toHost(here, config) });
      return virtualServices.map(({ meta: { namespace, name } }) => `${namespace}/${name}`);
    };
    assert.deepEqual(await known(settings.paths.state), ['money/ledger']);
    assert.deepEqual(await known(join(lab.dir, 'nothing')), ['shop/ledger'], 'an agent that has kept nothing');
  });
});
