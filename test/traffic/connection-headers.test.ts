/** What connections begin with by a rule: the PROXY protocol's header, or a request to be let through an HTTP proxy. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import { freePort } from '../support/ports.ts';
import { exchange } from '../translate/applications.ts';
import { startEnvoy } from '../translate/envoy.ts';
import { host, upstream } from '../translate/mesh-literals.ts';
import { meshOf } from './gateway-host.ts';
import { byteServer } from './tls-servers.ts';

/** Envoy before a TCP service at `serverPort` with a policy; returns the port that applications call. */
async function startCaller(t: TestContext, serverPort: number, trafficPolicy: object): Promise<number> {
  const entry = {
    hosts: ['reviews.default.mesh'],
    location: 'MESH_EXTERNAL',
    resolution: 'STATIC',
    ports: [{ number: 80, name: 'tcp', protocol: 'TCP' }],
    endpoints: [{ address: '127.0.0.1', ports: { tcp: serverPort } }],
  };
  const yaml = [
    { kind: 'ServiceEntry', spec: entry },
    { kind: 'DestinationRule', spec: { host: 'reviews', trafficPolicy } },
  ]
    .map((resource) => stringify({ apiVersion: 'networking.istio.io/v1', metadata: { name: 'reviews' }, ...resource }))
    .join('---\n');
  const port = await freePort();
  await startEnvoy(t, meshOf(yaml), host({ upstreams: [upstream('reviews', port)], callerIdentity: undefined }), []);
  return port;
}

/** Answers with all that it got until `end` was in it. */
function mirror(end: string): (socket: Socket) => void {
  return (socket) => {
    let got = '';
    socket.on('data', (chunk: Buffer) => {
      got += chunk.toString('latin1');
      if (got.includes(end)) socket.write(Buffer.from(got, 'latin1'));
    });
  };
}

test('version 1 of the PROXY protocol is a line with the caller’s address', async (t) => {
  const port = await startCaller(t, await byteServer(t, mirror('hello')), { proxyProtocol: { version: 'V1' } });
  assert.match((await exchange(port, 'hello')) ?? '', /^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\nhello$/);
});

test('version 2 of the PROXY protocol is binary', async (t) => {
  const port = await startCaller(t, await byteServer(t, mirror('hello')), { proxyProtocol: { version: 'V2' } });
  const seen = Buffer.from((await exchange(port, 'hello')) ?? '', 'latin1');
  assert.equal(seen.subarray(0, 12).toString('hex'), '0d0a0d0a000d0a515549540a');
  assert.equal(seen.subarray(16, 20).join('.'), '127.0.0.1');
  assert.equal(seen.subarray(-5).toString(), 'hello');
});

/** An HTTP proxy that lets one request through and mirrors what follows; `head` gets the request. */
function proxy(head: (text: string) => void): (socket: Socket) => void {
  return (socket) => {
    let got = '';
    let open = false;
    socket.on('data', (chunk: Buffer) => {
      if (open) {
        socket.write(chunk);
        return;
      }
      got += chunk.toString('latin1');
      if (!got.includes('\r\n\r\n')) return;
      open = true;
      head(got);
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
    });
  };
}

test('a tunnel asks the HTTP proxy for its target, and passes bytes then', async (t) => {
  const heads: string[] = [];
  const server = await byteServer(
    t,
    proxy((head) => heads.push(head)),
  );
  const port = await startCaller(t, server, {
    tunnel: { protocol: 'CONNECT', targetHost: 'db.example.com', targetPort: 5432 },
  });
  assert.equal(await exchange(port, 'hello'), 'hello');
  assert.match(heads[0] ?? '', /^CONNECT db\.example\.com:5432 HTTP\/1\.1\r\n/);
});

test('a tunnel by POST', async (t) => {
  const heads: string[] = [];
  const server = await byteServer(t, (socket) => {
    socket.once('data', (chunk: Buffer) => {
      heads.push(chunk.toString('latin1'));
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n');
    });
  });
  const port = await startCaller(t, server, {
    tunnel: { protocol: 'POST', targetHost: 'db.example.com', targetPort: 5432 },
  });
  assert.equal(await exchange(port, 'x'), 'hello');
  assert.match(heads[0] ?? '', /^POST \/ HTTP\/1\.1\r\nhost: db\.example\.com:5432\r\n/);
});
