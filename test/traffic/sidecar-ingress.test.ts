/** What a Sidecar says of a workload's own side, on a real Envoy. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ServerTls } from '../../src/model/gateway.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import type { PeerAuthentication } from '../../src/model/peer-authentication.ts';
import type { Sidecar, SidecarIngress } from '../../src/model/sidecar.ts';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { call } from '../translate/applications.ts';
import { type KeyPairPem, testAuthority } from '../translate/certificates.ts';
import { startEnvoy } from '../translate/envoy.ts';
import { endpoint, host, mesh, pool, service, spiffe, workload } from '../translate/mesh-literals.ts';

const authority = await testAuthority();

function sidecar(rest: Partial<Sidecar>): Sidecar {
  const meta = { kind: 'Sidecar', namespace: 'default', name: 'reviews', labels: {}, age: 0 };
  return {
    meta: { ...meta, source: { file: 'x.yaml', line: 1 } },
    workloadSelector: undefined,
    ingress: [],
    egress: undefined,
    inboundConnectionPool: undefined,
    outboundTrafficPolicy: undefined,
    ...rest,
  };
}

function ingress(port: number, rest: Partial<SidecarIngress> = {}): SidecarIngress {
  return {
    port: { number: port, name: 'http', protocol: 'HTTP' },
    bind: undefined,
    captureMode: 'DEFAULT',
    defaultEndpoint: undefined,
    tls: undefined,
    connectionPool: undefined,
    ...rest,
  };
}

/** An application that answers with its name; `slow` ones when they are told to. */
async function application(
  t: TestContext,
  at: number | string,
  name: string,
): Promise<{ readonly release: () => void }> {
  const waiting: (() => void)[] = [];
  let released = false;
  const server = createServer({ keepAliveTimeout: 0 }, (incoming, outgoing) => {
    const answer = (): void => void outgoing.end(name);
    if (incoming.url === '/slow' && !released) waiting.push(answer);
    else answer();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    if (typeof at === 'string') server.listen(at, resolve);
    else server.listen(at, '127.0.0.1', resolve);
  });
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    release: () => {
      released = true;
      for (const answer of waiting.splice(0)) answer();
    },
  };
}

async function start(
  t: TestContext,
  own: number,
  applicationPort: number,
  sidecars: readonly Sidecar[],
  rest: Partial<Mesh> = {},
) {
  const reviews = service('reviews', 'HTTP');
  const world = mesh([[reviews, [endpoint('127.0.0.1', own)]]], { ...rest, sidecars });
  const self = host({ workloads: [workload('reviews', 'HTTP', own, applicationPort)] });
  return startEnvoy(t, world, self, await authority.secrets(spiffe('reviews')));
}

async function body(port: number): Promise<string> {
  return eventually(`an answer at ${port}`, async () => {
    const { status, body: text } = await call(port);
    assert.equal(status, 200);
    return text;
  });
}

test('ingress listeners lead elsewhere, to a Unix socket, and open further ports', async (t) => {
  const [own = 0, declared = 0, other = 0, added = 0] = await freePorts(4);
  const socket = join(await tempDir(t), 'app.sock');
  await application(t, declared, 'declared');
  await application(t, other, 'other');
  await application(t, socket, 'socket');
  const rules = sidecar({
    ingress: [
      ingress(own, { defaultEndpoint: `unix://${socket}` }),
      ingress(added, { defaultEndpoint: `127.0.0.1:${other}` }),
    ],
  });
  await start(t, own, declared, [rules]);
  assert.equal(await body(own), 'socket');
  assert.equal(await body(added), 'other');
});

test('a Sidecar without ingress leaves the port that agent.yaml declares', async (t) => {
  const [own = 0, declared = 0] = await freePorts(2);
  await application(t, declared, 'declared');
  await start(t, own, declared, [sidecar({ inboundConnectionPool: pool({ maxRetries: 1 }) })]);
  assert.equal(await body(own), 'declared');
});

test('the inbound connection pool refuses what is too much, with 503 UO', async (t) => {
  const [own = 0, declared = 0] = await freePorts(2);
  const { release } = await application(t, declared, 'declared');
  const limits = pool({ maxConnections: 1, http1MaxPendingRequests: 1 });
  const envoy = await start(t, own, declared, [sidecar({ inboundConnectionPool: limits })]);
  assert.equal(await body(own), 'declared');
  const slow = Array.from({ length: 4 }, () => call(own, { path: '/slow' }));
  await eventually('two are refused', async () =>
    assert.equal(await envoy.stat(`cluster.inbound|${own}||;.upstream_rq_pending_overflow`), 2),
  );
  release();
  const answers = await Promise.all(slow);
  const refused = answers.filter(({ status }) => status === 503);
  assert.equal(refused.length, 2);
  for (const { headers } of refused) assert.equal(headers['x-envoy-overloaded'], 'true');
});

test('the pool of the ingress listener comes before the Sidecar’s, and replaces it whole', async (t) => {
  const [own = 0, declared = 0] = await freePorts(2);
  const { release } = await application(t, declared, 'declared');
  const envoy = await start(t, own, declared, [
    sidecar({
      inboundConnectionPool: pool({ maxConnections: 1, http1MaxPendingRequests: 1 }),
      ingress: [ingress(own, { connectionPool: pool({ maxRetries: 7 }) })],
    }),
  ]);
  assert.equal(await body(own), 'declared');
  const slow = Array.from({ length: 4 }, () => call(own, { path: '/slow' }));
  await eventually('all are at the application', async () =>
    assert.equal(await envoy.stat(`cluster.inbound|${own}||;.upstream_rq_active`), 4),
  );
  release();
  assert.deepEqual(
    (await Promise.all(slow)).map(({ status }) => status),
    [200, 200, 200, 200],
  );
});

/** One HTTPS request, with a client's certificate if there is one. */
async function secure(port: number, client?: KeyPairPem): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: '127.0.0.1',
        port,
        ca: authority.rootPem,
        agent: false,
        ...(client !== undefined && { cert: client.certificateChainPem, key: client.privateKeyPem }),
        // The certificate names a SPIFFE id, which Node does not compare.
        checkServerIdentity: () => undefined,
      },
      (incoming) => {
        let text = '';
        incoming.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        incoming.once('end', () => resolve(`${incoming.statusCode} ${text}`));
      },
    );
    outgoing.once('error', reject);
    outgoing.end();
  });
}

test('TLS of its own is ended where the mesh’s is off, and client certificates are asked for', async (t) => {
  const [own = 0, declared = 0, mutual = 0] = await freePorts(3);
  const dir = await tempDir(t);
  const pair = await authority.issue('spiffe://elsewhere/server');
  const files = { serverCertificate: join(dir, 'tls.crt'), privateKey: join(dir, 'tls.key') };
  const roots = join(dir, 'ca.crt');
  await Promise.all([
    writeFile(files.serverCertificate, pair.certificateChainPem),
    writeFile(files.privateKey, pair.privateKeyPem, { mode: 0o600 }),
    writeFile(roots, authority.rootPem),
  ]);
  await application(t, declared, 'declared');
  const tls = (mode: 'SIMPLE' | 'MUTUAL'): ServerTls => ({
    mode,
    httpsRedirect: false,
    certificates: [files],
    credentialNames: [],
    caCertificates: mode === 'MUTUAL' ? roots : undefined,
    caCrl: undefined,
    caCertCredentialName: undefined,
    subjectAltNames: [],
    verifyCertificateSpki: [],
    verifyCertificateHash: [],
    minProtocolVersion: 'TLS_AUTO',
    maxProtocolVersion: 'TLS_AUTO',
    cipherSuites: [],
    ecdhCurves: [],
  });
  const listener = (number: number, mode: 'SIMPLE' | 'MUTUAL'): SidecarIngress =>
    ingress(number, {
      port: { number, name: 'https', protocol: 'HTTPS' },
      defaultEndpoint: `127.0.0.1:${declared}`,
      tls: tls(mode),
    });
  const off: PeerAuthentication = {
    meta: { ...sidecar({}).meta, kind: 'PeerAuthentication' },
    selector: undefined,
    mode: 'DISABLE',
    portModes: new Map(),
  };
  await start(t, own, declared, [sidecar({ ingress: [listener(own, 'SIMPLE'), listener(mutual, 'MUTUAL')] })], {
    peerAuthentications: [off],
  });
  await eventually('it answers', async () => assert.equal(await secure(own), '200 declared'));
  await assert.rejects(call(own), 'plain text');
  await assert.rejects(secure(mutual), 'no certificate');
  assert.equal(await secure(mutual, await authority.issue(spiffe('web'))), '200 declared');
});
