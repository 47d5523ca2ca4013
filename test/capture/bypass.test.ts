import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { BypassReport } from '../../src/agent/bypass.ts';
import { keepSettingsText } from '../../src/agent/kept-settings.ts';
import { META } from '../../src/model/registration.ts';
import { writeCatalogueSnapshot } from '../../src/sources/catalogue-snapshot.ts';
import { eventually } from '../support/eventually.ts';
import { program } from '../support/local-mesh.ts';
import { tempDir } from '../support/temp-dir.ts';
import { cannotCapture, tables, twoNamespaces } from './netns.ts';
import { call, serve } from './traffic.ts';

const skip = cannotCapture();

const AGENT = (dir: string): string => `
host: { name: vm-1, address: 10.9.0.1 }
mesh: { config: ${dir}/mesh.yaml, resources: ${dir}/resources }
identity: { provider: none }
services:
  - { name: orders, port: 8080, application: 127.0.0.1:8081 }
upstreams:
  - { service: payments, listen: "127.0.0.1:9001" }
  - { service: orders, listen: "127.0.0.1:9002" }
paths: { state: ${dir}/state, run: ${dir}/run }
`;

const RULES = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: payments-canary, namespace: default }
spec: { hosts: [payments], http: [{ route: [{ destination: { host: payments } }] }] }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: payments, namespace: default }
spec: { host: payments }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: PERMISSIVE } }
`;

test('bypass works with nothing but files: it says what it suspends, is written down, and ends by itself', {
  skip,
}, async (t) => {
  const dir = await tempDir(t);
  const { host, other } = await twoNamespaces(t);
  for (const each of ['resources', 'state']) await mkdir(join(dir, each));
  await writeFile(join(dir, 'agent.yaml'), AGENT(dir));
  await writeFile(join(dir, 'mesh.yaml'), '');
  await writeFile(join(dir, 'resources', 'rules.yaml'), RULES);
  const instance = {
    id: 'n/payments-1',
    node: 'n',
    address: '10.9.0.2',
    port: 81,
    status: 'passing',
    tags: [],
    meta: {},
    weights: { passing: 1, warning: 1 },
    datacenter: 'dc1',
  } as const;
  const own = { ...instance, id: 'n/orders-1', address: '10.9.0.1', port: 8080, meta: { [META.tls]: 'mtls' } };
  const services = new Map([
    ['payments', [instance]],
    ['orders', [own]],
  ]);
  await writeFile(join(dir, 'state', 'catalogue.json'), writeCatalogueSnapshot({ services, diagnostics: [] }));
  await serve(other, 'payments', '::|81');
  await serve(host, 'orders', '127.0.0.1|8081');
  const bypass = async (...args: readonly string[]): Promise<string> =>
    host.run(program(), 'bypass', '--config', join(dir, 'agent.yaml'), ...args);
  const localnet = async (): Promise<string> =>
    (await host.run('cat', '/proc/sys/net/ipv4/conf/all/route_localnet')).trim();

  assert.equal(await call(host, '127.0.0.1', 9001, { uid: 1001 }), 'ECONNREFUSED');
  await t.test('one upstream', async () => {
    const report = JSON.parse(await bypass('payments', '-o', 'json')) as BypassReport;
    assert.deepEqual(report.suspended, ['VirtualService default/payments-canary', 'DestinationRule default/payments']);
    assert.deepEqual(report.bypassed, ['connections to 127.0.0.1:9001 reach payments.default.mesh at 10.9.0.2:81']);
    assert.equal(await call(host, '127.0.0.1', 9001, { uid: 1001 }), 'payments 10.9.0.1 -> 10.9.0.2:81');
    assert.equal(await call(other, '10.9.0.1', 8080), 'ECONNREFUSED');
    assert.equal(await localnet(), '1');
  });
  await t.test('and a service, for a while', async () => {
    const text = await bypass('orders', '--for', '10s');
    assert.match(text, /^Past the proxy, for 10s: payments, orders\.\n/);
    assert.match(text, /\n {2}PeerAuthentication default\/default\n/);
    assert.equal(await call(other, '10.9.0.1', 8080), 'orders 10.9.0.2 -> 127.0.0.1:8081');
    // Its own instance: Envoy's listener is on the way to that as well.
    assert.equal(await call(host, '127.0.0.1', 9002, { uid: 1001 }), 'orders 127.0.0.1 -> 127.0.0.1:8081');
    await eventually('it has ended', async () => assert.equal(await call(other, '10.9.0.1', 8080), 'ECONNREFUSED'));
    assert.match(await call(host, '127.0.0.1', 9001, { uid: 1001 }), /^payments /);
  });
  await t.test('until it is ended', async () => {
    await bypass('--all');
    assert.equal(await bypass('--all', '--end'), 'Nothing is past the proxy.\n');
    assert.deepEqual(tables(host), []);
    assert.equal(await localnet(), '0');
    assert.equal(await call(host, '127.0.0.1', 9001, { uid: 1001 }), 'ECONNREFUSED');
  });
  await t.test('every use is in the audit log', async () => {
    const lines = (await readFile(join(dir, 'state', 'audit.log'), 'utf8')).trimEnd().split('\n');
    const entries = lines.map((line) => JSON.parse(line) as { action: string; names: string[]; by: { uid: number } });
    assert.deepEqual(
      entries.map(({ action, names, by }) => [action, names, by.uid]),
      [
        ['bypass', ['payments'], 0],
        ['bypass', ['orders'], 0],
        ['bypass-end', ['orders'], 0],
        ['bypass', ['*'], 0],
        ['bypass-end', ['payments', '*'], 0],
      ],
    );
  });
  await t.test('a name that this host does not have is told with those that it has', async () => {
    await assert.rejects(
      bypass('reviews'),
      /neither runs nor calls reviews\.\n {2}It has orders, payments\.default\.mesh, orders\.default\.mesh\./,
    );
  });
  await t.test('a faulty agent.yaml is no hindrance where an agent has run', async () => {
    const file = join(dir, 'agent.yaml');
    await writeFile(file, `${AGENT(dir)}\nservices: twice\n`);
    await assert.rejects(bypass('payments'), /missing or has errors/);
    await writeFile(join(dir, 'good.yaml'), AGENT(dir));
    await keepSettingsText(join(dir, 'state'), join(dir, 'good.yaml'));
    await bypass('payments');
    assert.match(await call(host, '127.0.0.1', 9001, { uid: 1001 }), /^payments /);
    assert.equal(await bypass('--all', '--end'), 'Nothing is past the proxy.\n');
    assert.deepEqual(tables(host), []);
  });
});
