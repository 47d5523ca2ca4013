// A limit of the fleet, shared by the hosts that Consul says are live, as they come and go.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startConsul } from '../support/consul.ts';
import { eventually } from '../support/eventually.ts';
import { type LocalHost, startCa, startHost } from '../support/local-mesh.ts';
import { freePort, freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { type Application, backendRecord, loopbackNet, startApplication } from './two-hosts.ts';

// Asking takes of it, so that it must be far more than can be asked for.
const REQUESTS = 1_200_000;

interface Instance {
  readonly host: LocalHost;
  readonly application: Application;
  /** What its Envoy says that it takes. */
  readonly share: () => Promise<number>;
}

test('a limit of the fleet is shared out anew when hosts come and go', async (t: TestContext) => {
  const dir = await tempDir(t);
  const resources = join(dir, 'resources');
  await mkdir(resources);
  const [consul, port] = await Promise.all([startConsul(t), freePort()]);
  const ca = await startCa(t, dir);
  const net = loopbackNet();
  const limit = { name: 'all', requests: REQUESTS, per: '24h', scope: 'fleet' };
  await writeFile(join(resources, 'backend.yaml'), JSON.stringify(backendRecord(port)));
  await writeFile(
    join(resources, 'limit.yaml'),
    JSON.stringify({
      apiVersion: 'trysail.dev/v1',
      kind: 'RateLimit',
      metadata: { name: 'backend', namespace: 'default' },
      spec: { host: 'backend', ports: [port], limits: [limit] },
    }),
  );
  const start = async (last: number): Promise<Instance> => {
    const application = await startApplication(t);
    const host = await startHost(t, {
      dir,
      resources,
      ca,
      consul: consul.address,
      name: `host-${last}`,
      address: `${net}.${last}`,
      services: [
        {
          name: 'backend',
          port,
          protocol: 'HTTP',
          application: `127.0.0.1:${application.port}`,
          check: { http: '/health', interval: '1s', timeout: '30s' },
        },
      ],
    });
    await host.ready();
    const share = async (): Promise<number> => {
      const { status, headers } = await fetch(`http://${net}.${last}:${port}/`);
      assert.equal(status, 200);
      return Number(headers.get('x-ratelimit-limit'));
    };
    return { host, application, share };
  };

  const first = await start(1);
  await eventually('one takes all', async () => assert.equal(await first.share(), REQUESTS));
  const second = await start(2);
  await eventually('each takes a half', async () => assert.equal(await first.share(), REQUESTS / 2));
  await eventually('each takes a half', async () => assert.equal(await second.share(), REQUESTS / 2));
  second.application.server.closeAllConnections();
  second.application.server.close();
  await eventually('the one that is left takes all', async () => assert.equal(await first.share(), REQUESTS));
});

test('a limit of the fleet at a gateway is shared by the gateways that Consul says are live', async (t: TestContext) => {
  const dir = await tempDir(t);
  const resources = join(dir, 'resources');
  await mkdir(resources);
  const consul = await startConsul(t);
  const ca = await startCa(t, dir);
  const net = loopbackNet();
  const networking = 'networking.istio.io/v1';
  const documents = [
    {
      apiVersion: networking,
      kind: 'Gateway',
      metadata: { name: 'public' },
      spec: {
        selector: { istio: 'edge' },
        servers: [{ port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['*'] }],
      },
    },
    {
      apiVersion: networking,
      kind: 'VirtualService',
      metadata: { name: 'public' },
      spec: { hosts: ['*'], gateways: ['public'], http: [{ directResponse: { status: 204 } }] },
    },
    {
      apiVersion: 'trysail.dev/v1',
      kind: 'RateLimit',
      metadata: { name: 'edge' },
      spec: { gateway: 'public', limits: [{ name: 'all', requests: REQUESTS, per: '24h', scope: 'fleet' }] },
    },
  ];
  await writeFile(join(resources, 'all.yaml'), documents.map((one) => JSON.stringify(one)).join('\n---\n'));
  const tokenFile = join(dir, 'gateway.token');
  await writeFile(tokenFile, await ca.token('default/edge'), { mode: 0o600 });
  const start = async (last: number): Promise<Pick<Instance, 'host' | 'share'>> => {
    const address = `${net}.${last}`;
    const [port = 0] = await freePorts(1, address);
    const name = `edge-${last}`;
    const host = await startHost(t, {
      dir,
      resources,
      consul: consul.address,
      name,
      address,
      overrides: {
        identity: { provider: 'trysail-ca', ca: { address: ca.address, joinTokenFile: tokenFile } },
        gateways: [{ name: 'edge', address, ports: { 80: port }, register: { port: 80, protocol: 'HTTP' } }],
      },
    });
    await host.ready();
    const share = async (): Promise<number> => {
      const { status, headers } = await fetch(`http://${address}:${port}/`);
      assert.equal(status, 204);
      return Number(headers.get('x-ratelimit-limit'));
    };
    return { host, share };
  };
  const first = await start(1);
  await eventually('one takes all', async () => assert.equal(await first.share(), REQUESTS));
  const second = await start(2);
  await eventually('each takes a half', async () => assert.equal(await first.share(), REQUESTS / 2));
  await eventually('each takes a half', async () => assert.equal(await second.share(), REQUESTS / 2));
  await second.host.child.stop('SIGTERM');
  await eventually('the one that is left takes all', async () => assert.equal(await first.share(), REQUESTS));
});
