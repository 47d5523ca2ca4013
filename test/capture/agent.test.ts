import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { CaptureReport } from '../../src/api/capture.ts';
import { eventually } from '../support/eventually.ts';
import { program } from '../support/local-mesh.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary } from '../support/tools.ts';
import { cannotCapture, tables, twoNamespaces } from './netns.ts';
import { call, serve } from './traffic.ts';

const skip = cannotCapture();

const AGENT = (dir: string): string => `
host: { name: vm-1, address: 10.9.0.1 }
mesh: { resources: ${dir}/resources }
registry: files
identity: { provider: none }
services:
  - { name: orders, port: 8080, protocol: TCP, capture: redirect, user: "1001" }
capture: { outbound: listed, onProxyFailure: { inbound: deny } }
envoy: { binary: ${envoyBinary()}, concurrency: 1, healthListener: 127.0.0.1:15021 }
paths: { state: ${dir}/state, run: ${dir}/run }
`;

test('a running agent: applied, confirmed, killed with Envoy, gone at once, and back with the next one', {
  skip,
}, async (t) => {
  const dir = await tempDir(t);
  const { host, other } = await twoNamespaces(t);
  await mkdir(join(dir, 'resources'));
  await writeFile(join(dir, 'agent.yaml'), AGENT(dir));
  await serve(other, 'direct', '::|81');
  await serve(host, 'orders', '0.0.0.0|8080');
  const startAgent = () => host.start(program(), 'agent', '--config', join(dir, 'agent.yaml'));
  const capture = async (...args: readonly string[]): Promise<CaptureReport> =>
    JSON.parse(
      await host.run(program(), 'capture', ...args, '--socket', join(dir, 'run/api.sock'), '-o', 'json'),
    ) as CaptureReport;
  const first = startAgent();
  await eventually('nobody has applied it', async () => assert.equal((await capture('status')).state, 'unapplied'));
  assert.match(await call(other, '10.9.0.1', 8080), /^orders 10\.9\.0\.2 /);
  const applied = await eventually('applied', async () => capture('apply')).catch((error: unknown) => {
    throw new Error(first.output(), { cause: error });
  });
  assert.equal(applied.state, 'trial');
  assert.equal((await capture('confirm')).state, 'on');
  await t.test('connections to the port and calls of the user pass Envoy', async () => {
    assert.match(await call(other, '10.9.0.1', 8080), /^orders 127\.0\.0\./);
    assert.match(await call(host, '10.9.0.2', 81, { uid: 1001 }), /^direct 10\.9\.0\.1 /);
  });
  const pid = Number(await readFile(join(dir, 'run/envoy.0.pid'), 'utf8'));
  await first.stop('SIGKILL');
  assert.match(await call(other, '10.9.0.1', 8080), /^orders 127\.0\.0\./, 'the agent alone is not missed');
  process.kill(pid, 'SIGKILL');
  await eventually('gone', () => assert.ok(!tables(host).includes('table inet trysail')));
  assert.match(await call(host, '10.9.0.2', 81, { uid: 1001 }), /^direct /);
  assert.equal(await call(other, '10.9.0.1', 8080), 'ECONNREFUSED', 'inbound: deny');
  const second = startAgent();
  await eventually('in force again', async () => assert.equal((await capture('status')).state, 'on'));
  assert.match(await call(other, '10.9.0.1', 8080), /^orders 127\.0\.0\./);
  await second.stop();
  assert.deepEqual(tables(host), ['table inet trysail_guard']);
});

test('a policy that comes later closes the way past the proxy', { skip }, async (t) => {
  const dir = await tempDir(t);
  const { host, other } = await twoNamespaces(t);
  await mkdir(join(dir, 'resources'));
  await writeFile(join(dir, 'agent.yaml'), AGENT(dir).replace('inbound: deny', 'outbound: direct'));
  await serve(host, 'orders', '0.0.0.0|8080');
  const agent = host.start(program(), 'agent', '--config', join(dir, 'agent.yaml'));
  const capture = ['capture', 'apply', '--confirmed', '--socket', join(dir, 'run/api.sock')];
  await eventually('applied', async () => host.run(program(), ...capture));
  await eventually('in force', async () => assert.match(await call(other, '10.9.0.1', 8080), /^orders 127\.0\.0\./));
  assert.ok(!tables(host).includes('table inet trysail_guard'));
  const kept = await readFile(join(dir, 'state/agent.yaml'), 'utf8');
  assert.equal(kept, await readFile(join(dir, 'agent.yaml'), 'utf8'), 'for a bypass, whatever becomes of the file');
  const strict = {
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: { name: 'default', namespace: 'default' },
    spec: { mtls: { mode: 'STRICT' } },
  };
  await writeFile(join(dir, 'resources/strict.json.yaml'), JSON.stringify(strict));
  await eventually('guarded', () => assert.ok(tables(host).includes('table inet trysail_guard')));
  await agent.stop();
  assert.equal(await call(other, '10.9.0.1', 8080), 'ECONNREFUSED');
});

test('capture that a reload brings to an Envoy that runs: it holds the rules, and they go with it', {
  skip,
}, async (t) => {
  const dir = await tempDir(t);
  const { host, other } = await twoNamespaces(t);
  await mkdir(join(dir, 'resources'));
  const file = join(dir, 'agent.yaml');
  const without = AGENT(dir)
    .replace(', capture: redirect, user: "1001"', '')
    .replace(/^capture: .*$/m, '');
  await writeFile(file, without.replace('port: 8080', 'port: 8080, application: "127.0.0.1:8081"'));
  await serve(host, 'orders', '0.0.0.0|8081');
  const agent = host.start(program(), 'agent', '--config', file);
  await eventually('it serves', async () => assert.match(await call(other, '10.9.0.1', 8080), /^orders /));
  const pid = Number(await readFile(join(dir, 'run/envoy.0.pid'), 'utf8'));
  await serve(other, 'direct', '::|81');
  await writeFile(
    file,
    `${without.replace('port: 8080', 'user: "1001"').replace(', protocol: TCP', '')}\ncapture: { outbound: listed }\n`,
  );
  const socket = join(dir, 'run/api.sock');
  await host.run(program(), 'reload', '--socket', socket);
  await eventually('applied', async () =>
    host.run(program(), 'capture', 'apply', '--confirmed', '--socket', socket),
  ).catch((error: unknown) => {
    throw new Error(agent.output(), { cause: error });
  });
  assert.ok(tables(host).includes('table inet trysail'));
  assert.match(await call(host, '10.9.0.2', 81, { uid: 1001 }), /^direct 10\.9\.0\.1 /);
  process.kill(agent.process.pid ?? 0, 'SIGKILL');
  process.kill(pid, 0);
  assert.ok(tables(host).includes('table inet trysail'), 'the agent alone is not missed');
  process.kill(pid, 'SIGKILL');
  await eventually('gone', () => assert.ok(!tables(host).includes('table inet trysail')));
  assert.match(await call(host, '10.9.0.2', 81, { uid: 1001 }), /^direct /);
});
