/** TLS to servers outside of the mesh, by what DestinationRules say: a real Envoy against real servers. */
import assert from 'node:assert/strict';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import type { Host } from '../../src/model/host.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { startAgentlet } from '../translate/agentlet.ts';
import { type Answer, call } from '../translate/applications.ts';
import { testAuthority } from '../translate/certificates.ts';
import { host } from '../translate/mesh-literals.ts';
import { meshOf } from './gateway-host.ts';
import { tlsServer } from './tls-servers.ts';

const API = 'api.example.com';
const authority = await testAuthority();
const others = await testAuthority();
const pair = await authority.issue(API);
const client = await authority.issue('client.example.com');
const SERVER = { cert: pair.certificateChainPem, key: pair.privateKeyPem };
const ASKING = { ...SERVER, requestCert: true, rejectUnauthorized: true, ca: authority.rootPem };

interface Caller {
  readonly folder: string;
  stats(filter: string): Promise<string>;
  call(headers?: Record<string, string>): Promise<Answer>;
}

/** A host that calls a server, described as a service of this name, by a rule with this `tls`; `folder` is for its files. */
async function startCaller(
  t: TestContext,
  serverPort: number,
  tlsOf: (folder: string) => object,
  options: { readonly host?: string; readonly self?: (folder: string) => Partial<Host> } = {},
): Promise<Caller> {
  const folder = await tempDir(t);
  const files = {
    'ca.pem': authority.rootPem,
    'other-ca.pem': others.rootPem,
    'client.pem': client.certificateChainPem,
    'client.key': client.privateKeyPem,
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text, { mode: 0o600 });
  const name = options.host ?? API;
  const entry = {
    hosts: [name],
    location: 'MESH_EXTERNAL',
    resolution: 'STATIC',
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
    endpoints: [{ address: '127.0.0.1', ports: { http: serverPort } }],
  };
  const rule = { host: name, trafficPolicy: { tls: tlsOf(folder) } };
  const yaml = [
    { kind: 'ServiceEntry', spec: entry },
    { kind: 'DestinationRule', spec: rule },
  ]
    .map((resource) => stringify({ apiVersion: 'networking.istio.io/v1', metadata: { name: 'api' }, ...resource }))
    .join('---\n');
  const port = await freePort();
  const upstreams = [{ serviceHost: name, servicePort: undefined, listen: { address: '127.0.0.1', port } }];
  const self = host({ upstreams, callerIdentity: undefined, ...options.self?.(folder) });
  const envoy = await startAgentlet(t, self);
  envoy.serve(meshOf(yaml), []);
  await eventually('Envoy listens', async () =>
    /listener_manager.workers_started: 1/.test(await envoy.stats('workers_started')),
  );
  await eventually('the upstream answers', () =>
    call(port).then(
      () => true,
      () => false,
    ),
  );
  return { folder, stats: (filter) => envoy.stats(filter), call: (headers = {}) => call(port, { headers }) };
}

test('SIMPLE with roots from a file: the server is asked for, and known by, the name of the service', async (t) => {
  const shop = await startCaller(t, await tlsServer(t, SERVER), (folder) => ({
    mode: 'SIMPLE',
    caCertificates: join(folder, 'ca.pem'),
  }));
  const answer = await shop.call();
  assert.equal(answer.status, 200, answer.body);
  assert.deepEqual(JSON.parse(answer.body), { sni: API, client: '' });
});

test('SIMPLE: a server with another name, or of another authority, is refused', async (t) => {
  const server = await tlsServer(t, SERVER);
  const named = await startCaller(t, server, (folder) => ({
    mode: 'SIMPLE',
    caCertificates: join(folder, 'ca.pem'),
    subjectAltNames: ['other.example.com'],
  }));
  const rooted = await startCaller(t, server, (folder) => ({
    mode: 'SIMPLE',
    caCertificates: join(folder, 'other-ca.pem'),
  }));
  for (const [shop, reason] of [
    [named, 'fail_verify_san'],
    [rooted, 'fail_verify_error'],
  ] as const) {
    assert.equal((await shop.call()).status, 503);
    assert.match(await shop.stats(reason), new RegExp(`ssl\\.${reason}: [1-9]`));
  }
});

test('SIMPLE without roots means those of the operating system', async (t) => {
  const server = await tlsServer(t, SERVER);
  const plain = { mode: 'SIMPLE' };
  const trusting = await startCaller(t, server, () => plain, {
    self: (folder) => ({ systemRootsFile: join(folder, 'ca.pem') }),
  });
  assert.equal((await trusting.call()).status, 200);
  const doubting = await startCaller(t, server, () => plain, {
    self: (folder) => ({ systemRootsFile: join(folder, 'other-ca.pem') }),
  });
  assert.equal((await doubting.call()).status, 503);
});

test('sni and subjectAltNames of the rule go before the name of the service', async (t) => {
  const shop = await startCaller(
    t,
    await tlsServer(t, SERVER),
    (folder) => ({
      mode: 'SIMPLE',
      caCertificates: join(folder, 'ca.pem'),
      sni: 'front.example.com',
      subjectAltNames: [API],
    }),
    { host: 'elsewhere.example.com' },
  );
  const answer = await shop.call();
  assert.deepEqual([answer.status, answer.body], [200, JSON.stringify({ sni: 'front.example.com', client: '' })]);
});

test('behind a wildcard the server is asked for, and known by, the host of each request', async (t) => {
  const shop = await startCaller(
    t,
    await tlsServer(t, SERVER),
    (folder) => ({ mode: 'SIMPLE', caCertificates: join(folder, 'ca.pem') }),
    { host: '*.example.com' },
  );
  const answer = await shop.call({ host: API });
  assert.deepEqual([answer.status, answer.body], [200, JSON.stringify({ sni: API, client: '' })]);
  assert.equal((await shop.call({ host: 'other.example.com' })).status, 503);
});

test('insecureSkipVerify takes any server', async (t) => {
  const shop = await startCaller(t, await tlsServer(t, SERVER), () => ({ mode: 'SIMPLE', insecureSkipVerify: true }), {
    host: 'elsewhere.example.com',
  });
  assert.equal((await shop.call()).status, 200);
});

test('MUTUAL shows a certificate; without one such a server refuses', async (t) => {
  const server = await tlsServer(t, ASKING);
  const mutual = await startCaller(t, server, (folder) => ({
    mode: 'MUTUAL',
    clientCertificate: join(folder, 'client.pem'),
    privateKey: join(folder, 'client.key'),
    caCertificates: join(folder, 'ca.pem'),
  }));
  const answer = await mutual.call();
  assert.deepEqual([answer.status, JSON.parse(answer.body).client], [200, 'DNS:client.example.com']);
  const simple = await startCaller(t, server, (folder) => ({
    mode: 'SIMPLE',
    caCertificates: join(folder, 'ca.pem'),
  }));
  assert.equal((await simple.call()).status, 503);
});

test('a certificate that is moved over the old one is the next that is shown', async (t) => {
  const shop = await startCaller(t, await tlsServer(t, ASKING), (folder) => ({
    mode: 'MUTUAL',
    clientCertificate: join(folder, 'client.pem'),
    privateKey: join(folder, 'client.key'),
    caCertificates: join(folder, 'ca.pem'),
  }));
  assert.equal(JSON.parse((await shop.call()).body).client, 'DNS:client.example.com');
  const next = await authority.issue('next.example.com');
  for (const [name, text] of [
    ['client.key', next.privateKeyPem],
    ['client.pem', next.certificateChainPem],
  ] as const) {
    await writeFile(join(shop.folder, `${name}.new`), text, { mode: 0o600 });
    await rename(join(shop.folder, `${name}.new`), join(shop.folder, name));
  }
  await eventually('the new certificate is shown', async () => {
    const { status, body } = await shop.call();
    return status === 200 && JSON.parse(body).client === 'DNS:next.example.com';
  });
});

test('DISABLE is plain text', async (t) => {
  const shop = await startCaller(t, await tlsServer(t, SERVER), () => ({ mode: 'DISABLE' }));
  assert.notEqual((await shop.call()).status, 200);
});
