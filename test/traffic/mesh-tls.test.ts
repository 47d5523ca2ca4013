/** How TLS is spoken, by the mesh configuration: a real Envoy before real clients and servers. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type ConnectionOptions, connect, type EphemeralKeyInfo } from 'node:tls';
import { stringify } from 'yaml';
import { eventually } from '../support/eventually.ts';
import { meshConfigOf } from '../support/mesh-config.ts';
import { freePort, freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { call, httpApplication } from '../translate/applications.ts';
import { testAuthority } from '../translate/certificates.ts';
import { startEnvoy } from '../translate/envoy.ts';
import { endpoint, host, mesh, service, spiffe, upstream, workload } from '../translate/mesh-literals.ts';
import { meshOf, startGateway } from './gateway-host.ts';
import { tlsServer } from './tls-servers.ts';

const authority = await testAuthority();
const others = await testAuthority();

interface Spoken {
  readonly version: string | null;
  readonly cipher: string;
  readonly curve: string | undefined;
}

/** What client and server agree on; the code of the failure where they do not. */
function agreed(port: number, options: ConnectionOptions): Promise<Spoken | string> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, timeout: 30_000, ...options }, () => {
      const key = socket.getEphemeralKeyInfo() as EphemeralKeyInfo | Record<string, never> | null;
      const curve = key !== null && 'name' in key ? key.name : undefined;
      resolve({ version: socket.getProtocol(), cipher: socket.getCipher().name, curve });
      socket.destroy();
    });
    socket.once('timeout', () => socket.destroy(new Error('no handshake in 30 s')));
    socket.once('error', (error: Error & { readonly code?: string }) => resolve(error.code ?? error.message));
  });
}

const VERSION_REFUSED = 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION';

/** A workload that takes mutual TLS alone; returns its port, and how a peer connects. */
async function strictWorkload(t: TestContext, config: string): Promise<readonly [number, ConnectionOptions]> {
  const [port = 0, app = 0] = await freePorts(2);
  await httpApplication(t, app);
  const strict = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
`;
  const self = host({ workloads: [workload('web', 'HTTP', port, app)], callerIdentity: undefined });
  await startEnvoy(t, meshOf(strict, meshConfigOf(config)), self, await authority.secrets(spiffe('web')));
  const { certificateChainPem: cert, privateKeyPem: key } = await authority.issue(spiffe('caller'));
  return [port, { cert, key, ALPNProtocols: ['istio-http/1.1', 'http/1.1'] }];
}

test("the mesh's TLS: 1.2 and 1.3 unless it is said otherwise", async (t) => {
  const [port, peer] = await strictWorkload(t, '{}');
  const old = await agreed(port, { ...peer, maxVersion: 'TLSv1.2' });
  assert.equal(typeof old === 'object' && old.version, 'TLSv1.2');
  const now = await agreed(port, peer);
  assert.equal(typeof now === 'object' && now.version, 'TLSv1.3');
});

test("meshMTLS: a peer that cannot do the mesh's least version is refused", async (t) => {
  const [port, peer] = await strictWorkload(t, 'meshMTLS: {minProtocolVersion: TLSV1_3, ecdhCurves: [P-384]}');
  assert.equal(await agreed(port, { ...peer, maxVersion: 'TLSv1.2' }), VERSION_REFUSED);
  const now = await agreed(port, { ...peer, ecdhCurve: 'P-256:P-384' });
  assert.deepEqual(now, { version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', curve: 'secp384r1' });
});

test('meshMTLS: the suites of TLS 1.2', async (t) => {
  const [port, peer] = await strictWorkload(t, 'meshMTLS: {cipherSuites: [ECDHE-ECDSA-CHACHA20-POLY1305]}');
  const old = await agreed(port, { ...peer, maxVersion: 'TLSv1.2' });
  assert.equal(typeof old === 'object' && old.cipher, 'ECDHE-ECDSA-CHACHA20-POLY1305');
  const other = await agreed(port, { ...peer, maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' });
  assert.match(typeof other === 'string' ? other : '', /HANDSHAKE_FAILURE/);
});

for (const [config, status] of [
  ['{}', 200],
  ['meshMTLS: {minProtocolVersion: TLSV1_3}', 503],
] as const)
  test(`the mesh's calls of a peer that has TLS 1.2 alone, ${config}: ${status}`, async (t) => {
    const { certificateChainPem: cert, privateKeyPem: key } = await authority.issue(spiffe('reviews'));
    const peer = await tlsServer(t, { cert, key, maxVersion: 'TLSv1.2' });
    const port = await freePort();
    const both = mesh([[service('reviews', 'HTTP'), [endpoint('127.0.0.1', peer)]]], { config: meshConfigOf(config) });
    await startEnvoy(
      t,
      both,
      host({ upstreams: [upstream('reviews', port)] }),
      await authority.secrets(spiffe('caller')),
    );
    assert.equal((await call(port)).status, status);
  });

test('tlsDefaults: at gateways, where a server does not say', async (t) => {
  const port = await freePort();
  const pair = await authority.issue('a.test');
  const servers = [
    { name: 'a', tls: {} },
    { name: 'b', tls: { minProtocolVersion: 'TLSV1_2', ecdhCurves: ['P-256'] } },
  ].map(({ name, tls }) => ({
    port: { number: port, name, protocol: 'HTTPS' },
    hosts: [`${name}.test`],
    tls: { mode: 'SIMPLE', credentialName: 'pair', ...tls },
  }));
  await startGateway(t, {
    authority,
    config: meshConfigOf('tlsDefaults: {minProtocolVersion: TLSV1_3, ecdhCurves: [P-384]}'),
    before: (put) => put('pair', pair),
    yaml: stringify({
      apiVersion: 'networking.istio.io/v1',
      kind: 'Gateway',
      metadata: { name: 'gw' },
      spec: { selector: { istio: 'ingressgateway' }, servers },
    }),
  });
  const offered = { ecdhCurve: 'P-256:P-384' };
  const a = await eventually('the gateway answers', async () => {
    const now = await agreed(port, { servername: 'a.test', ...offered });
    assert.equal(typeof now, 'object');
    return now;
  });
  assert.deepEqual(a, { version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', curve: 'secp384r1' });
  assert.equal(await agreed(port, { servername: 'a.test', maxVersion: 'TLSv1.2' }), VERSION_REFUSED);
  const b = await agreed(port, { servername: 'b.test', maxVersion: 'TLSv1.2', ...offered });
  assert.deepEqual(typeof b === 'object' && [b.version, b.curve], ['TLSv1.2', 'prime256v1']);
});

const API = 'api.example.com';

/** The status of a call of a server outside, by a rule with this TLS, on a host that trusts `authority`. */
async function originated(t: TestContext, server: number, tls: object, config: string): Promise<number> {
  const roots = join(await tempDir(t), 'roots.pem');
  await writeFile(roots, authority.rootPem);
  const yaml = [
    {
      kind: 'ServiceEntry',
      spec: {
        hosts: [API],
        resolution: 'STATIC',
        ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
        endpoints: [{ address: '127.0.0.1', ports: { http: server } }],
      },
    },
    { kind: 'DestinationRule', spec: { host: API, trafficPolicy: { tls: { mode: 'SIMPLE', ...tls } } } },
  ].map((one) => stringify({ apiVersion: 'networking.istio.io/v1', metadata: { name: 'api' }, ...one }));
  const port = await freePort();
  const upstreams = [{ serviceHost: API, servicePort: undefined, listen: { address: '127.0.0.1', port } }];
  const self = host({ upstreams, callerIdentity: undefined, systemRootsFile: roots });
  await startEnvoy(t, meshOf(yaml.join('---\n'), meshConfigOf(config)), self, []);
  return (await call(port)).status;
}

test('tlsDefaults: calls of servers outside', async (t) => {
  const { certificateChainPem: cert, privateKeyPem: key } = await authority.issue(API);
  const server = await tlsServer(t, { cert, key, maxVersion: 'TLSv1.2' });
  assert.equal(await originated(t, server, {}, '{}'), 200);
  assert.equal(await originated(t, server, {}, 'tlsDefaults: {minProtocolVersion: TLSV1_3}'), 503);
});

test('verifyCertificateAtClient: what is left to prove', async (t) => {
  const [foreign, misnamed] = await Promise.all([others.issue(API), authority.issue('other.example.com')]);
  const [stranger, other] = await Promise.all(
    [foreign, misnamed].map(({ certificateChainPem: cert, privateKeyPem: key }) => tlsServer(t, { cert, key })),
  );
  assert.ok(stranger !== undefined && other !== undefined);
  const folder = await tempDir(t);
  const ca = join(folder, 'ca.pem');
  await writeFile(ca, authority.rootPem);
  const off = 'verifyCertificateAtClient: false';
  const cases: readonly (readonly [what: string, server: number, tls: object, config: string, status: number])[] = [
    ['by default a stranger is refused', stranger, {}, '{}', 503],
    ['turned off, nobody is', stranger, {}, off, 200],
    ['but by names that the rule has', stranger, { subjectAltNames: [API] }, off, 503],
    ['and by its roots', stranger, { caCertificates: ca }, off, 503],
    ['which do not ask for a name', other, { caCertificates: ca }, off, 200],
    ['as they do by default', other, { caCertificates: ca }, '{}', 503],
  ];
  for (const [what, server, tls, config, status] of cases)
    await t.test(what, async (inner) => assert.equal(await originated(inner, server, tls, config), status));
});
