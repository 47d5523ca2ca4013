/** Several callers on one host and one Envoy: each is seen as itself, and nobody as another. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createServer as createTlsServer, connect as tlsConnect } from 'node:tls';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { ListenerSchema } from '../../src/gen/envoy/config/listener/v3/listener_pb.ts';
import type { Host } from '../../src/model/host.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import type { Endpoint, Protocol, Service } from '../../src/model/service.ts';
import type { SpiffeId } from '../../src/model/spiffe-id.ts';
import { diagnose } from '../../src/translate/diagnose.ts';
import { Translator } from '../../src/translate/translator.ts';
import { type Resource, type Resources, TYPE_URL, type TypeUrl } from '../../src/xds/resource.ts';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { startAgentlet } from './agentlet.ts';
import { httpApplication } from './applications.ts';
import { testAuthority } from './certificates.ts';
import { type RunningEnvoy, startEnvoy, startEnvoyOn } from './envoy.ts';
import { endpoint, host, mesh, service, spiffe, upstream, workload } from './mesh-literals.ts';

const authority = await testAuthority();
const ANNA = spiffe('anna');
const BERT = spiffe('bert', 'payments');

interface Two {
  readonly client: RunningEnvoy;
  readonly anna: Agent;
  readonly bert: Agent;
  readonly annaSocket: string;
  readonly bertSocket: string;
}

/** Four connections that are kept. */
function agentOf(t: TestContext): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  t.after(() => agent.destroy());
  return agent;
}

/** Status and, of what the application saw, the client certificate that the server's Envoy reports. */
function ask(agent: Agent, socketPath: string): Promise<{ readonly status: number; readonly caller: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, agent, path: '/', timeout: 10_000 }, (incoming) => {
      let body = '';
      incoming.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      incoming.once('end', () => {
        const status = incoming.statusCode ?? 0;
        const seen: unknown = status === 200 ? JSON.parse(body) : {};
        const headers = (seen as { headers?: Record<string, string> }).headers ?? {};
        resolve({ status, caller: headers['x-forwarded-client-cert'] ?? '' });
      });
    });
    outgoing.once('timeout', () => outgoing.destroy(new Error('no answer in 10 s')));
    outgoing.once('error', reject);
    outgoing.end();
  });
}

/** Two callers with a Unix socket each, before `endpoints` of the service `reviews`. */
async function startTwo(
  t: TestContext,
  reviews: Service,
  endpoints: readonly Endpoint[],
  secrets: readonly SpiffeId[] = [ANNA, BERT],
  rest: Partial<Host> = {},
): Promise<Two> {
  const dir = await tempDir(t);
  const [annaSocket, bertSocket] = [join(dir, 'anna.sock'), join(dir, 'bert.sock')];
  const self = host({
    nodeId: 'client',
    callerIdentity: undefined,
    upstreams: [
      upstream('reviews', 0, { listen: { path: annaSocket }, caller: ANNA }),
      upstream('reviews', 0, { listen: { path: bertSocket }, caller: BERT }),
    ],
    ...rest,
  });
  const client = await startEnvoy(t, mesh([[reviews, endpoints]]), self, await authority.secrets(...secrets));
  return { client, anna: agentOf(t), bert: agentOf(t), annaSocket, bertSocket };
}

/** The same without what tells clusters who calls. */
function withoutMarks(resources: Resources): Resources {
  const listeners = [...(resources.get(TYPE_URL.listener) ?? [])].map(([name, { value }]) => {
    const listener = fromBinary(ListenerSchema, value);
    for (const chain of listener.filterChains)
      chain.filters = chain.filters.filter((filter) => filter.name !== 'envoy.filters.network.set_filter_state');
    return [name, { name, value: toBinary(ListenerSchema, listener) }] as const;
  });
  return new Map<TypeUrl, ReadonlyMap<string, Resource>>([...resources, [TYPE_URL.listener, new Map(listeners)]]);
}

/** All that a Unix socket says. */
function read(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(path);
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => (text += chunk));
    socket.setTimeout(10_000, () => socket.destroy(new Error('no answer in 10 s')));
    socket.once('error', reject);
    socket.once('end', () => {
      socket.destroy();
      resolve(text);
    });
  });
}

async function startReviews(t: TestContext): Promise<number> {
  const [inboundPort = 0, applicationPort = 0] = await freePorts(2);
  await httpApplication(t, applicationPort);
  const instance = workload('reviews', 'HTTP', inboundPort, applicationPort);
  const self = host({ nodeId: 'server', workloads: [instance] });
  await startEnvoy(t, mesh([[service('reviews', 'HTTP'), []]]), self, await authority.secrets(spiffe('reviews')));
  return inboundPort;
}

test('1,000 requests of two callers over pooled HTTP/2: the server sees each as itself', async (t) => {
  const inboundPort = await startReviews(t);
  const two = await startTwo(t, service('reviews', 'HTTP'), [endpoint('127.0.0.1', inboundPort)]);
  const wrong: string[] = [];
  const workers = Array.from({ length: 8 }, async (_, worker) => {
    for (let i = 0; i < 125; i++) {
      const isAnna = (worker + i) % 2 === 0;
      const { status, caller } = isAnna ? await ask(two.anna, two.annaSocket) : await ask(two.bert, two.bertSocket);
      if (status !== 200 || !caller.endsWith(`URI=${isAnna ? ANNA : BERT}`)) wrong.push(`${status} ${caller}`);
    }
  });
  await Promise.all(workers);
  assert.deepEqual([...new Set(wrong)], []);
  const cluster = 'cluster.outbound|9080||reviews.default.mesh;';
  // Pooled: a connection for each caller, not one for each request.
  const connections = await two.client.stat(`${cluster}.upstream_cx_http2_total`);
  assert.ok(connections >= 2 && connections <= 8, `${connections} connections`);
  assert.equal(await two.client.stat(`${cluster}.upstream_cx_http1_total`), 0);
});

test('services that Envoy resolves by DNS: each caller as itself', async (t) => {
  const inboundPort = await startReviews(t);
  for (const resolution of ['STRICT_DNS', 'LOGICAL_DNS'] as const)
    await t.test(resolution, async (inner) => {
      const reviews = service('reviews', 'HTTP', { resolution });
      const two = await startTwo(inner, reviews, [endpoint('localhost', inboundPort)]);
      for (let i = 0; i < 5; i++) {
        assert.match((await ask(two.anna, two.annaSocket)).caller, new RegExp(`URI=${ANNA}$`));
        assert.match((await ask(two.bert, two.bertSocket)).caller, new RegExp(`URI=${BERT}$`));
      }
    });
});

test('a call that no listener has marked gets no connection, neither with a certificate nor in plain text', async (t) => {
  // It has the right certificate, takes anybody, and would answer.
  const pair = await authority.issue(spiffe('reviews'));
  const [serverPort = 0] = await freePorts(1);
  let requests = 0;
  const server = createHttpsServer({ key: pair.privateKeyPem, cert: pair.certificateChainPem }, (_, response) => {
    requests++;
    response.end('{}');
  });
  await new Promise<void>((resolve) => {
    server.listen(serverPort, '127.0.0.1', resolve);
  });
  t.after(() => server.close());
  const dir = await tempDir(t);
  for (const tls of ['required', 'migrating'] as const)
    await t.test(tls, async (inner) => {
      const socket = join(dir, `${tls}.sock`);
      const upstreams = [
        upstream('reviews', 0, { listen: { path: socket }, caller: ANNA }),
        upstream('reviews', 0, { listen: { path: join(dir, `${tls}-other.sock`) }, caller: BERT }),
      ];
      const reviews = service('reviews', 'HTTP', { tls });
      const resources = new Translator().translate(
        mesh([[reviews, [endpoint('127.0.0.1', serverPort)]]]),
        host({ upstreams }),
      );
      const secrets = await authority.secrets(ANNA, BERT);
      const envoy = await startEnvoyOn(inner, withoutMarks(resources), 'unmarked', secrets);
      assert.deepEqual(await ask(agentOf(inner), socket), { status: 503, caller: '' });
      const cluster = 'cluster.outbound|9080||reviews.default.mesh;';
      assert.ok((await envoy.stat(`${cluster}.ssl.fail_verify_cert_hash`)) > 0);
      assert.equal(requests, 0);
    });
});

test('a caller whose certificate has not come gets 503, the other one is served', async (t) => {
  const inboundPort = await startReviews(t);
  const dir = await tempDir(t);
  const [annaSocket, bertSocket] = [join(dir, 'anna.sock'), join(dir, 'bert.sock')];
  const upstreams = [
    upstream('reviews', 0, { listen: { path: annaSocket }, caller: ANNA }),
    upstream('reviews', 0, { listen: { path: bertSocket }, caller: BERT }),
  ];
  const client = await startAgentlet(t, host({ nodeId: 'client', callerIdentity: undefined, upstreams }));
  const reviews = mesh([[service('reviews', 'HTTP'), [endpoint('127.0.0.1', inboundPort)]]]);
  client.serve(reviews, await authority.secrets(ANNA));
  const [anna, bert] = [agentOf(t), agentOf(t)];
  await eventually('anna is served', async () => (await ask(anna, annaSocket)).caller.endsWith(ANNA));
  assert.deepEqual(await ask(bert, bertSocket), { status: 503, caller: '' });
  client.serve(reviews, await authority.secrets(ANNA, BERT));
  await eventually('bert is served', async () => (await ask(bert, bertSocket)).caller.endsWith(BERT));
  assert.deepEqual(client.rejected, []);
});

test('a Unix socket stays through changes of what is behind it', async (t) => {
  const inboundPort = await startReviews(t);
  const socket = join(await tempDir(t), 'anna.sock');
  const self = host({
    nodeId: 'client',
    upstreams: [upstream('reviews', 0, { listen: { path: socket }, caller: ANNA })],
  });
  const client = await startAgentlet(t, self);
  const secrets = await authority.secrets(ANNA);
  const of = (protocol: Protocol): Mesh => mesh([[service('reviews', protocol), [endpoint('127.0.0.1', inboundPort)]]]);
  client.serve(of('HTTP'), secrets);
  const agent = agentOf(t);
  await eventually('it is served', async () => (await ask(agent, socket)).status === 200);
  const modified = async (): Promise<string> => client.stats('listener_manager.listener_modified');
  for (const protocol of ['AUTO', 'HTTP', 'AUTO'] as const) {
    const before = await modified();
    client.serve(of(protocol), secrets);
    await eventually('the listener is another', async () => (await modified()) !== before);
    for (let i = 0; i < 20; i++) assert.equal((await ask(agent, socket)).status, 200);
    assert.equal((await ask(agentOf(t), socket)).status, 200);
  }
  assert.deepEqual(client.rejected, []);
});

test('a migrating service: each caller’s own certificate where the instance takes one, plain text at the others', async (t) => {
  const inboundPort = await startReviews(t);
  const [plainPort = 0] = await freePorts(1);
  await httpApplication(t, plainPort, 'plain');
  const two = await startTwo(t, service('reviews', 'HTTP', { tls: 'migrating' }), [
    endpoint('127.0.0.1', inboundPort),
    endpoint('127.0.0.1', plainPort, { offersMtls: false }),
  ]);
  for (const [agent, socket, identity] of [
    [two.anna, two.annaSocket, ANNA],
    [two.bert, two.bertSocket, BERT],
  ] as const) {
    const seen = new Set<string>();
    for (let i = 0; i < 40; i++) {
      const { status, caller } = await ask(agent, socket);
      assert.equal(status, 200);
      seen.add(caller.replace(/.*URI=/, ''));
    }
    assert.deepEqual(seen, new Set(['', identity]));
  }
});

test('TCP: each connection with its caller’s certificate', async (t) => {
  const [port = 0] = await freePorts(1);
  const pair = await authority.issue(spiffe('reviews'));
  const server = createTlsServer(
    { key: pair.privateKeyPem, cert: pair.certificateChainPem, ca: authority.rootPem, requestCert: true },
    (socket) => {
      socket.on('error', () => socket.destroy());
      socket.end(socket.getPeerCertificate().subjectaltname ?? 'nobody');
    },
  );
  await new Promise<void>((resolve) => {
    server.listen(port, '127.0.0.1', resolve);
  });
  t.after(() => server.close());
  const two = await startTwo(t, service('reviews', 'TCP'), [endpoint('127.0.0.1', port)]);
  for (let i = 0; i < 10; i++) {
    assert.equal(await read(two.annaSocket), `URI:${ANNA}`);
    assert.equal(await read(two.bertSocket), `URI:${BERT}`);
  }
});

test('each port answers with the certificate of its own workload', async (t) => {
  const [annaPort = 0, bertPort = 0, applicationPort = 0] = await freePorts(3);
  await httpApplication(t, applicationPort);
  const workloads = [
    workload('anna', 'HTTP', annaPort, applicationPort, { identity: ANNA }),
    workload('bert', 'HTTP', bertPort, applicationPort, { identity: BERT }),
  ];
  await startEnvoy(t, mesh([]), host({ workloads }), await authority.secrets(ANNA, BERT));
  const caller = await authority.issue(spiffe('caller'));
  for (const [port, identity] of [
    [annaPort, ANNA],
    [bertPort, BERT],
  ] as const) {
    const socket = tlsConnect({
      host: '127.0.0.1',
      port,
      key: caller.privateKeyPem,
      cert: caller.certificateChainPem,
      ca: authority.rootPem,
      ALPNProtocols: ['istio', 'http/1.1'],
      checkServerIdentity: () => undefined,
    });
    t.after(() => socket.destroy());
    await once(socket, 'secureConnect');
    assert.equal(socket.getPeerCertificate().subjectaltname, `URI:${identity}`);
  }
});

test('a TCP listener that names nobody does not exist on a host of two callers', async (t) => {
  const [port = 0] = await freePorts(1);
  const dir = await tempDir(t);
  const upstreams = [
    upstream('reviews', port),
    upstream('reviews', 0, { listen: { path: join(dir, 'bert.sock') }, caller: BERT }),
  ];
  const reviews = mesh([[service('reviews', 'HTTP'), []]]);
  const names = (self: Host): readonly string[] => [
    ...(new Translator().translate(reviews, self).get(TYPE_URL.listener)?.keys() ?? []),
  ];
  assert.deepEqual(names(host({ upstreams })), [join(dir, 'bert.sock')]);
  assert.deepEqual(
    diagnose(reviews, host({ upstreams })).map(({ code }) => code),
    ['TRY0406'],
  );
  // The same identity everywhere, and one that is named.
  assert.equal(names(host({ upstreams, callerIdentity: BERT })).length, 2);
  const named = [upstream('reviews', port, { caller: ANNA }), ...upstreams.slice(1)];
  assert.equal(names(host({ upstreams: named })).length, 2);
});
