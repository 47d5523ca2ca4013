// What `trysail diff` says of Envoys: services of Consul's catalogue and of the files, rendered before and after.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { statusKey } from '../../src/fleet/layout.ts';
import { META } from '../../src/model/registration.ts';
import { trysail } from '../support/run-trysail.ts';
import { answering, type FleetLab, startFleet } from './fleet-lab.ts';

async function register(lab: FleetLab, name: string, address: string, meta: Record<string, string>): Promise<void> {
  const body = { ID: `${name}-${address}`, Name: name, Address: address, Port: 9080, Meta: meta };
  const url = `${lab.consul.address}/v1/agent/service/register`;
  const { ok } = await fetch(url, { method: 'PUT', body: JSON.stringify(body) });
  assert.ok(ok);
}

const entry = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'ServiceEntry',
  metadata: { name: 'ratings', namespace: 'shop' },
  spec: {
    hosts: ['ratings.shop.mesh'],
    location: 'MESH_INTERNAL',
    resolution: 'STATIC',
    ports: [{ number: 9080, name: 'http', protocol: 'HTTP' }],
    endpoints: [{ address: '10.0.3.1', labels: { app: 'ratings' } }],
  },
};

const gateway = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'Gateway',
  metadata: { name: 'public', namespace: 'shop' },
  spec: {
    selector: { app: 'edge' },
    servers: [{ port: { number: 8080, name: 'http', protocol: 'HTTP' }, hosts: ['*'] }],
  },
};

async function says(lab: FleetLab, host: string, more: object): Promise<void> {
  const status = { version: '0.1.0', level: 1, namespaces: ['shop'], atMs: Date.now(), rollouts: [], ...more };
  await lab.client.kv.put(statusKey(host), Buffer.from(JSON.stringify(status)));
}

test('hosts that have registered nothing are known by their own word, or named', async (t) => {
  const lab = await startFleet(t);
  await register(lab, 'shop--front', '10.0.1.1', { [META.host]: 'web-1', label_app: 'front' });
  const edge = { namespace: 'shop', name: 'edge', labels: { app: 'edge' } };
  await says(lab, 'web-1', {});
  await says(lab, 'edge-1', { gateways: [edge] });
  await says(lab, 'edge-2', { gateways: [edge] });
  await says(lab, 'batch-1', {});
  await says(lab, 'lies-1', { gateways: [{ ...edge, namespace: '../shop' }] });
  await says(lab, 'elsewhere', { namespaces: ['pay'], gateways: [edge] });
  await says(lab, 'gone', { atMs: 0, gateways: [edge] });
  const file = join(lab.dir, 'change.yaml');
  await writeFile(file, JSON.stringify(gateway));
  const common = ['-f', file, '--consul', lab.consul.address, '--root', lab.trustFile];
  const text = await trysail('diff', ...common);
  assert.match(text.out, /^ {2}edge\.shop \(gateway, 2 hosts\): listener [^\n]*8080 added/m, text.err);
  assert.match(text.out, /^ {2}Not shown, as they have registered nothing: batch-1, lies-1\.$/m);
  const json = JSON.parse((await trysail('diff', '-o', 'json', ...common)).out) as {
    envoy: { unknownHosts: string[]; workloads: { name: string; mode: string }[] };
  };
  assert.deepEqual(json.envoy.unknownHosts, ['batch-1', 'lies-1']);
  assert.deepEqual(
    json.envoy.workloads.map(({ name, mode }) => [name, mode]),
    [['edge', 'gateway']],
  );
});

test('what a change would do to Envoys is told before it is made', async (t) => {
  const lab = await startFleet(t);
  for (const host of ['1', '2', '3'])
    await register(lab, 'shop--front', `10.0.1.${host}`, { [META.host]: `web-${host}`, label_app: 'front' });
  await register(lab, 'shop--reviews', '10.0.2.1', { [META.host]: 'rev-1', [META.protocol]: 'http' });
  await register(lab, 'shop--legacy', '10.0.4.1', {});
  await lab.apply(entry);
  const file = join(lab.dir, 'change.yaml');
  await writeFile(file, JSON.stringify(answering('reviews', 418)));
  const common = ['-f', file, '--consul', lab.consul.address, '--root', lab.trustFile];

  const text = await trysail('diff', ...common);
  assert.equal(text.code, 10, text.err);
  assert.match(text.out, /^ {2}front\.shop \(3 hosts\): .*routes .*reviews\.shop.* changed/m);
  assert.match(text.out, /^ {2}ratings\.shop \(1 host\): /m);
  assert.doesNotMatch(text.out, /legacy/, 'a service without an agent has no Envoy');

  const full = await trysail('apply', '--dry-run', '--full', ...common);
  assert.equal(full.code, 0, full.err);
  assert.match(full.out, /^ *\+ .*status: 418/m);

  const json = JSON.parse((await trysail('diff', '-o', 'json', '--workloads', '1', ...common)).out) as {
    envoy: { workloads: { name: string; hosts: number; changes: object[] }[]; notRendered: object[] };
  };
  assert.deepEqual(
    json.envoy.workloads.map(({ name, hosts }) => [name, hosts]),
    [['front', 3]],
  );
  assert.equal(json.envoy.notRendered.length, 2);
  assert.ok(json.envoy.workloads[0]?.changes.every((one) => !('before' in one)));
});
