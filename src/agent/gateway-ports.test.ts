import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Gateway } from '../model/gateway.ts';
import type { Host } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import { GatewayPorts } from './gateway-ports.ts';

/** Of this file alone: what others open meanwhile is elsewhere. */
const ADDRESS = '127.77.1.1';

async function occupy(t: TestContext): Promise<{ readonly port: number; readonly free: () => Promise<void> }> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, ADDRESS, resolve);
  });
  const free = async (): Promise<void> => {
    await new Promise((resolve) => {
      server.close(resolve);
    });
  };
  t.after(free);
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return { port: address.port, free };
}

const gateway = (...numbers: readonly number[]): Gateway => ({
  meta: {
    kind: 'Gateway',
    name: 'public',
    namespace: 'default',
    source: { file: 'a.yaml', line: 1 },
  } as Gateway['meta'],
  selector: {},
  servers: numbers.map((number) => ({
    port: { number, name: `p${number}`, protocol: 'HTTP' },
    bind: undefined,
    hosts: [{ namespace: '*', host: '*' }],
    name: undefined,
    tls: undefined,
  })) as unknown as Gateway['servers'],
});

const HOST: Host = {
  nodeId: 'vm-1',
  nodeCluster: 'edge',
  locality: { region: '', zone: '', subzone: '' },
  workloads: [],
  upstreams: [],
  callerIdentity: undefined,
  gateways: [
    {
      namespace: 'default',
      name: 'edge',
      serviceHost: 'edge.default.mesh',
      labels: {},
      identity: undefined,
      address: ADDRESS,
    },
  ],
  healthListener: { address: '127.0.0.1', port: 2 },
};

test('a port that another program has is left out and told, until it is free', async (t) => {
  const [taken, other] = [await occupy(t), await occupy(t)];
  await other.free();
  const due = Promise.withResolvers<void>();
  const ports = new GatewayPorts({ envoyPids: () => [], onDue: () => due.resolve(), retryMs: 20 });
  t.after(() => ports.stop());
  const mesh = { gateways: [gateway(taken.port, other.port)] } as unknown as Mesh;
  const usable = ports.of(mesh, HOST);
  assert.deepEqual(usable.gateways?.[0]?.taken, [`${ADDRESS}:${taken.port}`]);
  assert.equal(ports.of(mesh, HOST), usable);
  const [diagnostic] = ports.diagnostics;
  assert.deepEqual([diagnostic?.code, diagnostic?.object], ['TRY0103', 'gateway default/edge']);
  assert.match(
    diagnostic?.message ?? '',
    new RegExp(`127\\.77\\.1\\.1:${taken.port} is in use by .*\\(pid ${process.pid}\\)`),
  );
  await taken.free();
  await due.promise;
  assert.equal(ports.of(mesh, HOST), HOST);
  assert.deepEqual(ports.diagnostics, []);
});

test('a port that was free stays Envoy’s, whoever seems to listen there later', async (t) => {
  const { port, free } = await occupy(t);
  await free();
  const ports = new GatewayPorts({ envoyPids: () => [], onDue: () => undefined });
  t.after(() => ports.stop());
  assert.equal(ports.of({ gateways: [gateway(port)] } as unknown as Mesh, HOST), HOST);
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(port, ADDRESS, resolve);
  });
  t.after(() => server.close());
  assert.equal(ports.of({ gateways: [gateway(port)] } as unknown as Mesh, HOST), HOST);
});
