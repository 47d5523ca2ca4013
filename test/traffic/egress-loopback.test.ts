/** Services that configuration describes, at loopback addresses without capture. Names are those that every host has. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import type { Upstream } from '../../src/model/host.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { parseResources } from '../../src/sources/resource-reader.ts';
import { freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { call, exchange, http2Application, httpApplication, tcpApplication } from '../translate/applications.ts';
import { testAuthority } from '../translate/certificates.ts';
import { type RunningEnvoy, startEnvoy } from '../translate/envoy.ts';
import { host } from '../translate/mesh-literals.ts';
import { tlsCall } from './tls-call.ts';

function resource(kind: string, name: string, spec: string): string {
  return `apiVersion: networking.istio.io/v1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: ${spec}\n---\n`;
}

function start(
  t: TestContext,
  yaml: string,
  upstreams: readonly (readonly [string, number, number])[],
): Promise<RunningEnvoy> {
  const set = parseResources([{ file: 'r.yaml', text: yaml }]);
  const mesh = buildMesh(undefined, {
    config: DEFAULT_MESH_CONFIG,
    resources: set,
    catalogue: undefined,
    localServices: [],
  });
  assert.deepEqual(mesh.diagnostics, []);
  const all = upstreams.map(
    ([serviceHost, servicePort, port]): Upstream => ({
      serviceHost,
      servicePort,
      listen: { address: '127.0.0.1', port },
    }),
  );
  return startEnvoy(t, mesh, host({ callerIdentity: undefined, upstreams: all }), []);
}

/** A TLS server that says its name and the server name that it was asked for. */
async function tlsApplication(t: TestContext, port: number, name: string): Promise<void> {
  const { certificateChainPem: cert, privateKeyPem: key } = await (await testAuthority()).issue('any.example.com');
  const server = createTlsServer({ key, cert }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.end(`${name}:${String(socket.servername)}`);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  t.after(() => server.close());
}

test('each resolution', async (t) => {
  const [a = 0, b = 0, ...listen] = await freePorts(8);
  const [staticPort = 0, dnsPort = 0, robinPort = 0, dynamicPort = 0, nonePort = 0, socketPort = 0] = listen;
  await httpApplication(t, a, 'a');
  await httpApplication(t, b, 'b');
  const path = join(await tempDir(t), 'app.sock');
  const onSocket = createServer({ keepAliveTimeout: 0 }, (_, outgoing) => outgoing.end('{"name":"socket"}'));
  await new Promise<void>((resolve) => onSocket.listen(path, resolve));
  t.after(() => onSocket.close());
  await start(
    t,
    resource(
      'ServiceEntry',
      'static',
      `{hosts: [static.example.com], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP, targetPort: ${a}}],
        endpoints: [{address: 127.0.0.1, weight: 3}, {address: 127.0.0.1, ports: {http: ${b}}}]}`,
    ) +
      resource(
        'ServiceEntry',
        'dns',
        `{hosts: [dns.example.com], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP, targetPort: ${a}}],
        endpoints: [{address: localhost, weight: 1}, {address: localhost, weight: 3, ports: {http: ${b}}}]}`,
      ) +
      resource(
        'ServiceEntry',
        'robin',
        `{hosts: [localhost], resolution: DNS_ROUND_ROBIN, ports: [{number: 80, name: http, protocol: HTTP, targetPort: ${b}}]}`,
      ) +
      resource(
        'ServiceEntry',
        'dynamic',
        `{hosts: ['*.localhost'], resolution: DYNAMIC_DNS, ports: [{number: ${a}, name: http, protocol: HTTP}]}`,
      ) +
      resource(
        'ServiceEntry',
        'none',
        `{hosts: [none.example.com], ports: [{number: 80, name: http, protocol: HTTP}]}`,
      ) +
      resource(
        'ServiceEntry',
        'socket',
        `{hosts: [socket.example.com], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}],
        endpoints: [{address: 'unix://${path}'}]}`,
      ),
    [
      ['static.example.com', 80, staticPort],
      ['dns.example.com', 80, dnsPort],
      ['localhost.default.mesh', 80, robinPort],
      ['*.localhost', a, dynamicPort],
      ['none.example.com', 80, nonePort],
      ['socket.example.com', 80, socketPort],
    ],
  );
  const named = async (port: number, name?: string): Promise<string> => {
    const { status, body } = await call(port, name === undefined ? {} : { headers: { host: name } });
    return status === 200 ? String((JSON.parse(body) as { name: unknown }).name) : String(status);
  };
  const share = async (port: number): Promise<number> => {
    let count = 0;
    for (let i = 0; i < 100; i++) if ((await named(port)) === 'a') count++;
    return count;
  };
  // Round-robin by weight is exact up to where it begins.
  await t.test('STATIC: endpoints by weight', async () => assert.ok(Math.abs((await share(staticPort)) - 75) <= 15));
  await t.test('DNS: names by weight', async () => assert.ok(Math.abs((await share(dnsPort)) - 25) <= 15));
  await t.test('DNS_ROUND_ROBIN: the host itself', async () => assert.equal(await named(robinPort), 'b'));
  await t.test('a Unix socket', async () => assert.equal(await named(socketPort), 'socket'));
  await t.test('NONE: nobody says where to', async () => assert.equal(await named(nonePort), '503'));
  await t.test('DYNAMIC_DNS: the Host that is asked for, if it is one of the wildcard', async () => {
    assert.equal(await named(dynamicPort, `x.localhost:${a}`), 'a');
    assert.equal(await named(dynamicPort, `127.0.0.1:${a}`), '404');
    assert.equal(await named(dynamicPort, `x.localhost:${b}`), '404');
  });
});

test('TLS by server name and bytes in shares', async (t) => {
  const [a = 0, b = 0, c = 0, d = 0, tlsPort = 0, tcpPort = 0, dynamicPort = 0] = await freePorts(7);
  await tlsApplication(t, a, 'a');
  await tlsApplication(t, b, 'b');
  await tcpApplication(t, c, 'c');
  await tcpApplication(t, d, 'd');
  const entry = (name: string, protocol: string, port: number): string =>
    resource(
      'ServiceEntry',
      name,
      `{hosts: [${name}.example.com], resolution: STATIC, ports: [{number: 443, name: x, protocol: ${protocol}, targetPort: ${port}}], endpoints: [{address: 127.0.0.1}]}`,
    );
  await start(
    t,
    entry('a', 'TLS', a) +
      entry('b', 'TLS', b) +
      entry('c', 'TCP', c) +
      entry('d', 'TCP', d) +
      resource(
        'ServiceEntry',
        'dynamic',
        `{hosts: ['*.localhost'], resolution: DYNAMIC_DNS, ports: [{number: ${a}, name: tls, protocol: TLS}]}`,
      ) +
      resource(
        'VirtualService',
        'a',
        `{hosts: [a.example.com, '*.example.org'], tls: [
          {match: [{sniHosts: ['*.example.org']}], route: [{destination: {host: b.example.com}}]},
          {match: [{sniHosts: [x.example.org, a.example.com], sourceNamespace: elsewhere}], route: [{destination: {host: c.example.com}}]}]}`,
      ) +
      resource(
        'VirtualService',
        'c',
        `{hosts: [c.example.com], tcp: [{route: [{destination: {host: c.example.com}, weight: 30}, {destination: {host: d.example.com}, weight: 10}, {destination: {host: a.example.com}, weight: 0}]}]}`,
      ),
    [
      ['a.example.com', 443, tlsPort],
      ['c.example.com', 443, tcpPort],
      ['*.localhost', a, dynamicPort],
    ],
  );
  await t.test('a route takes the names that it has, the service all others', async () => {
    assert.equal(await tlsCall(tlsPort, 'x.example.org'), 'b:x.example.org');
    assert.equal(await tlsCall(tlsPort, 'a.example.com'), 'a:a.example.com');
    assert.equal(await tlsCall(tlsPort, 'nobody.test'), 'a:nobody.test');
  });
  await t.test('shares', async () => {
    let count = 0;
    for (let i = 0; i < 200; i++) if ((await exchange(tcpPort, 'x')) === 'd:x') count++;
    // 50 expected, standard deviation 6.
    assert.ok(Math.abs(count - 50) < 40, String(count));
  });
  await t.test('DYNAMIC_DNS: names of the wildcard alone', async () => {
    assert.equal(await tlsCall(dynamicPort, 'y.localhost'), 'a:y.localhost');
    assert.equal(await tlsCall(dynamicPort, 'localhost'), undefined);
    assert.equal(await tlsCall(dynamicPort, 'y.example.com'), undefined);
  });
});

test('GRPC-WEB: what browsers send becomes gRPC', async (t) => {
  const [server = 0, listen = 0] = await freePorts(2);
  const seen = await http2Application(t, server);
  await start(
    t,
    resource(
      'ServiceEntry',
      'web',
      `{hosts: [web.example.com], resolution: STATIC, endpoints: [{address: 127.0.0.1}],
        ports: [{number: 8080, name: web, protocol: grpc-web, targetPort: ${server}}]}`,
    ),
    [['web.example.com', 8080, listen]],
  );
  const answer = await call(listen, { headers: { 'content-type': 'application/grpc-web+proto' } });
  assert.equal(answer.headers['content-type'], 'application/grpc-web+proto');
  assert.equal(seen.at(-1)?.headers['content-type'], 'application/grpc');
});
