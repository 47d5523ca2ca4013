/** What callers outside meet at a gateway: hosts, redirects, TLS of every mode, server names, bytes. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/ports.ts';
import { call, exchange, http2Application, httpApplication, tcpApplication } from '../translate/applications.ts';
import { type KeyPairPem, testAuthority } from '../translate/certificates.ts';
import { ingressRole, startGateway } from './gateway-host.ts';
import { allTo, gatewayYaml, httpServer, outsideYaml, ruleYaml } from './gateway-yaml.ts';
import { callTls, callTlsHttp2, exchangeTls } from './tls-client.ts';

const authority = await testAuthority();
const stranger = await testAuthority();
const ca = authority.rootPem;

async function web(t: TestContext): Promise<{ readonly yaml: string }> {
  const [port = 0] = await freePorts(1);
  await httpApplication(t, port, 'web');
  return { yaml: outsideYaml('web', 'HTTP', port) };
}

test('hosts of plain HTTP: the right one passes, others are answered 404, redirected ones are', async (t) => {
  const { yaml } = await web(t);
  const [http = 0, empty = 0, moved = 0] = await freePorts(3);
  await startGateway(t, {
    authority,
    roles: [ingressRole({ ports: { 82: moved } })],
    yaml: `${yaml}${gatewayYaml(`
  - {port: {number: ${http}, name: http, protocol: HTTP}, hosts: [book.test, secure.test]}
  - {port: {number: ${http}, name: http-secure, protocol: HTTP}, hosts: [secure.test, lonely.test], tls: {httpsRedirect: true}}
  - {port: {number: ${empty}, name: empty, protocol: HTTP}, hosts: [nobody.test]}
  - {port: {number: 82, name: moved, protocol: HTTP}, hosts: ["moved.test"]}`)}${ruleYaml('r', '[book.test, secure.test, elsewhere.test]', allTo('web.test'))}${ruleYaml('m', '[moved.test]', '  http:\n  - match: [{port: 82}]\n    route: [{destination: {host: web.test}}]')}`,
  });
  const answer = await eventually('the gateway answers', async () => {
    const one = await call(http, {
      headers: { host: 'book.test:8443', 'x-forwarded-client-cert': 'By=liar', 'x-forwarded-for': '6.6.6.6' },
    });
    assert.equal(one.status, 200);
    return one;
  });
  const { headers } = JSON.parse(answer.body) as { readonly headers: Record<string, string> };
  assert.equal(headers['x-forwarded-client-cert'], undefined, 'nobody outside can claim an identity');
  assert.match(headers['x-forwarded-for'] ?? '', /^6\.6\.6\.6,[^,]+$/, 'the address of the caller comes last');
  assert.equal(answer.headers['server'], 'istio-envoy');
  assert.equal((await call(http, { headers: { host: 'elsewhere.test' } })).status, 404);
  assert.equal((await call(empty, { headers: { host: 'book.test' } })).status, 404);
  for (const name of ['secure.test', 'lonely.test']) {
    const redirect = await call(http, { path: '/a?b', headers: { host: name } });
    assert.equal(redirect.status, 301);
    assert.equal(redirect.headers['location'], `https://${name}/a?b`);
  }
  assert.equal(
    (await call(moved, { headers: { host: 'moved.test' } })).status,
    200,
    'another port than the Gateway names',
  );
});

test('TLS ended at the gateway: server names, clients with certificates and without', async (t) => {
  const { yaml } = await web(t);
  const [https = 0] = await freePorts(1);
  const www = await authority.issue('www.test');
  const gatewayHost = await startGateway(t, {
    authority,
    yaml: `${yaml}${gatewayYaml(`
  - {port: {number: ${https}, name: a, protocol: HTTPS}, hosts: [www.test], tls: {mode: SIMPLE, credentialName: www}}
  - {port: {number: ${https}, name: b, protocol: HTTPS}, hosts: [api.test], tls: {mode: MUTUAL, credentialName: api, subjectAltNames: ["spiffe://outside/partner"]}}
  - {port: {number: ${https}, name: c, protocol: HTTPS}, hosts: [any.test], tls: {mode: OPTIONAL_MUTUAL, credentialName: www, caCertCredentialName: clients, maxProtocolVersion: TLSV1_2}}
  - {port: {number: ${https}, name: d, protocol: HTTPS}, hosts: [late.test], tls: {mode: SIMPLE, credentialName: late}}`)}${ruleYaml('r', '[www.test, api.test, any.test, late.test]', allTo('web.test'))}`,
    before: async (put) => {
      await put('www', www);
      await put('api', await authority.issue('api.test'), ca);
      await put('clients', www, ca);
    },
  });
  const simple = { serverName: 'www.test', ca };
  await eventually('www.test answers', async () => assert.equal((await callTls(https, simple)).status, 200));
  assert.equal((await callTlsHttp2(https, simple)).status, 200);
  await assert.rejects(callTls(https, { ...simple, serverName: 'nobody.test' }), 'no chain for that name');
  await assert.rejects(callTls(https, { serverName: 'late.test', ca }), 'its certificate is missing');
  assert.equal(
    (await callTls(https, { ...simple, headers: { host: 'api.test' } })).status,
    404,
    'a server serves its own hosts alone',
  );

  const mutual = { serverName: 'api.test', ca };
  const partner = await authority.issue('spiffe://outside/partner');
  await assert.rejects(callTls(https, mutual), 'without a certificate');
  await assert.rejects(
    callTls(https, { ...mutual, client: await stranger.issue('spiffe://outside/partner') }),
    'of another CA',
  );
  await assert.rejects(
    callTls(https, { ...mutual, client: await authority.issue('spiffe://outside/other') }),
    'another name',
  );
  const answer = await callTls(https, { ...mutual, client: partner });
  const { headers } = JSON.parse(answer.body) as { readonly headers: Record<string, string> };
  assert.match(headers['x-forwarded-client-cert'] ?? '', /URI=spiffe:\/\/outside\/partner/);

  const optional = { serverName: 'any.test', ca };
  await assert.rejects(callTls(https, optional), /altnames|does not match/i, 'the certificate is that of www.test');
  const named = async (client?: KeyPairPem): Promise<number> =>
    (await exchangeTlsStatus(https, optional.serverName, client)).status;
  assert.equal(await named(), 200);
  assert.equal(await named(partner), 200);
  await assert.rejects(named(await stranger.issue('spiffe://outside/partner')));

  const before = gatewayHost.problems();
  assert.deepEqual(
    before.map(({ code, object }) => `${code} ${object ?? ''}`),
    ['IST0101 credential late'],
  );
  const late = await authority.issue('late.test');
  await gatewayHost.put('late', late);
  await eventually('late.test answers', async () =>
    assert.equal((await callTls(https, { serverName: 'late.test', ca })).status, 200),
  );
  assert.deepEqual(gatewayHost.problems(), []);

  const { serial } = await callTls(https, simple);
  await gatewayHost.write('www', 'tls.key', late.privateKeyPem);
  await eventually('the wrong key is told', () => {
    assert.deepEqual(
      gatewayHost.problems().map(({ code, object }) => `${code} ${object ?? ''}`),
      ['IST0161 credential www'],
    );
  });
  assert.equal((await callTls(https, simple)).serial, serial, 'the last good certificate stays');
  await gatewayHost.put('www', await authority.issue('www.test'));
  await eventually('the new certificate is shown', async () =>
    assert.notEqual((await callTls(https, simple)).serial, serial),
  );
  assert.deepEqual(gatewayHost.envoy.rejected, []);
});

/** A request whose server certificate is not compared with its name. */
async function exchangeTlsStatus(
  port: number,
  serverName: string,
  client: KeyPairPem | undefined,
): Promise<{ readonly status: number }> {
  const { connect } = await import('node:tls');
  return new Promise((resolve, reject) => {
    const socket = connect(
      {
        host: '127.0.0.1',
        port,
        servername: serverName,
        ca,
        checkServerIdentity: () => undefined,
        ...(client !== undefined && { cert: client.certificateChainPem, key: client.privateKeyPem }),
      },
      () => socket.write(`GET / HTTP/1.1\r\nhost: ${serverName}\r\nconnection: close\r\n\r\n`),
    );
    socket.setTimeout(30_000, () => socket.destroy(new Error('no answer in 30 s')));
    socket.once('data', (chunk: Buffer) => {
      socket.destroy();
      resolve({ status: Number(chunk.toString('latin1').slice(9, 12)) });
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed without an answer')));
  });
}

test('bytes: by server name past the gateway, ended there, and plain', async (t) => {
  const [tls = 0, tcp = 0, idle = 0, first = 0, second = 0, plain = 0] = await freePorts(6);
  for (const [name, port] of [
    ['one.test', first],
    ['two.test', second],
  ] as const) {
    const pair = await authority.issue(name);
    const server = createTlsServer({ cert: pair.certificateChainPem, key: pair.privateKeyPem }, (socket) => {
      socket.on('data', (chunk: Buffer) => socket.write(`${name}:${chunk.toString('latin1')}`));
      socket.on('error', () => socket.destroy());
    });
    await new Promise<void>((resolve) => {
      server.listen(port, '127.0.0.1', resolve);
    });
    t.after(() => server.close());
  }
  await tcpApplication(t, plain, 'plain');
  await startGateway(t, {
    authority,
    before: (put) => authority.issue('ended.test').then((pair) => put('ended', pair)),
    yaml: `${outsideYaml('one', 'TCP', first)}${outsideYaml('two', 'TCP', second)}${outsideYaml('plain', 'TCP', plain)}${gatewayYaml(`
  - {port: {number: ${tls}, name: a, protocol: TLS}, hosts: ["*.test"], tls: {mode: PASSTHROUGH}}
  - {port: {number: ${tls}, name: b, protocol: TLS}, hosts: [ended.test], tls: {mode: SIMPLE, credentialName: ended}}
  - {port: {number: ${tcp}, name: c, protocol: TCP}, hosts: ["*"]}
  - {port: {number: ${idle}, name: d, protocol: TCP}, hosts: [nobody.test]}`)}${ruleYaml(
      'names',
      '[one.test, two.test]',
      `
  tls:
  - match: [{sniHosts: [one.test]}]
    route: [{destination: {host: one.test}}]
  - match: [{sniHosts: [two.test]}]
    route: [{destination: {host: two.test}}]`,
    )}${ruleYaml(
      'plain',
      '[ended.test, anything.test]',
      `
  tcp:
  - route: [{destination: {host: plain.test}}]`,
    )}`,
  });
  await eventually('one.test answers', async () =>
    assert.equal(await exchangeTls(tls, { serverName: 'one.test', ca }, 'x'), 'one.test:x'),
  );
  assert.equal(await exchangeTls(tls, { serverName: 'two.test', ca }, 'y'), 'two.test:y');
  assert.equal(await exchangeTls(tls, { serverName: 'ended.test', ca }, 'z'), 'plain:z');
  await assert.rejects(exchangeTls(tls, { serverName: 'three.test', ca }, 'x'));
  assert.equal(await exchange(tcp, 'q'), 'plain:q');
  assert.equal(await exchange(idle, 'q'), undefined, 'nothing listens for a port without a rule');
});

test('GRPC-WEB: calls of browsers become gRPC, at that port alone', async (t) => {
  const [port = 0, browsers = 0, plain = 0] = await freePorts(3);
  const seen = await http2Application(t, port, 'grpc');
  await startGateway(t, {
    authority,
    yaml: `${outsideYaml('api', 'GRPC', port)}${gatewayYaml(`
  - {port: {number: ${browsers}, name: browsers, protocol: GRPC-WEB}, hosts: [api.test]}
  - {port: {number: ${plain}, name: plain, protocol: HTTP}, hosts: [api.test]}`)}${ruleYaml('r', '[api.test]', allTo('api.test'))}`,
  });
  const headers = { host: 'api.test', 'content-type': 'application/grpc-web+proto' };
  const answer = await eventually('an answer', async () => {
    const one = await call(browsers, { path: '/shop.Cart/List', headers });
    assert.equal(one.status, 200);
    return one;
  });
  assert.equal(seen.at(-1)?.headers['content-type'], 'application/grpc');
  assert.equal(answer.headers['content-type'], 'application/grpc-web+proto');
  assert.match(answer.body, /grpc-status:0\r\n$/, 'what gRPC says in trailers comes in the body');
  const passed = await call(plain, { path: '/shop.Cart/List', headers });
  assert.equal(seen.at(-1)?.headers['content-type'], 'application/grpc-web+proto');
  assert.doesNotMatch(passed.body, /grpc-status:/);
});

test('the PROXY protocol of a load balancer tells the address of the caller', async (t) => {
  const { yaml } = await web(t);
  const [http = 0] = await freePorts(1);
  await startGateway(t, {
    authority,
    roles: [ingressRole({ proxyProtocol: true })],
    yaml: `${yaml}${gatewayYaml(httpServer(http, '["*"]'))}${ruleYaml('r', '["*"]', allTo('web.test'))}`,
  });
  const request = 'GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n';
  const answer = await eventually('an answer', async () => {
    const text = await exchange(http, `PROXY TCP4 203.0.113.7 127.0.0.1 4000 80\r\n${request}`);
    assert.match(text ?? '', /^HTTP\/1\.1 200/);
    return text ?? '';
  });
  assert.match(answer, /"x-forwarded-for":"203\.0\.113\.7"/);
  assert.equal(await exchange(http, request), undefined, 'a connection without the header is closed');
});
