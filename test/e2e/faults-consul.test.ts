// Faults of Consul as a whole host meets them, and services of Consul that are not ours.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startAclConsul } from '../consul/acl.ts';
import { startConsul, type TestConsul } from '../support/consul.ts';
import { eventually } from '../support/eventually.ts';
import { startCa, startHost } from '../support/local-mesh.ts';
import { freePort, freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { diagnosed, get, untilStatus } from './agent-state.ts';
import { type Application, backendRecord, loopbackNet, startApplication } from './two-hosts.ts';

async function register(consul: TestConsul, definition: Readonly<Record<string, unknown>>): Promise<void> {
  const url = `${consul.address}/v1/agent/service/register`;
  const { status } = await fetch(url, { method: 'PUT', body: JSON.stringify({ Address: '127.0.0.1', ...definition }) });
  assert.equal(status, 200);
}

interface Mesh {
  readonly dir: string;
  readonly resources: string;
  readonly application: Application;
  readonly net: string;
}

async function prepare(t: TestContext): Promise<Mesh> {
  const dir = await tempDir(t);
  const resources = join(dir, 'resources');
  await mkdir(resources);
  return { dir, resources, application: await startApplication(t), net: loopbackNet() };
}

test('Consul comes late, forgets, and knows more than us', async (t) => {
  const { dir, resources, application, net } = await prepare(t);
  const ports = await freePorts(5);
  const address = `http://127.0.0.1:${ports[0]}`;
  const ca = await startCa(t, dir);
  const [backendPort = 0] = await freePorts(1, `${net}.2`);
  const [toBackend = 0, toLegacy = 0, toThere = 0] = await freePorts(3);
  const external = await startApplication(t);
  await writeFile(
    join(resources, 'there.yaml'),
    JSON.stringify({
      apiVersion: 'networking.istio.io/v1',
      kind: 'ServiceEntry',
      metadata: { name: 'there' },
      spec: {
        hosts: ['there.example'],
        ports: [{ number: 80, name: 'http', protocol: 'HTTP', targetPort: external.port }],
        resolution: 'STATIC',
        endpoints: [{ address: '127.0.0.1' }],
      },
    }),
  );
  const common = { dir, resources, ca, consul: address };
  const back = await startHost(t, {
    ...common,
    name: 'back',
    address: `${net}.2`,
    services: [{ name: 'backend', port: backendPort, protocol: 'HTTP', application: `127.0.0.1:${application.port}` }],
  });
  const front = await startHost(t, {
    ...common,
    name: 'front',
    address: `${net}.1`,
    services: [{ name: 'frontend' }],
    upstreams: [
      { service: 'backend', listen: `127.0.0.1:${toBackend}` },
      { service: 'legacy', listen: `127.0.0.1:${toLegacy}` },
      { service: 'there.example', listen: `127.0.0.1:${toThere}` },
    ],
  });
  const backend = `http://127.0.0.1:${toBackend}`;

  await t.test(
    'away at the first start: what needs no Consul is served, and the status says what is missing',
    async () => {
      await eventually(
        'the ServiceEntry is served',
        async () => (await get(`http://127.0.0.1:${toThere}`)).code === 200,
      );
      const status = await untilStatus(
        front,
        'it is running',
        (s) => s.agent.state === 'running' && s.consul?.errors[0] !== undefined && diagnosed(s, 'TRY0604') !== '',
      );
      assert.equal(status.consul?.connected, false);
      assert.equal(status.consul?.address, address);
      assert.equal(status.agent.lastGood, false);
      const [said = ''] = status.consul?.errors ?? [];
      assert.match(
        said,
        new RegExp(`^Consul at ${address} \\(GET /v1/health/service/\\w+\\) cannot be reached: .*ECONNREFUSED`),
      );
      assert.match(said, /Check that the Consul agent runs and listens there: consul\.address in agent\.yaml.*\.$/);
      assert.match(
        diagnosed(status, 'TRY0604'),
        /error TRY0604 .*cannot be reached.*backend.*Check that the Consul agent/,
      );
      const own = await untilStatus(back, 'it tried', (s) => s.services[0]?.registrationError !== undefined);
      assert.equal(own.services[0]?.registered, false);
      assert.match(own.services[0]?.registrationError ?? '', /cannot be reached.*Check that the Consul agent runs/);
    },
  );

  const first = await startConsul(t, {}, { ports, dir: await tempDir(t) });

  await t.test('it comes: the host registers, finds and calls', async () => {
    await untilStatus(back, 'registered', (s) => s.services[0]?.registered === true);
    await eventually('a request passes', async () => (await get(backend)).code === 200);
    const status = await untilStatus(
      front,
      'all is well',
      (s) => s.consul?.connected === true && s.consul.errors.length === 0,
    );
    assert.equal(diagnosed(status, 'TRY0604'), '');
  });

  const plain = await startApplication(t);

  await t.test('a service that others registered is reached in plain text, and the status says so', async () => {
    await register(first, { ID: 'legacy-1', Name: 'legacy', Port: plain.port });
    await eventually('it is reached', async () => (await get(`http://127.0.0.1:${toLegacy}`)).code === 200);
    assert.ok(plain.requests.length > 0);
    const status = await untilStatus(front, 'it is seen', (s) => s.upstreams[1]?.endpoints.total === 1);
    assert.equal(status.upstreams[1]?.tls, 'plain');
    assert.deepEqual(
      status.plainText.filter(({ what }) => what.startsWith('legacy')),
      [{ direction: 'outbound', what: 'legacy.default.mesh', why: 'nothing says that it is meshed' }],
    );
  });

  await t.test('a plain instance of a meshed service gets traffic only while its record says migrating', async () => {
    const beside = await startApplication(t);
    const requests = async (): Promise<void> => {
      for (let i = 0; i < 20; i += 1) assert.equal((await get(backend)).code, 200);
    };
    await register(first, {
      ID: 'backend-plain',
      Name: 'backend',
      Port: beside.port,
      Meta: { 'service-port': String(backendPort) },
    });
    const refused = await untilStatus(front, 'it is seen', (s) => diagnosed(s, 'TRY0303') !== '');
    assert.match(diagnosed(refused, 'TRY0303'), /service default\/backend: .*migrating/);
    await requests();
    assert.equal(beside.requests.length, 0);
    await writeFile(join(resources, 'backend.yaml'), JSON.stringify(backendRecord(backendPort, 'migrating')));
    const status = await untilStatus(front, 'it counts', (s) => s.upstreams[0]?.endpoints.healthy === 2);
    assert.equal(status.upstreams[0]?.tls, 'mixed');
    assert.deepEqual(
      status.plainText.filter(({ direction, what }) => direction === 'outbound' && what.startsWith('backend')),
      [
        {
          direction: 'outbound',
          what: 'backend.default.mesh: 1 of 2 endpoints',
          why: 'its Service record says migrating',
        },
      ],
    );
    application.requests.length = 0;
    await eventually('both are asked', async () => {
      await requests();
      return beside.requests.length > 0 && application.requests.length > 0;
    });
    // Only who is called by mutual TLS is told by whom.
    assert.match(String(application.requests[0]?.['x-forwarded-client-cert']), /sa\/frontend/);
    assert.equal(beside.requests[0]?.['x-forwarded-client-cert'], undefined);
  });

  await t.test('it restarts and has forgotten all: registered again, no request fails', async () => {
    const failures: unknown[] = [];
    const stop = new AbortController();
    const load = (async (): Promise<void> => {
      while (!stop.signal.aborted) {
        const { code } = await get(backend);
        if (code !== 200) failures.push(code);
      }
    })();
    try {
      const second = await first.restart({ forget: true });
      await eventually('the new Consul knows the service', async () => {
        const answer = await fetch(`${second.address}/v1/health/service/backend?passing`);
        return ((await answer.json()) as unknown[]).length === 1;
      });
      await untilStatus(front, 'connected again', (s) => s.consul?.connected === true && s.consul.errors.length === 0);
      await untilStatus(back, 'registered again', (s) => s.services[0]?.registered === true);
      await get(backend);
    } finally {
      stop.abort();
      await load;
    }
    assert.deepEqual(failures, []);
  });
});

test('ACL denied: the status names the rule that the token lacks, and a better token is taken up', async (t) => {
  const { dir, resources, application, net } = await prepare(t);
  const acl = await startAclConsul(t);
  const [port = 0] = await freePorts(1, `${net}.1`);
  const listen = await freePort();
  const tokenFile = join(dir, 'consul.token');
  const denied = await acl.token('key_prefix "" { policy = "read" }');
  await writeFile(tokenFile, denied, { mode: 0o600 });
  const host = await startHost(t, {
    dir,
    resources,
    name: 'denied',
    address: `${net}.1`,
    consul: acl.consul.address,
    services: [{ name: 'web', port, protocol: 'HTTP', application: `127.0.0.1:${application.port}` }],
    upstreams: [{ service: 'web', listen: `127.0.0.1:${listen}` }],
    overrides: { consul: { address: acl.consul.address, tokenFile } },
  });
  const status = await untilStatus(host, 'it was refused', (s) => s.services[0]?.registrationError !== undefined);
  const said = status.services[0]?.registrationError ?? '';
  assert.match(said, /403/);
  assert.match(
    said,
    /Give the token in consul\.tokenFile: service "web" \{ policy = "write" \} \(see docs\/consul\.md\)/,
  );
  assert.equal(status.services[0]?.registered, false);
  const blind = await untilStatus(host, 'it sees nothing', (s) => diagnosed(s, 'TRY0602') !== '');
  assert.match(
    diagnosed(blind, 'TRY0602'),
    /empty for web, .*sentinel service "consul".*Give the token service_prefix "" and node_prefix "" read/,
  );
  const enough = await acl.token(
    'service "web" { policy = "write" } service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }',
  );
  await writeFile(tokenFile, enough, { mode: 0o600 });
  const mended = await untilStatus(host, 'registered', (s) => s.services[0]?.registered === true);
  assert.equal(mended.services[0]?.registrationError, undefined);
  await eventually('a request passes', async () => (await get(`http://127.0.0.1:${listen}`)).code === 200);
  await untilStatus(host, 'it sees all', (s) => diagnosed(s, 'TRY0602') === '');
  assert.equal(host.child.output().includes(denied) || host.child.output().includes(enough), false);
});
