/** Every protocol through both sidecars of a real Envoy, whatever the service's TLS. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionPool, DestinationRule } from '../../src/model/destination-rule.ts';
import {
  call,
  callHttp2,
  exchange,
  http2Application,
  httpApplication,
  type Seen,
  tcpApplication,
} from './applications.ts';
import { testAuthority } from './certificates.ts';
import { pool, spiffe } from './mesh-literals.ts';
import { startSidecars } from './sidecars.ts';

const authority = await testAuthority();
const CLUSTER = 'cluster.outbound|9080||reviews.default.mesh;';
const MODES = ['required', 'migrating', 'plain'] as const;
const UPGRADE = [
  'GET /ws HTTP/1.1',
  'host: reviews',
  'connection: upgrade',
  'upgrade: websocket',
  'sec-websocket-version: 13',
  'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
  '\r\n',
].join('\r\n');

for (const tls of MODES) {
  test(`HTTP, ${tls}`, async (t) => {
    const { client, upstreamPort } = await startSidecars(t, {
      authority,
      protocol: 'HTTP',
      service: { tls },
      application: (port) => httpApplication(t, port),
    });
    const answer = await call(upstreamPort, { path: '/a/../b', headers: { 'x-forwarded-client-cert': 'URI=forged' } });
    assert.equal(answer.status, 200);
    const seen = JSON.parse(answer.body) as { httpVersion: string; url: string; headers: Record<string, string> };
    assert.equal(seen.httpVersion, '1.1');
    assert.equal(seen.url, '/b');
    assert.match(seen.headers['x-request-id'] ?? '', /^[0-9a-f-]{36}$/);
    const peer = seen.headers['x-forwarded-client-cert'];
    if (tls === 'plain') assert.equal(peer, undefined);
    else
      assert.match(
        peer ?? '',
        new RegExp(`^By=${spiffe('reviews')};Hash=[0-9a-f]+;Subject="";URI=${spiffe('caller')}$`),
      );
    assert.match((await exchange(upstreamPort, UPGRADE)) ?? '', /^HTTP\/1\.1 101 /);
    // Between sidecars HTTP/2 is negotiated where all of them have TLS.
    assert.equal((await client.stat(`${CLUSTER}.upstream_cx_http2_total`)) > 0, tls === 'required');
    assert.equal((await client.stat(`${CLUSTER}.upstream_cx_http1_total`)) > 0, tls !== 'required');
  });

  test(`gRPC, ${tls}`, async (t) => {
    const { upstreamPort } = await startSidecars(t, {
      authority,
      protocol: 'GRPC',
      service: { tls },
      application: (port) => http2Application(t, port),
    });
    const answer = await callHttp2(upstreamPort);
    assert.equal(answer.status, 200);
    assert.match(answer.body, /"httpVersion":"2.0"/);
    assert.equal(answer.trailers['grpc-status'], '0');
  });

  test(`TCP, ${tls}`, async (t) => {
    const { server, upstreamPort, inboundPort } = await startSidecars(t, {
      authority,
      protocol: 'TCP',
      service: { tls },
      application: (port) => tcpApplication(t, port),
    });
    assert.equal(await exchange(upstreamPort, 'hello'), 'app:hello');
    assert.equal(await server.stat(`listener.127.0.0.1_${inboundPort}.ssl.handshake`), tls === 'plain' ? 0 : 1);
  });

  test(`detected, ${tls}: HTTP/1.1, websocket and bytes`, async (t) => {
    const { client, upstreamPort } = await startSidecars(t, {
      authority,
      protocol: 'AUTO',
      service: { tls },
      application: (port) => httpApplication(t, port),
    });
    assert.match((await call(upstreamPort)).body, /"httpVersion":"1.1"/);
    assert.match((await exchange(upstreamPort, UPGRADE)) ?? '', /^HTTP\/1\.1 101 /);
    assert.equal((await client.stat(`${CLUSTER}.upstream_cx_http1_total`)) > 0, true);
    // Not HTTP, so it reaches the application as it is, which complains of it.
    assert.match((await exchange(upstreamPort, '\0\0\0\0\r\n\r\n')) ?? '', /^HTTP\/1\.1 400 .*\r\nConnection: close/i);
  });

  test(`detected, ${tls}: HTTP/2`, async (t) => {
    const { upstreamPort } = await startSidecars(t, {
      authority,
      protocol: 'AUTO',
      service: { tls },
      application: (port) => http2Application(t, port),
    });
    const answer = await callHttp2(upstreamPort);
    assert.match(answer.body, /"httpVersion":"2.0"/);
    assert.equal(answer.trailers['grpc-status'], '0');
    // The peer's sidecar saw requests, not bytes.
    assert.equal(answer.body.includes('"x-forwarded-client-cert":"By='), tls !== 'plain');
  });
}

// The caller knows the protocol, the peer's own host does not say it.
for (const inboundProtocol of ['TCP', 'AUTO'] as const) {
  test(`an HTTP service whose instance is declared ${inboundProtocol}`, async (t) => {
    const { client, upstreamPort } = await startSidecars(t, {
      authority,
      protocol: 'HTTP',
      inboundProtocol,
      application: (port) => httpApplication(t, port),
    });
    assert.match((await call(upstreamPort)).body, /"httpVersion":"1.1"/);
    assert.match((await exchange(upstreamPort, UPGRADE)) ?? '', /^HTTP\/1\.1 101 /);
    assert.ok((await client.stat(`${CLUSTER}.ssl.handshake`)) > 0);
  });

  test(`a gRPC service whose instance is declared ${inboundProtocol}`, async (t) => {
    const { upstreamPort } = await startSidecars(t, {
      authority,
      protocol: 'GRPC',
      inboundProtocol,
      application: (port) => http2Application(t, port),
    });
    assert.equal((await callHttp2(upstreamPort)).trailers['grpc-status'], '0');
  });
}

test('a detected service whose instance is declared HTTP', async (t) => {
  const { upstreamPort } = await startSidecars(t, {
    authority,
    protocol: 'AUTO',
    inboundProtocol: 'HTTP',
    application: (port) => httpApplication(t, port),
  });
  assert.match((await call(upstreamPort)).body, /"httpVersion":"1.1"/);
});

test('whether a body is wanted is for the service to say', async (t) => {
  let seen: readonly Seen[] = [];
  const { upstreamPort } = await startSidecars(t, {
    authority,
    protocol: 'HTTP',
    application: async (port) => {
      seen = await httpApplication(t, port);
    },
  });
  const head = 'POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n';
  assert.match((await exchange(upstreamPort, head)) ?? '', /^HTTP\/1\.1 100 Continue\r\n/);
  assert.deepEqual(
    seen.map(({ headers }) => headers.expect),
    ['100-continue'],
  );
});

for (const protocol of ['HTTP', 'AUTO'] as const)
  test(`${protocol}: requests of HTTP/1.0 are served`, async (t) => {
    const { upstreamPort, inboundPort } = await startSidecars(t, {
      authority,
      protocol,
      service: { tls: 'plain' },
      application: (port) => httpApplication(t, port),
    });
    const request = 'GET /old HTTP/1.0\r\nhost: reviews\r\n\r\n';
    assert.match((await exchange(upstreamPort, request)) ?? '', /^HTTP\/1\.[01] 200 /);
    assert.match((await exchange(inboundPort, request)) ?? '', /^HTTP\/1\.[01] 200 /);
  });

function ruleWith(http: Partial<ConnectionPool>): DestinationRule {
  const source = { file: 'x.yaml', line: 1 };
  const meta = { kind: 'DestinationRule', namespace: 'default', name: 'x', labels: {}, source, age: 0 };
  const blocks = { loadBalancer: undefined, connectionPool: pool(http), outlierDetection: undefined };
  const trafficPolicy = { ...blocks, portLevelSettings: [] };
  return { meta, host: 'reviews.default.mesh', trafficPolicy, subsets: [], exportTo: [] };
}

for (const tls of MODES)
  test(`detected, ${tls}: HTTP/1.1 becomes HTTP/2 where a rule says UPGRADE`, async (t) => {
    const { client, upstreamPort } = await startSidecars(t, {
      authority,
      protocol: 'AUTO',
      service: { tls },
      mesh: { destinationRules: [ruleWith({ h2UpgradePolicy: 'UPGRADE' })] },
      application: (port) => http2Application(t, port),
    });
    const { body } = await call(upstreamPort);
    assert.match(body, /"httpVersion":"2.0"/);
    assert.equal(body.includes('"x-forwarded-client-cert":"By='), tls !== 'plain');
    assert.equal(await client.stat(`${CLUSTER}.upstream_cx_http2_total`), 1);
  });

test('useClientProtocol keeps the version of HTTP', async (t) => {
  const { client, upstreamPort } = await startSidecars(t, {
    authority,
    protocol: 'HTTP',
    mesh: { destinationRules: [ruleWith({ useClientProtocol: true })] },
    application: (port) => httpApplication(t, port),
  });
  assert.equal((await call(upstreamPort)).status, 200);
  assert.equal(await client.stat(`${CLUSTER}.upstream_cx_http2_total`), 0);
  assert.equal((await callHttp2(upstreamPort)).status, 200);
  assert.equal(await client.stat(`${CLUSTER}.upstream_cx_http2_total`), 1);
});
