// A mesh with no Consul at all: ServiceEntry and WorkloadEntry in the watched directory are the fleet.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startCa, startHost } from '../support/local-mesh.ts';
import { freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { get, statusOf, untilStatus } from './agent-state.ts';
import { loopbackNet, startApplication } from './two-hosts.ts';

function entry(kind: string, name: string, spec: object): string {
  return `${JSON.stringify({ apiVersion: 'networking.istio.io/v1', kind, metadata: { name }, spec })}\n---\n`;
}

test('registry: files: plain and mutual TLS by ServiceEntry and WorkloadEntry alone', async (t) => {
  const dir = await tempDir(t);
  const resources = join(dir, 'resources');
  await mkdir(resources);
  const net = loopbackNet();
  const [first, second, plain] = [await startApplication(t), await startApplication(t), await startApplication(t)];
  const ca = await startCa(t, dir);
  const [firstPort = 0, secondPort = 0] = await freePorts(2, `${net}.2`);
  const [toBackend = 0, toPlain = 0] = await freePorts(2);
  const workloads = async (port: number): Promise<void> =>
    writeFile(
      join(resources, 'workloads.yaml'),
      entry('WorkloadEntry', 'backend-1', {
        address: `${net}.2`,
        ports: { http: port },
        labels: { app: 'backend' },
        serviceAccount: 'backend',
      }) +
        entry('WorkloadEntry', 'plain-1', {
          address: '127.0.0.1',
          ports: { http: plain.port },
          labels: { app: 'plain' },
        }),
    );
  const service = (name: string): string =>
    entry('ServiceEntry', name, {
      hosts: [`${name}.default.mesh`],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
      workloadSelector: { labels: { app: name } },
    });
  await writeFile(join(resources, 'services.yaml'), service('backend') + service('plain'));
  await workloads(firstPort);
  const common = { dir, resources, ca };
  const back = await startHost(t, {
    ...common,
    name: 'back',
    address: `${net}.2`,
    services: [
      { name: 'backend', port: firstPort, protocol: 'HTTP', application: `127.0.0.1:${first.port}` },
      {
        name: 'backend-next',
        serviceAccount: 'backend',
        port: secondPort,
        protocol: 'HTTP',
        application: `127.0.0.1:${second.port}`,
      },
    ],
  });
  const front = await startHost(t, {
    ...common,
    name: 'front',
    address: `${net}.1`,
    services: [{ name: 'frontend' }],
    upstreams: [
      { service: 'backend', listen: `127.0.0.1:${toBackend}` },
      { service: 'plain', listen: `127.0.0.1:${toPlain}` },
    ],
  });
  await untilStatus(back, 'the backend runs', (s) => s.agent.state === 'running');

  await t.test('mutual TLS, and the application sees who calls', async () => {
    await eventually('a request passes', async () => (await get(`http://127.0.0.1:${toBackend}`)).code === 200);
    const called = String(first.requests.at(-1)?.['x-forwarded-client-cert']);
    assert.match(called, /URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/frontend/);
  });

  await t.test('plain text to a workload without an account', async () => {
    await eventually('a request passes', async () => (await get(`http://127.0.0.1:${toPlain}`)).code === 200);
    assert.equal(plain.requests.at(-1)?.['x-forwarded-client-cert'], undefined);
  });

  await t.test('the status knows both, and of no Consul', async () => {
    const status = await statusOf(front);
    assert.equal(status.consul, undefined);
    assert.deepEqual(
      status.upstreams.map(({ service: host, tls, endpoints }) => [host, tls, endpoints.total]),
      [
        ['backend.default.mesh', 'mtls', 1],
        ['plain.default.mesh', 'plain', 1],
      ],
    );
    assert.equal((await statusOf(back)).services[0]?.registered, undefined);
  });

  await t.test('an endpoint that is edited moves the traffic, with no failed request', async () => {
    await workloads(secondPort);
    await eventually('the other one is asked', async () => {
      assert.equal((await get(`http://127.0.0.1:${toBackend}`)).code, 200);
      return second.requests.length > 0;
    });
    first.requests.length = 0;
    for (let i = 0; i < 10; i += 1) assert.equal((await get(`http://127.0.0.1:${toBackend}`)).code, 200);
    assert.equal(first.requests.length, 0);
  });

  await t.test('an endpoint with another identity than its account gets no traffic', async () => {
    const files = entry('WorkloadEntry', 'backend-1', {
      address: `${net}.2`,
      ports: { http: secondPort },
      labels: { app: 'backend' },
      serviceAccount: 'somebody-else',
    });
    second.requests.length = 0;
    await writeFile(join(resources, 'workloads.yaml'), files);
    await eventually('it is refused', async () => (await get(`http://127.0.0.1:${toBackend}`)).code === 503);
    second.requests.length = 0;
    for (let i = 0; i < 5; i += 1) assert.equal((await get(`http://127.0.0.1:${toBackend}`)).code, 503);
    assert.equal(second.requests.length, 0);
  });
});
