import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { formatDiagnostic } from '../model/diagnostic.ts';
import type { Host, SocketAddress } from '../model/host.ts';
import { workloadSpiffeId } from '../model/spiffe-id.ts';
import { withFreeAddresses } from './free-addresses.ts';

/** Of this file alone: what others open meanwhile is elsewhere. */
const ADDRESS = '127.77.1.3';

interface Occupied extends SocketAddress {
  free(): Promise<void>;
}

async function occupy(t: TestContext, address: string): Promise<Occupied> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, address, resolve);
  });
  const free = async (): Promise<void> => {
    await new Promise((resolve) => {
      server.close(resolve);
    });
  };
  t.after(free);
  const bound = server.address();
  assert.ok(bound !== null && typeof bound === 'object');
  return { address, port: bound.port, free };
}

function host(inbound: readonly SocketAddress[], upstreams: readonly SocketAddress[]): Host {
  const identity = workloadSpiffeId({ trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'web' });
  assert.ok(identity !== undefined);
  const at = ({ address, port }: SocketAddress): SocketAddress => ({ address, port });
  return {
    nodeId: 'vm-1',
    nodeCluster: 'web.default',
    locality: { region: '', zone: '', subzone: '' },
    workloads: inbound.map((listen, i) => ({
      namespace: 'default',
      service: `web${i}`,
      serviceHost: `web${i}.default.mesh`,
      identity,
      labels: {},
      inbound: { listen: at(listen), protocol: 'HTTP', application: { address: '127.0.0.1', port: 1 } },
    })),
    upstreams: upstreams.map((listen, i) => ({
      serviceHost: `up${i}.default.mesh`,
      servicePort: undefined,
      listen: at(listen),
    })),
    callerIdentity: undefined,
    healthListener: { address: '127.0.0.1', port: 2 },
  };
}

/** A port that nobody has any more. */
async function freePort(t: TestContext): Promise<SocketAddress> {
  const occupied = await occupy(t, ADDRESS);
  await occupied.free();
  return occupied;
}

test('nothing is taken: the very same host, so that nothing is built anew', async (t) => {
  const wanted = host([await freePort(t)], [await freePort(t)]);
  const usable = withFreeAddresses(wanted, undefined);
  assert.equal(usable.host, wanted);
  assert.deepEqual(usable.diagnostics, []);
});

test('a taken port is named with its process, and only its listener is left out', async (t) => {
  const [service, upstream] = [await occupy(t, ADDRESS), await occupy(t, ADDRESS)];
  const wanted = host([service, await freePort(t)], [await freePort(t), upstream]);
  const usable = withFreeAddresses(wanted, undefined);
  const by = `is in use by ${process.execPath} (pid ${process.pid}); this listener is left out`;
  const remedy =
    'Free the port, or choose another in agent.yaml. An application behind Envoy listens on 127.0.0.1 alone.';
  assert.deepEqual(usable.diagnostics.map(formatDiagnostic), [
    `error TRY0103 service default/web0: ${ADDRESS}:${service.port} ${by}. ${remedy}`,
    `error TRY0103 upstream up1.default.mesh: ${ADDRESS}:${upstream.port} ${by}. ${remedy}`,
  ]);
  // The workload stays: it still calls others, with its identity.
  const [first, second] = wanted.workloads;
  assert.deepEqual(usable.host.workloads, [{ ...first, inbound: undefined }, second]);
  assert.deepEqual(usable.host.upstreams, [wanted.upstreams[0]]);

  await Promise.all([service.free(), upstream.free()]);
  assert.equal(withFreeAddresses(wanted, undefined).host, wanted);
});

test('an application on all addresses is in the way of one of them', async (t) => {
  const everywhere = await occupy(t, '0.0.0.0');
  const usable = withFreeAddresses(host([{ address: '127.0.0.9', port: everywhere.port }], []), undefined);
  assert.match(usable.diagnostics[0]?.message ?? '', new RegExp(`^127\\.0\\.0\\.9:${everywhere.port} is in use by `));
});

test('what our own Envoy listens on is not in the way', async (t) => {
  const wanted = host([await occupy(t, ADDRESS)], []);
  assert.equal(withFreeAddresses(wanted, process.pid).host, wanted);
  assert.notEqual(withFreeAddresses(wanted, process.ppid).host, wanted);
});

test('a taken UDP port leaves the names out, until it is free', async (t) => {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => {
    socket.bind(0, ADDRESS, resolve);
  });
  const closed = once(socket, 'close');
  t.after(async () => closed);
  const listen = { address: ADDRESS, port: socket.address().port };
  const wanted = { ...host([], []), dns: { listen } };
  const usable = withFreeAddresses(wanted, undefined);
  assert.match(
    usable.diagnostics.map(formatDiagnostic).join(),
    new RegExp(`^error TRY0103 DNS \\(UDP\\): 127\\.77\\.1\\.3:${listen.port} is in use by .*pid ${process.pid}`),
  );
  assert.deepEqual(usable.host, host([], []));
  assert.equal(withFreeAddresses(wanted, process.pid).host, wanted);
  socket.close();
  await closed;
  assert.equal(withFreeAddresses(wanted, undefined).host, wanted);
});
