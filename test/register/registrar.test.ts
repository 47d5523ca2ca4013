// Registration with a real Consul: what it gets, what becomes of it, and what happens when Consul forgets.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { createConsulClient } from '../../src/consul/client.ts';
import { silentLog } from '../../src/lib/log.ts';
import type { LocalInstance } from '../../src/register/instance.ts';
import { Registrar } from '../../src/register/registrar.ts';
import { startConsul } from '../support/consul.ts';
import { eventually, PATIENCE_MS } from '../support/eventually.ts';
import { freePorts } from '../support/ports.ts';

function instance(change: Partial<LocalInstance> = {}): LocalInstance {
  return {
    name: 'reviews',
    namespace: 'default',
    address: '127.0.0.1',
    port: 9080,
    tags: ['canary'],
    version: 'v1',
    labels: { 'app.kubernetes.io/part-of': 'bookshop' },
    weights: { passing: 5, warning: 2 },
    protocol: 'HTTP',
    locality: 'eu-1/a/rack-7',
    offersMtls: true,
    check: undefined,
    proxyHealth: undefined,
    deregisterAfterMs: 72 * 3_600_000,
    ...change,
  };
}

async function startRegistrar(
  t: TestContext,
  address: string,
  instances: readonly LocalInstance[],
  hostName = 'vm-1',
): Promise<Registrar> {
  const client = createConsulClient({ address });
  const registrar = new Registrar({ client, log: silentLog(), hostName, instances });
  t.after(() => {
    registrar.stop();
    client.close();
  });
  registrar.start();
  await eventually('registered', () => registrar.status().services.every((s) => s.registered));
  return registrar;
}

interface Application {
  readonly url: string;
  readonly address: string;
  status: number;
  requests: number;
}

/** An application that answers with `code.value` and a body that is never the same twice. */
async function application(t: TestContext): Promise<Application> {
  const server = createServer((_, response) => {
    app.requests += 1;
    response.writeHead(app.status).end('r'.repeat(app.requests));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const app = { url: `http://127.0.0.1:${port}/health`, address: `127.0.0.1:${port}`, status: 200, requests: 0 };
  return app;
}

test('the registration carries everything, and both healths are seen', async (t) => {
  const consul = await startConsul(t);
  const app = await application(t);
  const registrar = await startRegistrar(t, consul.address, [
    instance({
      check: { kind: 'http', url: app.url, intervalMs: 100, timeoutMs: 30_000 },
      proxyHealth: { kind: 'tcp', address: app.address },
    }),
  ]);
  const client = createConsulClient({ address: consul.address });
  t.after(() => client.close());
  const [entry] = (await client.health('reviews')).value;
  assert.equal(entry?.serviceId, 'reviews-vm-1');
  assert.equal(entry.serviceAddress, '127.0.0.1');
  assert.equal(entry.port, 9080);
  assert.deepEqual(entry.tags, ['canary']);
  assert.deepEqual(entry.weights, { passing: 5, warning: 2 });
  assert.deepEqual(
    { ...entry.meta },
    {
      'trysail-host': 'vm-1',
      'trysail-tls': 'mtls',
      'trysail-protocol': 'HTTP',
      'trysail-locality': 'eu-1/a/rack-7',
      version: 'v1',
      'label_app_2e_kubernetes_2e_io_2f_part-of': 'bookshop',
    },
  );
  await eventually('both healths pass', () => {
    const [service] = registrar.status().services;
    return service?.application === 'passing' && service.proxy === 'passing';
  });
  // Consul checks at most once a second. The body differs with every request; what Consul keeps of it must not.
  const outputs = new Set<string>();
  const from = app.requests;
  await eventually('four more requests', async () => {
    outputs.add((await client.agent.checks()).get('reviews-vm-1:application')?.output ?? '');
    return app.requests > from + 4;
  });
  assert.equal(outputs.size, 1);
  assert.match([...outputs].join(), /200 OK Output: r$/);

  app.status = 503;
  await eventually('critical application, passing proxy', () => {
    const [service] = registrar.status().services;
    return service?.application === 'critical' && service.proxy === 'passing';
  });
});

test('what only the servers of Consul have lost is written again, before Consul itself finds out', async (t) => {
  const consul = await startConsul(t);
  const client = createConsulClient({ address: consul.address });
  const registrar = new Registrar({
    client,
    log: silentLog(),
    hostName: 'vm-1',
    instances: [instance()],
    catalogueEveryMs: 300,
  });
  t.after(() => {
    registrar.stop();
    client.close();
  });
  registrar.start();
  const ask = async (path: string, body: unknown): Promise<void> => {
    const { status } = await fetch(`${consul.address}${path}`, { method: 'PUT', body: JSON.stringify(body) });
    assert.equal(status, 200);
  };
  // Nobody but Consul itself looks after this one.
  await ask('/v1/agent/service/register', { ID: 'other', Name: 'other', Port: 1 });
  const has = async (...services: readonly string[]): Promise<readonly boolean[]> =>
    Promise.all(services.map(async (name) => client.catalogHas(name, name === 'other' ? name : `${name}-vm-1`)));
  await eventually('registered', async () => (await has('reviews', 'other')).every(Boolean));
  assert.equal(await client.catalogHas('reviews', 'reviews-vm-2'), false);
  await eventually(
    'written again, and not by Consul',
    async () => {
      // As servers do that take the node for one that has left. Consul's agent looks when it starts, and once a minute.
      for (const id of ['reviews-vm-1', 'other'])
        await ask('/v1/catalog/deregister', { Node: 'server', ServiceID: id });
      await eventually('there', async () => (await has('reviews'))[0] === true);
      return (await has('other'))[0] === false;
    },
    4 * PATIENCE_MS,
  );
});

test('a Consul that restarts and forgets gets the service again', async (t) => {
  const consul = await startConsul(t);
  const registrar = await startRegistrar(t, consul.address, [instance()]);
  const again = await consul.restart({ forget: true });
  const client = createConsulClient({ address: again.address });
  t.after(() => client.close());
  await eventually('registered again', async () => (await client.health('reviews')).value.length === 1);
  await eventually('status is good', () => registrar.status().services[0]?.error === undefined);
});

test('a registration that somebody changes or removes comes back', async (t) => {
  const consul = await startConsul(t);
  await startRegistrar(t, consul.address, [
    instance(),
    instance({ name: 'ratings', port: 9081, check: { kind: 'ttl', ttlMs: 60_000 } }),
  ]);
  const client = createConsulClient({ address: consul.address });
  t.after(() => client.close());
  await client.agent.deregister('ratings-vm-1');
  await eventually('removed one is back', async () => (await client.agent.services()).has('ratings-vm-1'));
  const response = await fetch(`${consul.address}/v1/agent/check/deregister/ratings-vm-1:application`, {
    method: 'PUT',
  });
  assert.equal(response.status, 200);
  await eventually('removed check is back', async () => (await client.agent.checks()).size === 1);
  await client.agent.register({
    ID: 'reviews-vm-1',
    Name: 'reviews',
    Address: '127.0.0.1',
    Port: 1,
    Tags: [],
    Meta: {},
    Weights: { Passing: 1, Warning: 1 },
    EnableTagOverride: false,
    Checks: [],
  });
  await eventually(
    'changed one is mended',
    async () => (await client.agent.services()).get('reviews-vm-1')?.port === 9080,
  );
});

test('changes are registered, what is gone is removed, other hosts are left alone', async (t) => {
  const consul = await startConsul(t);
  const first = await startRegistrar(t, consul.address, [instance(), instance({ name: 'ratings', port: 9081 })]);
  await startRegistrar(t, consul.address, [instance({ port: 9090 })], 'vm-2');
  const client = createConsulClient({ address: consul.address });
  t.after(() => client.close());
  first.setInstances([instance({ version: 'v2' }), instance({ namespace: 'payments', name: 'web', port: 9443 })]);
  await eventually('the new ones and only they', async () => {
    const services = await client.agent.services();
    assert.deepEqual([...services.keys()].toSorted(), ['payments--web-vm-1', 'reviews-vm-1', 'reviews-vm-2']);
    assert.equal(services.get('reviews-vm-1')?.meta['version'], 'v2');
  });
  // A new agent on the same host with fewer services cleans up after the one before it.
  first.stop();
  await startRegistrar(t, consul.address, [instance({ version: 'v2' })]);
  await eventually('the former service is removed', async () => {
    assert.deepEqual([...(await client.agent.services()).keys()].toSorted(), ['reviews-vm-1', 'reviews-vm-2']);
  });
});

test('stop leaves the registration, the next agent does not disturb its health, deregister removes it', async (t) => {
  const consul = await startConsul(t);
  const app = await application(t);
  const check = { kind: 'http', url: app.url, intervalMs: 100, timeoutMs: 30_000 } as const;
  const first = await startRegistrar(t, consul.address, [instance({ check })]);
  const client = createConsulClient({ address: consul.address });
  t.after(() => client.close());
  await eventually(
    'passing',
    async () => (await client.health('reviews')).value[0]?.checks.every((c) => c.status === 'passing') === true,
  );
  first.stop();
  const { index } = await client.health('reviews');
  const second = await startRegistrar(t, consul.address, [instance({ check })]);
  await eventually('second agent sees it', () => second.status().services[0]?.application === 'passing');
  const after = await client.health('reviews');
  assert.equal(after.value.length, 1);
  assert.equal(after.index, index, 'nothing changed in the catalogue when the agent restarted');
  assert.equal(await second.deregister(), true);
  await eventually('gone', async () => (await client.health('reviews')).value.length === 0);
});

test('deregister is bounded while Consul hangs', async (t) => {
  const consul = await startConsul(t);
  const registrar = await startRegistrar(t, consul.address, [instance()]);
  consul.child.process.kill('SIGSTOP');
  t.after(() => consul.child.process.kill('SIGCONT'));
  assert.equal(await registrar.deregister(300), false);
});

test('command checks: exit codes become healths, and a hanging command is killed', async (t) => {
  const consul = await startConsul(t);
  const command = (...words: [string, ...string[]]): Partial<LocalInstance> => ({
    check: { kind: 'command', command: words, intervalMs: 200, timeoutMs: 3000 },
  });
  const registrar = await startRegistrar(t, consul.address, [
    instance({ name: 'good', ...command('true') }),
    instance({ name: 'uneasy', ...command('sh', '-c', 'echo $RANDOM; exit 1') }),
    instance({ name: 'bad', ...command('sh', '-c', 'exit 2') }),
    instance({ name: 'hanging', ...command('sh', '-c', 'sleep 1000 & wait') }),
    instance({ name: 'missing', ...command('/nonexistent/check') }),
  ]);
  await eventually('healths', () => {
    assert.deepEqual(
      registrar.status().services.map((s) => [s.consulName, s.application]),
      [
        ['good', 'passing'],
        ['uneasy', 'warning'],
        ['bad', 'critical'],
        ['hanging', 'critical'],
        ['missing', 'critical'],
      ],
    );
  });
  const client = createConsulClient({ address: consul.address });
  t.after(() => client.close());
  await eventually('reasons', async () => {
    const outputs = [...(await client.agent.checks()).values()].map((c) => c.output).toSorted();
    assert.deepEqual(outputs, [
      'exit code 0',
      'exit code 1',
      'exit code above 1',
      'the command cannot be started',
      'the command took too long',
    ]);
    return true;
  });
});

test('a ttl check is what the application reports, and expires', async (t) => {
  const consul = await startConsul(t);
  const registrar = await startRegistrar(t, consul.address, [instance({ check: { kind: 'ttl', ttlMs: 1000 } })]);
  const application = () => registrar.status().services[0]?.application;
  assert.equal(await registrar.reportTtl('unknown', 'passing'), false);
  const client = createConsulClient({ address: consul.address });
  t.after(() => client.close());
  await eventually('passing', async () => {
    // Again each time: it may have expired before anybody looked.
    assert.equal(await registrar.reportTtl('reviews-vm-1', 'passing'), true);
    assert.equal((await client.agent.checks()).get('reviews-vm-1:application')?.status, 'passing');
  });
  await eventually(
    'expired',
    async () => (await client.agent.checks()).get('reviews-vm-1:application')?.status === 'critical',
  );
  await eventually('the status has it too', () => application() === 'critical');
});

test('a Consul that is away is waited for', async (t) => {
  const consul = await startConsul(t);
  await consul.child.stop('SIGKILL');
  const client = createConsulClient({ address: consul.address });
  const registrar = new Registrar({ client, log: silentLog(), hostName: 'vm-1', instances: [instance()] });
  t.after(() => {
    registrar.stop();
    client.close();
  });
  registrar.start();
  await eventually('the error is told', () => registrar.status().services[0]?.error?.code === 'CONSUL_UNREACHABLE');
  assert.equal(registrar.status().connected, false);
  await consul.restart();
  await eventually('registered', () => registrar.status().services[0]?.registered === true);
  assert.equal(registrar.status().services[0]?.error, undefined);
});

test('gRPC and TCP checks are made by Consul', async (t) => {
  const consul = await startConsul(t);
  let serving = 1;
  const bytes = (value: Buffer): Buffer => value;
  const server = new Server();
  server.addService(
    {
      Check: {
        path: '/grpc.health.v1.Health/Check',
        requestStream: false,
        responseStream: false,
        requestSerialize: bytes,
        requestDeserialize: bytes,
        responseSerialize: bytes,
        responseDeserialize: bytes,
      },
    },
    {
      // HealthCheckResponse { status = serving }
      Check: (_: unknown, done: (error: null, answer: Buffer) => void) => done(null, Buffer.from([8, serving])),
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  t.after(() => server.forceShutdown());
  const times = { intervalMs: 1000, timeoutMs: 1000, address: `127.0.0.1:${port}` };
  const [closed = 0] = await freePorts(1);
  const registrar = await startRegistrar(t, consul.address, [
    instance({ name: 'grpc', check: { kind: 'grpc', service: '', ...times } }),
    instance({ name: 'tcp', check: { kind: 'tcp', ...times } }),
    instance({ name: 'closed', check: { kind: 'tcp', ...times, address: `127.0.0.1:${closed}` } }),
  ]);
  const healths = (): string =>
    registrar
      .status()
      .services.map((s) => s.application)
      .join();
  await eventually('healths', () => healths() === 'passing,passing,critical');
  serving = 2;
  await eventually('not serving', () => healths() === 'critical,passing,critical');
});

test('confirmed and current tell when Consul has what is wanted, the healths of it included', async (t) => {
  const consul = await startConsul(t);
  const registrar = await startRegistrar(t, consul.address, [instance({ name: 'stays' }), instance({ name: 'goes' })]);
  const settled = (): boolean => {
    const { current, services } = registrar.status();
    return current && services.every(({ confirmed }) => confirmed);
  };
  await eventually('both are there', settled);
  registrar.setInstances([instance({ name: 'stays', port: 4711 })]);
  assert.equal(registrar.status().current, false);
  assert.deepEqual(
    registrar.status().services.map(({ confirmed }) => confirmed),
    [false],
  );
  await eventually('one is changed, one is gone', settled);
  const client = createConsulClient({ address: consul.address });
  t.after(() => client.close());
  assert.deepEqual(
    [...(await client.agent.services()).values()].map(({ name, port }) => [name, port]),
    [['stays', 4711]],
  );
});
