/** `http2KeepAlive` on a real Envoy: who no longer answers its pings loses the connection, who answers keeps it. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http2';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/ports.ts';
import { call } from '../translate/applications.ts';
import { type RunningEnvoy, startEnvoy } from '../translate/envoy.ts';
import { host, upstream } from '../translate/mesh-literals.ts';
import { meshOf } from './gateway-host.ts';
import { byteServer } from './tls-servers.ts';

const TIMEOUTS = 'cluster.outbound|80||reviews.default.mesh;.http2.keepalive_timeout';

interface Peer {
  readonly port: number;
  /** Pings that the server has answered. */
  readonly pings: number;
  /** Connections of Envoy that are open. */
  readonly open: number;
  /** From now on what is open stays open, and nothing passes it. */
  fallSilent(): void;
}

/** An HTTP/2 server, behind a wire that can fall silent. */
async function startPeer(t: TestContext): Promise<Peer> {
  let pings = 0;
  const server = createServer((_, response) => response.end('ok'));
  server.on('session', (session) => session.on('ping', () => (pings += 1)).on('error', () => undefined));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port: to } = server.address() as AddressInfo;
  const wires = new Set<{ isSilent: boolean }>();
  const pass = (from: Socket, onto: Socket, wire: { readonly isSilent: boolean }): void => {
    from.on('data', (chunk: Buffer) => {
      if (!wire.isSilent) onto.write(chunk);
    });
  };
  const port = await byteServer(t, (socket) => {
    const wire = { isSilent: false };
    wires.add(wire);
    const onwards = connect(to, '127.0.0.1');
    onwards.on('error', () => onwards.destroy());
    pass(socket, onwards, wire);
    pass(onwards, socket, wire);
    socket.once('close', () => {
      wires.delete(wire);
      onwards.destroy();
    });
  });
  return {
    port,
    get pings() {
      return pings;
    },
    get open() {
      return wires.size;
    },
    fallSilent: () => {
      for (const wire of wires) wire.isSilent = true;
    },
  };
}

async function startCaller(
  t: TestContext,
  peer: Peer,
  http2KeepAlive: object,
): Promise<{ readonly envoy: RunningEnvoy; readonly port: number }> {
  const entry = {
    hosts: ['reviews.default.mesh'],
    location: 'MESH_EXTERNAL',
    resolution: 'STATIC',
    ports: [{ number: 80, name: 'http2', protocol: 'HTTP2' }],
    endpoints: [{ address: '127.0.0.1', ports: { http2: peer.port } }],
  };
  const trafficPolicy = { connectionPool: { http: { http2KeepAlive } } };
  const yaml = [
    { kind: 'ServiceEntry', spec: entry },
    { kind: 'DestinationRule', spec: { host: 'reviews', trafficPolicy } },
  ]
    .map((resource) => stringify({ apiVersion: 'networking.istio.io/v1', metadata: { name: 'reviews' }, ...resource }))
    .join('---\n');
  const port = await freePort();
  const self = host({ upstreams: [upstream('reviews', port)], callerIdentity: undefined });
  return { envoy: await startEnvoy(t, meshOf(yaml), self, []), port };
}

const answers = (port: number) => async (): Promise<boolean> => (await call(port)).status === 200;

test('a peer that answers no ping loses its connection, and the next request gets another', async (t) => {
  const peer = await startPeer(t);
  const { envoy, port } = await startCaller(t, peer, { interval: '200ms', timeout: '1s' });
  await eventually('a request passes', async () => (await answers(port)()) && peer.open > 0);
  peer.fallSilent();
  await eventually('it is closed', () => peer.open === 0);
  assert.ok((await envoy.stat(TIMEOUTS)) >= 1);
  await eventually('a request passes again', answers(port));
});

test('a peer that answers them keeps its connection', async (t) => {
  const peer = await startPeer(t);
  const { envoy, port } = await startCaller(t, peer, { interval: '200ms', timeout: '60s' });
  await eventually('a request passes', answers(port));
  await eventually('it was asked', () => peer.pings >= 3);
  assert.equal((await call(port)).status, 200);
  assert.equal(peer.open, 1);
  assert.equal(await envoy.stat(TIMEOUTS), 0);
});
