/** Applications speak plain HTTP; Envoy speaks TLS to the external service, as a DestinationRule says. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import type { Upstream } from '../../src/model/host.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { parseResources } from '../../src/sources/resource-reader.ts';
import { freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { call } from '../translate/applications.ts';
import { type TestAuthority, testAuthority } from '../translate/certificates.ts';
import { startEnvoy } from '../translate/envoy.ts';
import { host } from '../translate/mesh-literals.ts';

function resource(kind: string, name: string, spec: string): string {
  return `apiVersion: networking.istio.io/v1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: ${spec}\n---\n`;
}

/** Answers with the server name that was asked for and who asked. */
async function httpsApplication(t: TestContext, authority: TestAuthority, name: string, port: number): Promise<void> {
  const { certificateChainPem: cert, privateKeyPem: key } = await authority.issue(name);
  const tls = { cert, key, ca: authority.rootPem, requestCert: true, rejectUnauthorized: false };
  const server = createServer(tls, (incoming, outgoing) => {
    const socket = incoming.socket as TLSSocket & { readonly servername?: string | false };
    const { subjectaltname = 'nobody' } = socket.getPeerCertificate();
    outgoing.end(`${String(socket.servername)} ${subjectaltname} ${String(incoming.headers.host)}`);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
}

test('TLS origination', async (t) => {
  const authority = await testAuthority();
  const dir = await tempDir(t);
  const [ca, cert, key] = [join(dir, 'ca.pem'), join(dir, 'client.pem'), join(dir, 'key.pem')];
  const own = await authority.issue('client.example.org');
  await writeFile(ca, authority.rootPem);
  await writeFile(cert, own.certificateChainPem);
  await writeFile(key, own.privateKeyPem, { mode: 0o600 });
  const [server = 0, dynamic = 0, simple = 0, mutual = 0, wrong = 0, names = 0, wild = 0] = await freePorts(7);
  await httpsApplication(t, authority, 'api.example.com', server);
  await httpsApplication(t, authority, 'x.localhost', dynamic);
  const entry = (name: string, rest = ''): string =>
    resource(
      'ServiceEntry',
      name,
      `{hosts: [${name}.example.com], resolution: STATIC, endpoints: [{address: 127.0.0.1}],
        ports: [{number: 80, name: http, protocol: HTTP, targetPort: ${server}}]${rest}}`,
    );
  const rule = (name: string, tls: string): string =>
    resource(
      'DestinationRule',
      name,
      `{host: ${name}.example.com, trafficPolicy: {tls: {caCertificates: ${ca}, ${tls}}}}`,
    );
  const set = parseResources([
    {
      file: 'r.yaml',
      text:
        entry('simple') +
        rule('simple', 'mode: SIMPLE, sni: api.example.com, subjectAltNames: [api.example.com]') +
        entry('mutual') +
        rule(
          'mutual',
          `mode: MUTUAL, sni: api.example.com, clientCertificate: ${cert}, privateKey: ${key}, subjectAltNames: [api.example.com]`,
        ) +
        entry('wrong') +
        rule('wrong', 'mode: SIMPLE, sni: api.example.com, subjectAltNames: [other.example.com]') +
        entry('names', ', subjectAltNames: [other.example.com]') +
        rule('names', 'mode: SIMPLE, sni: api.example.com') +
        resource(
          'ServiceEntry',
          'wild',
          `{hosts: ['*.localhost'], resolution: DYNAMIC_DNS, ports: [{number: ${dynamic}, name: http, protocol: HTTP}]}`,
        ) +
        resource(
          'DestinationRule',
          'wild',
          `{host: '*.localhost', trafficPolicy: {tls: {mode: SIMPLE, caCertificates: ${ca}}}}`,
        ),
    },
  ]);
  const mesh = buildMesh(undefined, {
    config: DEFAULT_MESH_CONFIG,
    resources: set,
    catalogue: undefined,
    localServices: [],
  });
  assert.deepEqual(mesh.diagnostics, []);
  const listeners: readonly (readonly [string, number])[] = [
    ['simple.example.com', simple],
    ['mutual.example.com', mutual],
    ['wrong.example.com', wrong],
    ['names.example.com', names],
    ['*.localhost', wild],
  ];
  const upstreams = listeners.map(
    ([serviceHost, port]): Upstream => ({
      serviceHost,
      servicePort: undefined,
      listen: { address: '127.0.0.1', port },
    }),
  );
  await startEnvoy(t, mesh, host({ callerIdentity: undefined, upstreams }), []);
  const say = async (port: number, name: string): Promise<string> => {
    const { status, body } = await call(port, { headers: { host: name } });
    return status === 200 ? body : String(status);
  };

  await t.test('SIMPLE: the server is verified, nobody is shown to it', async () =>
    assert.equal(await say(simple, 'simple.example.com'), 'api.example.com nobody simple.example.com'),
  );
  await t.test('MUTUAL: with the client certificate of a file', async () =>
    assert.equal(await say(mutual, 'a.b'), 'api.example.com DNS:client.example.org a.b'),
  );
  await t.test('a server with another name is not believed', async () => assert.equal(await say(wrong, 'a.b'), '503'));
  await t.test('nor one that the ServiceEntry does not name', async () => assert.equal(await say(names, 'a.b'), '503'));
  await t.test('a name that is resolved as it is called is asked for and verified', async () =>
    assert.equal(await say(wild, `x.localhost:${dynamic}`), `x.localhost nobody x.localhost:${dynamic}`),
  );
  await t.test('where the server has another name, not', async () =>
    assert.equal(await say(wild, `y.localhost:${dynamic}`), '503'),
  );
});
