/**
 * `protocolDetectionTimeout` on a real Envoy: a caller that says nothing on a port whose protocol is detected is passed on
 * as bytes after that time, so that a server that speaks first can speak; without it, it waits.
 */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Mesh } from '../../src/model/mesh.ts';
import type { MeshConfig } from '../../src/model/mesh-config.ts';
import { parseMeshConfig } from '../../src/sources/mesh-config.ts';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/ports.ts';
import { testAuthority } from '../translate/certificates.ts';
import { startEnvoy } from '../translate/envoy.ts';
import { endpoint, host, mesh, service, upstream, workload } from '../translate/mesh-literals.ts';
import { byteServer } from './tls-servers.ts';

const GREETING = 'ready\r\n';

interface Detected {
  readonly inbound: number;
  readonly outbound: number;
}

/** Ports of detected protocol, in both directions, before a server that speaks first. */
async function startDetected(t: TestContext, config: MeshConfig, rest: Partial<Mesh> = {}): Promise<Detected> {
  const server = await byteServer(t, (socket) => {
    socket.write(GREETING);
    socket.on('data', (chunk: Buffer) => socket.write(chunk));
  });
  const [inbound = 0, outbound = 0] = await freePorts(2);
  const called = service('called', 'AUTO', { tls: 'plain' });
  const app = workload('app', 'AUTO', inbound, server);
  const self = host({
    workloads: [app],
    upstreams: [upstream('called', outbound)],
    callerIdentity: undefined,
  });
  const all = mesh([[called, [endpoint('127.0.0.1', server)]]], { config, ...rest });
  const authority = await testAuthority();
  await startEnvoy(t, all, self, await authority.secrets(app.identity));
  return { inbound, outbound };
}

interface Caller {
  readonly socket: Socket;
  seen(): string;
}

function callSilently(t: TestContext, port: number): Caller {
  const socket = connect(port, '127.0.0.1');
  let seen = '';
  socket.on('data', (chunk: Buffer) => (seen += chunk.toString()));
  socket.on('error', (error) => (seen += String(error)));
  socket.on('end', () => (seen += 'end'));
  t.after(() => socket.destroy());
  return { socket, seen: () => seen };
}

function configOf(text: string): MeshConfig {
  const { config, diagnostics } = parseMeshConfig(text, 'meshconfig.yaml');
  assert.deepEqual(diagnostics, []);
  assert.ok(config);
  return config;
}

test('who says nothing is passed on as bytes after the time', async (t) => {
  const ports = await startDetected(t, configOf('protocolDetectionTimeout: 0.3s\n'));
  for (const port of [ports.inbound, ports.outbound]) {
    const caller = callSilently(t, port);
    await eventually('the server speaks', () => assert.equal(caller.seen(), GREETING));
    caller.socket.write('hello');
    await eventually('and hears', () => assert.equal(caller.seen(), `${GREETING}hello`));
  }
});

test('where only mutual TLS is taken, its connection is closed', async (t) => {
  const meta = {
    kind: 'PeerAuthentication',
    namespace: 'default',
    name: 'strict',
    labels: {},
    source: { file: 'x', line: 1 },
    age: 0,
  };
  const strict = { meta, selector: undefined, mode: 'STRICT' as const, portModes: new Map() };
  const { inbound } = await startDetected(t, configOf('protocolDetectionTimeout: 0.3s\n'), {
    peerAuthentications: [strict],
  });
  const caller = callSilently(t, inbound);
  await eventually('it is closed', () => assert.match(caller.seen(), /^(end|Error: read ECONNRESET)$/));
});

test('without it, it waits until it speaks', async (t) => {
  const ports = await startDetected(t, configOf('{}\n'));
  const callers = [ports.inbound, ports.outbound].map((port) => callSilently(t, port));
  // Longer than the time of the other test, and by far.
  await new Promise((resolve) => setTimeout(resolve, 2000));
  for (const caller of callers) {
    assert.equal(caller.seen(), '');
    caller.socket.write('hello\r\n');
    await eventually('the server speaks', () => assert.equal(caller.seen(), `${GREETING}hello\r\n`));
  }
});
