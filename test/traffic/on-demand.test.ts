// Services that nobody has declared, learnt when they are first called: with a real Consul and Envoy.
import assert from 'node:assert/strict';
import { Resolver } from 'node:dns/promises';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { connect, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { statusOf, untilStatus } from '../e2e/agent-state.ts';
import { startConsul, type TestConsul } from '../support/consul.ts';
import { eventually, PATIENCE_MS } from '../support/eventually.ts';
import { type LocalHost, startHost, trysail } from '../support/local-mesh.ts';
import { freePort, freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';

interface Reply {
  readonly code: number;
  readonly body: string;
}

interface Scene {
  readonly consul: TestConsul;
  readonly host: LocalHost;
  readonly resources: string;
  readonly servicePort: number;
  /** Addresses of a name. @throws ENOTFOUND and the like */
  resolve(name: string): Promise<readonly string[]>;
  /** Addresses of a name that is there; whom a busy machine has waiting for more than two seconds asks again. */
  learnt(name: string): Promise<readonly string[]>;
  /** A request through the proxy listener. */
  ask(url: string, body?: string): Promise<Reply>;
  /** The same, and again where Envoy was late for it. */
  askAgain(url: string, body?: string): Promise<Reply>;
  register(name: string): Promise<void>;
}

/** A request to `port` of `address` whose Host is that of `url`. */
async function send(address: string, port: number, url: string, body?: string): Promise<Reply> {
  const { host, pathname } = new URL(url);
  return new Promise((resolve, reject) => {
    const call = request(
      {
        host: address,
        port,
        path: pathname,
        method: body === undefined ? 'GET' : 'POST',
        headers: { host },
        agent: false,
      },
      (response) => {
        let text = '';
        response.on('data', (data: Buffer) => (text += data.toString()));
        response.on('end', () => resolve({ code: response.statusCode ?? 0, body: text }));
      },
    );
    call.once('error', reject);
    call.end(body);
  });
}

/** What Envoy's DNS answers for, as text. */
async function dnsTable({ runDir }: LocalHost): Promise<string> {
  return new Promise((resolve, reject) => {
    const path = '/config_dump?resource=dynamic_listeners&name_regex=^dns_.*';
    const call = request({ socketPath: join(runDir, 'admin.sock'), path }, (response) => {
      let text = '';
      response.on('data', (data: Buffer) => (text += data.toString()));
      response.on('end', () => resolve(text));
    });
    call.once('error', reject);
    call.end();
  });
}

async function echoServer(t: TestContext): Promise<number> {
  const server = createServer({ keepAliveTimeout: 0 }, (incoming, response) => {
    let body = '';
    incoming.on('data', (data: Buffer) => (body += data.toString()));
    incoming.on('end', () => response.end(JSON.stringify({ body, headers: incoming.headers })));
  });
  const port = await freePort();
  await new Promise<void>((resolve) => {
    server.listen(port, '127.0.0.1', resolve);
  });
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return port;
}

async function bytesServer(t: TestContext): Promise<number> {
  const server = createTcpServer((socket) => socket.end('bytes\n'));
  const port = await freePort();
  await new Promise<void>((resolve) => {
    server.listen(port, '127.0.0.1', resolve);
  });
  t.after(() => server.close());
  return port;
}

function record(name: string, port: number, protocol: string): object {
  return {
    apiVersion: 'trysail.dev/v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: { ports: [{ number: port, name: 'main', protocol }], tls: 'migrating' },
  };
}

async function start(t: TestContext, net: string, discovery: Readonly<Record<string, unknown>>): Promise<Scene> {
  const dir = await tempDir(t);
  const resources = join(dir, 'resources');
  await mkdir(resources);
  const consul = await startConsul(t);
  const [servicePort = 0, dnsPort = 0, proxyPort = 0] = await freePorts(3);
  const http = await echoServer(t);
  const bytes = await bytesServer(t);
  const names = ['reviews', 'ratings', 'aborted', 'other', 'late'];
  await writeFile(
    join(resources, 'all.yaml'),
    [
      ...names.map((name) => record(name, servicePort, 'HTTP')),
      record('bytes', servicePort, 'TCP'),
      {
        apiVersion: 'networking.istio.io/v1',
        kind: 'VirtualService',
        metadata: { name: 'aborted' },
        spec: {
          hosts: ['aborted'],
          http: [
            {
              fault: { abort: { httpStatus: 418, percentage: { value: 100 } } },
              route: [{ destination: { host: 'aborted' } }],
            },
          ],
        },
      },
    ]
      .map((document) => JSON.stringify(document))
      .join('\n---\n'),
  );
  const register = async (name: string): Promise<void> => {
    const body = { ID: name, Name: name, Address: '127.0.0.1', Port: name === 'bytes' ? bytes : http };
    const { status } = await fetch(`${consul.address}/v1/agent/service/register`, {
      method: 'PUT',
      body: JSON.stringify(body),
    });
    assert.equal(status, 200);
  };
  for (const name of [...names, 'bytes']) if (name !== 'late') await register(name);
  const host = await startHost(t, {
    dir,
    resources,
    consul: consul.address,
    name: 'caller-host',
    address: '127.0.0.1',
    services: [{ name: 'caller' }],
    overrides: {
      dns: { enabled: true, listen: `127.0.0.1:${dnsPort}`, addresses: [`${net}.0.0/16`] },
      discovery: { proxy: `127.0.0.1:${proxyPort}`, ...discovery },
    },
  });
  await host.ready();
  const resolver = new Resolver({ timeout: 20_000, tries: 1 });
  resolver.setServers([`127.0.0.1:${dnsPort}`]);
  const ask = async (url: string, body?: string): Promise<Reply> => send('127.0.0.1', proxyPort, url, body);
  return {
    consul,
    host,
    resources,
    servicePort,
    resolve: async (name) => resolver.resolve4(name),
    learnt: async (name) => eventually(`${name} resolves`, async () => resolver.resolve4(name)),
    ask,
    askAgain: async (url, body) => {
      for (const end = Date.now() + PATIENCE_MS; ; ) {
        const reply = await ask(url, body);
        if (reply.code !== 503 || Date.now() > end) return reply;
      }
    },
    register,
  };
}

test('services are learnt when they are first called', async (t) => {
  const scene = await start(t, '127.231', {});
  const { servicePort } = scene;

  await t.test('nothing is followed before', async () => {
    const status = await statusOf(scene.host);
    assert.equal(status.consul?.watches, 0);
    assert.deepEqual(status.learnt, []);
  });

  await t.test('by a look-up of the name; the first connection is served', async () => {
    const [address = ''] = await scene.learnt('reviews.default.mesh');
    assert.match(address, /^127\.231\./);
    await eventually('an answer', async () => {
      const reply = await send(address, servicePort, `http://reviews.default.mesh:${servicePort}/`);
      assert.equal(reply.code, 200);
    });
  });

  await t.test('by a request through the proxy, with a body', async () => {
    const reply = await scene.askAgain('http://ratings.default.mesh/', 'x'.repeat(200_000));
    assert.equal(reply.code, 200);
    const { body, headers } = JSON.parse(reply.body) as { body: string; headers: Record<string, string> };
    assert.equal(body.length, 200_000);
    assert.equal(headers['x-trysail-learnt'], undefined);
  });

  await t.test('the very first request meets the rules of its service', async () => {
    assert.equal((await scene.askAgain(`http://aborted.default.mesh:${servicePort}/`, 'body')).code, 418);
  });

  await t.test('TCP', async () => {
    const [address = ''] = await scene.learnt('bytes.mesh');
    const bytes = async (): Promise<string> =>
      new Promise((resolve, reject) => {
        let all = '';
        const socket = connect(servicePort, address);
        socket.on('data', (data: Buffer) => (all += data.toString()));
        socket.on('end', () => resolve(all));
        socket.on('error', reject);
      });
    await eventually('an answer', async () => assert.equal(await bytes(), 'bytes\n'));
  });

  await t.test('a name that nobody has', async () => {
    await assert.rejects(scene.resolve('nobody.default.mesh'), { code: 'ENOTFOUND' });
    await assert.rejects(scene.resolve('www.example.com'), { code: 'ENOTFOUND' });
    assert.equal((await scene.askAgain('http://nobody.default.mesh/')).code, 502);
    assert.equal((await scene.askAgain('http://www.example.com/')).code, 502);
  });

  await t.test('many at a time', async () => {
    const replies = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => scene.askAgain('http://other.default.mesh/', `${i}`)),
    );
    assert.deepEqual(
      replies.map(({ code }) => code),
      replies.map(() => 200),
    );
  });

  await t.test('only what was called is followed, and status says so', async () => {
    const status = await statusOf(scene.host);
    assert.deepEqual(
      status.learnt?.map(({ service }) => service),
      ['aborted', 'bytes', 'other', 'ratings', 'reviews'].map((name) => `${name}.default.mesh`),
    );
    assert.equal(status.consul?.watches, 5);
  });

  await t.test('with Consul away a new name fails, a learnt one does not', async () => {
    await scene.consul.child.stop('SIGKILL');
    assert.equal((await scene.ask('http://late.default.mesh/')).code, 503);
    assert.equal((await scene.askAgain('http://reviews.default.mesh/')).code, 200);
    await scene.consul.restart();
    await scene.register('late');
    await eventually('the new name is learnt', async () => (await scene.ask('http://late.default.mesh/')).code === 200);
  });

  await t.test('a restarted agent knows what was learnt', async () => {
    await eventually('Envoy itself answers for the name', async () =>
      (await dnsTable(scene.host)).includes('reviews.mesh'),
    );
    await scene.host.child.stop('SIGKILL');
    assert.equal((await scene.askAgain('http://reviews.default.mesh/')).code, 200);
    const [address] = await scene.learnt('reviews.default.mesh');
    scene.host.start();
    await scene.host.ready();
    await untilStatus(scene.host, 'learnt services', ({ learnt = [] }) =>
      learnt.some(({ service }) => service === 'reviews.default.mesh'),
    );
    assert.equal((await scene.learnt('reviews.default.mesh'))[0], address);
    assert.equal((await scene.askAgain('http://reviews.default.mesh/')).code, 200);
  });
});

test('a service that nobody calls any more is dropped, and learnt again', async (t) => {
  const scene = await start(t, '127.232', { keepFor: '2s', max: 2 });
  assert.equal((await scene.askAgain('http://reviews.default.mesh/')).code, 200);
  await eventually('learnt', async () => {
    // Used, for it is dropped soon.
    await scene.ask('http://reviews.default.mesh/');
    const { learnt = [] } = await statusOf(scene.host);
    assert.equal(learnt.length, 1);
  });
  await untilStatus(scene.host, 'dropped', ({ learnt = [], consul }) => learnt.length === 0 && consul?.watches === 0);
  assert.equal((await scene.askAgain('http://reviews.default.mesh/')).code, 200);
  for (const name of ['ratings', 'other'])
    assert.equal((await scene.askAgain(`http://${name}.default.mesh/`)).code, 200);
  const { learnt = [] } = await statusOf(scene.host);
  assert.ok(learnt.length <= 2, JSON.stringify(learnt));
  await eventually('it is kept on the disk', async () => {
    await scene.ask('http://other.default.mesh/');
    assert.match(await readFile(join(scene.host.stateDir, 'learnt.json'), 'utf8'), /other\.default\.mesh/);
  });
});

test('what a Sidecar leaves out is not learnt, and what it names is there without a look-up', async (t) => {
  const scene = await start(t, '127.233', {});
  await writeFile(
    join(scene.resources, 'sidecar.yaml'),
    JSON.stringify({
      apiVersion: 'networking.istio.io/v1',
      kind: 'Sidecar',
      metadata: { name: 'default' },
      spec: { egress: [{ hosts: ['./reviews', './ratings'] }] },
    }),
  );
  await untilStatus(scene.host, 'the imported services are followed', ({ consul }) => consul?.watches === 2);
  assert.equal((await scene.askAgain('http://other.default.mesh/')).code, 502);
  await assert.rejects(scene.resolve('other.default.mesh'), { code: 'ENOTFOUND' });
  assert.equal((await scene.askAgain('http://reviews.default.mesh/')).code, 200);
  assert.deepEqual((await statusOf(scene.host)).learnt, []);
});

const STAMP = {
  apiVersion: 'networking.istio.io/v1alpha3',
  kind: 'EnvoyFilter',
  metadata: { name: 'stamp', namespace: 'istio-system' },
  spec: {
    configPatches: [
      {
        applyTo: 'VIRTUAL_HOST',
        match: { context: 'SIDECAR_OUTBOUND' },
        patch: {
          operation: 'MERGE',
          value: { request_headers_to_add: [{ header: { key: 'x-patched', value: 'yes' } }] },
        },
      },
    ],
  },
};

const NARROW = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'Sidecar',
  metadata: { name: 'default' },
  spec: { outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' }, egress: [{ hosts: ['./*'] }] },
};

const BUSY = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'DestinationRule',
  metadata: { name: 'other' },
  spec: { host: 'other', subsets: [{ name: 'none', labels: { version: 'v9' } }] },
};
const TO_NONE = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'other' },
  spec: { hosts: ['other'], http: [{ route: [{ destination: { host: 'other', subset: 'none' } }] }] },
};

test('a learnt service meets patches, subsets and the mesh configuration as it is now', async (t) => {
  const scene = await start(t, '127.234', {});
  const ask = async (name: string): Promise<Reply> => scene.askAgain(`http://${name}.default.mesh/`);
  assert.equal((await ask('reviews')).code, 200);
  await writeFile(
    join(scene.resources, 'more.yaml'),
    [STAMP, NARROW, BUSY, TO_NONE].map((one) => JSON.stringify(one)).join('\n---\n'),
  );
  await untilStatus(scene.host, 'the filter is told', ({ diagnostics }) =>
    diagnostics.some(({ code }) => code === 'TRY0410'),
  );
  assert.doesNotMatch((await ask('reviews')).body, /x-patched/);

  const envoy = (await statusOf(scene.host)).envoy.pid;
  const meshFile = join(scene.host.dir, 'meshconfig.yaml');
  await writeFile(
    meshFile,
    JSON.stringify({
      envoyFilters: { namespaces: ['istio-system'] },
      outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' },
    }),
  );
  await trysail('reload', '--socket', join(scene.host.runDir, 'api.sock'));
  await eventually('what was learnt before is patched', async () =>
    assert.match((await ask('reviews')).body, /"x-patched":"yes"/),
  );
  assert.match((await ask('ratings')).body, /"x-patched":"yes"/, 'the very first request');
  assert.equal(
    (await scene.ask('http://other.default.mesh/')).code,
    503,
    'a subset without endpoints, at the very first request',
  );
  assert.equal((await ask('aborted')).code, 418);
  assert.equal((await scene.askAgain('http://nobody.example.com/')).code, 502);

  await writeFile(meshFile, '{}');
  await trysail('reload', '--socket', join(scene.host.runDir, 'api.sock'));
  await eventually('and no more', async () => assert.doesNotMatch((await ask('ratings')).body, /x-patched/));
  assert.equal((await statusOf(scene.host)).envoy.pid, envoy, 'the same Envoy');
});
