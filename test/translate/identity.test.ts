/** Who may answer and who may call, on a real Envoy. */
import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import { type TestContext, test } from 'node:test';
import { type ConnectionOptions, connect as tlsConnect } from 'node:tls';
import type { MtlsMode, PeerAuthentication } from '../../src/model/peer-authentication.ts';
import type { Protocol } from '../../src/model/service.ts';
import { freePorts } from '../support/ports.ts';
import { call, exchange, httpApplication, tcpApplication } from './applications.ts';
import { testAuthority } from './certificates.ts';
import { startEnvoy } from './envoy.ts';
import { endpoint, host, mesh, service, spiffe, upstream, workload } from './mesh-literals.ts';
import { startSidecars } from './sidecars.ts';

const authority = await testAuthority();

test('an instance with another identity gets no request', async (t) => {
  let seen: readonly unknown[] = [];
  const { upstreamPort, client } = await startSidecars(t, {
    authority,
    protocol: 'HTTP',
    serverIdentity: spiffe('rogue'),
    application: async (port) => (seen = await httpApplication(t, port)),
  });
  const answer = await call(upstreamPort);
  assert.equal(answer.status, 503);
  assert.equal(seen.length, 0);
  assert.ok((await client.stat('cluster.outbound|9080||reviews.default.mesh;.ssl.fail_verify_san')) > 0);
});

test('an identity of another trust domain and a foreign authority get no request', async (t) => {
  const foreign = await testAuthority();
  const [upstreamPort = 0, instancePort = 0] = await freePorts(2);
  const pair = await foreign.issue(spiffe('reviews'));
  let requests = 0;
  const server = createServer({ key: pair.privateKeyPem, cert: pair.certificateChainPem }, (_, response) => {
    requests++;
    response.end('stolen');
  });
  await new Promise<void>((resolve) => {
    server.listen(instancePort, '127.0.0.1', resolve);
  });
  t.after(() => server.close());
  const both = mesh([[service('reviews', 'HTTP'), [endpoint('127.0.0.1', instancePort)]]]);
  const caller = host({ upstreams: [upstream('reviews', upstreamPort)] });
  await startEnvoy(t, both, caller, await authority.secrets(spiffe('caller')));
  assert.equal((await call(upstreamPort)).status, 503);
  assert.equal(requests, 0);
});

test('a rogue registration in plain text gets no request of a service that requires mutual TLS', async (t) => {
  const [upstreamPort = 0, roguePort = 0] = await freePorts(2);
  const bytes = await tcpApplication(t, roguePort, 'rogue');
  for (const offersMtls of [true, false]) {
    const both = mesh([[service('reviews', 'HTTP'), [endpoint('127.0.0.1', roguePort, { offersMtls })]]]);
    const caller = host({ upstreams: [upstream('reviews', upstreamPort)] });
    await t.test(`offersMtls: ${offersMtls}`, async (inner) => {
      await startEnvoy(inner, both, caller, await authority.secrets(spiffe('caller')));
      assert.equal((await call(upstreamPort)).status, 503);
    });
  }
  assert.ok(bytes.length > 0);
  assert.doesNotMatch(bytes.join(''), /HTTP/);
});

test('a host without an identity does not fall back to plain text', async (t) => {
  const [upstreamPort = 0, instancePort = 0] = await freePorts(2);
  const seen = await httpApplication(t, instancePort);
  const both = mesh([[service('reviews', 'HTTP'), [endpoint('127.0.0.1', instancePort)]]]);
  const caller = host({ upstreams: [upstream('reviews', upstreamPort)], callerIdentity: undefined });
  await startEnvoy(t, both, caller, []);
  assert.equal((await call(upstreamPort)).status, 503);
  assert.equal(seen.length, 0);
});

test('meshed and plain instances of a migrating service side by side', async (t) => {
  const [upstreamPort = 0, meshedPort = 0, applicationPort = 0, plainPort = 0] = await freePorts(4);
  await Promise.all([httpApplication(t, applicationPort, 'meshed'), httpApplication(t, plainPort, 'plain')]);
  const both = mesh([
    [
      service('reviews', 'HTTP', { tls: 'migrating' }),
      [endpoint('127.0.0.1', meshedPort), endpoint('127.0.0.1', plainPort, { offersMtls: false })],
    ],
  ]);
  const instance = workload('reviews', 'HTTP', meshedPort, applicationPort);
  await startEnvoy(t, both, host({ workloads: [instance] }), await authority.secrets(instance.identity));
  const caller = host({ upstreams: [upstream('reviews', upstreamPort)] });
  await startEnvoy(t, both, caller, await authority.secrets(spiffe('caller')));
  const peers = new Map<string, boolean>();
  for (let i = 0; i < 60; i++) {
    const { status, body } = await call(upstreamPort);
    assert.equal(status, 200);
    const { name, headers } = JSON.parse(body) as { name: string; headers: Record<string, string> };
    peers.set(name, headers['x-forwarded-client-cert'] !== undefined);
  }
  assert.deepEqual(Object.fromEntries(peers), { meshed: true, plain: false });
});

/** What a call meets: the application's answer, or nothing. */
type Outcome = 'answered' | 'refused';

function policy(mode: MtlsMode): PeerAuthentication {
  const source = { file: 'x.yaml', line: 1 };
  const meta = { kind: 'PeerAuthentication', namespace: 'default', name: 'x', labels: {}, source, age: 0 };
  return { meta, selector: undefined, mode, portModes: new Map() };
}

/** One exchange over a TLS connection of the caller's own making. */
function exchangeTls(options: ConnectionOptions, text: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = tlsConnect({ host: '127.0.0.1', rejectUnauthorized: false, ...options }, () => socket.write(text));
    socket.setTimeout(10_000, () => socket.destroy());
    socket.once('data', (chunk: Buffer) => {
      socket.destroy();
      resolve(chunk.toString('latin1'));
    });
    socket.once('error', () => resolve(undefined));
    socket.once('close', () => resolve(undefined));
  });
}

const REQUEST = 'GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-client-cert: URI=forged\r\nconnection: close\r\n\r\n';

async function calls(t: TestContext, mode: MtlsMode, protocol: Protocol): Promise<Record<string, Outcome>> {
  const [inboundPort = 0, applicationPort = 0] = await freePorts(2);
  const carriesHttp = protocol === 'HTTP';
  const seen = carriesHttp ? await httpApplication(t, applicationPort) : await tcpApplication(t, applicationPort);
  const instance = workload('reviews', protocol, inboundPort, applicationPort);
  const policies = mesh([], { peerAuthentications: [policy(mode)] });
  await startEnvoy(t, policies, host({ workloads: [instance] }), await authority.secrets(instance.identity));
  const own = await authority.issue(spiffe('caller'));
  const foreign = await authority.issue('spiffe://other.domain/ns/default/sa/caller');
  const withPair = (pair: typeof own, alpn: readonly string[]): ConnectionOptions => ({
    port: inboundPort,
    cert: pair.certificateChainPem,
    key: pair.privateKeyPem,
    ALPNProtocols: [...alpn],
  });
  const text = carriesHttp ? REQUEST : 'hello';
  const offer = carriesHttp ? ['istio-http/1.1', 'istio', 'http/1.1'] : ['istio'];
  const answered = (answer: string | undefined): Outcome =>
    answer !== undefined && /^(HTTP\/1\.1 200|app:)/.test(answer) ? 'answered' : 'refused';
  const outcomes = {
    plain: answered(await exchange(inboundPort, text)),
    mesh: answered(await exchangeTls(withPair(own, offer), text)),
    foreignDomain: answered(await exchangeTls(withPair(foreign, offer), text)),
    meshWithoutCertificate: answered(await exchangeTls({ port: inboundPort, ALPNProtocols: offer }, text)),
  };
  if (carriesHttp) assert.doesNotMatch(JSON.stringify(seen), /"x-forwarded-client-cert":"URI=forged"/);
  return outcomes;
}

for (const protocol of ['HTTP', 'TCP'] as const) {
  test(`PERMISSIVE ${protocol}: plain text and the mesh`, async (t) => {
    assert.deepEqual(await calls(t, 'PERMISSIVE', protocol), {
      plain: 'answered',
      mesh: 'answered',
      foreignDomain: 'refused',
      meshWithoutCertificate: 'refused',
    });
  });

  test(`STRICT ${protocol}: the mesh alone`, async (t) => {
    assert.deepEqual(await calls(t, 'STRICT', protocol), {
      plain: 'refused',
      mesh: 'answered',
      foreignDomain: 'refused',
      meshWithoutCertificate: 'refused',
    });
  });

  test(`DISABLE ${protocol}: plain text alone`, async (t) => {
    assert.deepEqual(await calls(t, 'DISABLE', protocol), {
      plain: 'answered',
      mesh: 'refused',
      foreignDomain: 'refused',
      meshWithoutCertificate: 'refused',
    });
  });
}

for (const mode of ['PERMISSIVE', 'DISABLE'] as const) {
  for (const protocol of ['TCP', 'AUTO'] as const) {
    test(`${mode} ${protocol}: an application's own TLS passes as it is`, async (t) => {
      const [inboundPort = 0, applicationPort = 0] = await freePorts(2);
      const own = await authority.issue('spiffe://application.own/x');
      const server = createServer({ key: own.privateKeyPem, cert: own.certificateChainPem }, (_, response) => {
        response.end('by the application');
      });
      await new Promise<void>((resolve) => {
        server.listen(applicationPort, '127.0.0.1', resolve);
      });
      t.after(() => server.close());
      const instance = workload('reviews', protocol, inboundPort, applicationPort);
      const policies = mesh([], { peerAuthentications: [policy(mode)] });
      await startEnvoy(t, policies, host({ workloads: [instance] }), await authority.secrets(instance.identity));
      const answer = await exchangeTls({ port: inboundPort, ALPNProtocols: ['http/1.1'] }, REQUEST);
      assert.match(answer ?? '', /^HTTP\/1\.1 200 /);
    });
  }
}
