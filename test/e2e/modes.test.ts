// A service moves from each mode to the next and back, with no failed request: from a peer in the mesh, and from a client
// that knows nothing but Consul.
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Mode } from '../../src/model/host.ts';
import { startConsul } from '../support/consul.ts';
import { eventually } from '../support/eventually.ts';
import { type LocalHost, startCa, startHost, trysail } from '../support/local-mesh.ts';
import { freePort, freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { backendRecord, loopbackNet, startApplication } from './two-hosts.ts';

/** The word for what a GET came to: `200`, another status, or why there was none. */
async function attempt(url: string, agent: Agent | undefined): Promise<string> {
  return new Promise((resolve) => {
    const call = get(url, { timeout: 30_000, ...(agent === undefined ? {} : { agent }) }, (response) => {
      response.resume();
      response.once('end', () => resolve(String(response.statusCode)));
      response.once('error', (error) => resolve(String(error)));
    });
    call.once('timeout', () => call.destroy(new Error('no answer in time')));
    call.once('error', (error) => resolve(String(error)));
  });
}

interface Load {
  readonly failures: string[];
  count: number;
  stop(): Promise<void>;
}

/** Requests one after the other until the test ends; `url` is asked for before each. */
function load(t: TestContext, url: () => Promise<string>, keepAlive: boolean): Load {
  const agent = keepAlive ? new Agent({ keepAlive: true, maxSockets: 1 }) : undefined;
  const stop = new AbortController();
  const state: Load = {
    failures: [],
    count: 0,
    stop: async () => {
      stop.abort();
      await done;
      agent?.destroy();
    },
  };
  const done = (async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const target = await url();
      const outcome = await attempt(target, agent);
      state.count += 1;
      if (outcome !== '200' && !stop.signal.aborted)
        state.failures.push(`${new Date().toISOString()} ${target}: ${outcome}`);
    }
  })();
  t.after(async () => state.stop());
  return state;
}

async function reload(host: LocalHost, change: (settings: Record<string, unknown>) => void): Promise<string> {
  const settings = JSON.parse(await readFile(host.configFile, 'utf8')) as Record<string, unknown>;
  change(settings);
  await writeFile(host.configFile, JSON.stringify(settings));
  return trysail('reload', '--socket', join(host.runDir, 'api.sock'));
}

interface Registered {
  readonly Service: {
    readonly Address: string;
    readonly Port: number;
    readonly Meta: Readonly<Record<string, string>>;
  };
}

test('a service moves between all modes, there and back, with no failed request', async (t) => {
  const dir = await tempDir(t);
  const resources = join(dir, 'resources');
  await mkdir(resources);
  const consul = await startConsul(t);
  const ca = await startCa(t, dir);
  const net = loopbackNet();
  const address = `${net}.2`;
  const [servicePort = 0] = await freePorts(1, address);
  const upstreamPort = await freePort();
  const application = await startApplication(t, address);
  // A service that is moved is migrating: its plain endpoints count as well.
  await writeFile(join(resources, 'backend.yaml'), JSON.stringify(backendRecord(servicePort, 'migrating')));
  const common = { dir, resources, ca, consul: consul.address };
  const service = {
    name: 'backend',
    port: servicePort,
    protocol: 'HTTP',
    application: `${address}:${application.port}`,
    check: { http: '/health', interval: '1s', timeout: '30s' },
  };
  const backend = await startHost(t, {
    ...common,
    name: 'backend-host',
    address,
    services: [{ ...service, mode: 'off' }],
  });
  const frontend = await startHost(t, {
    ...common,
    name: 'frontend-host',
    address: `${net}.1`,
    services: [{ name: 'frontend' }],
    upstreams: [{ service: 'backend', listen: `127.0.0.1:${upstreamPort}` }],
  });
  await Promise.all([backend.ready(), frontend.ready()]);
  const upstream = `http://127.0.0.1:${upstreamPort}/`;
  const registered = async (): Promise<readonly Registered[]> =>
    (await (await fetch(`${consul.address}/v1/health/service/backend?passing`)).json()) as readonly Registered[];
  await eventually('a first request passes', async () => (await fetch(upstream)).status === 200);

  const meshed = [load(t, async () => upstream, true), load(t, async () => upstream, false)];
  const outside = load(
    t,
    async () => {
      const [one] = await registered();
      return one === undefined ? 'http://nobody.invalid/' : `http://${one.Service.Address}:${one.Service.Port}/`;
    },
    false,
  );
  const loads = [...meshed, outside];

  const envoyPid = (await backend.status()).envoy.pid;
  const expected: Readonly<Record<Mode, readonly [port: number, tls: string | undefined]>> = {
    off: [application.port, undefined],
    observe: [servicePort, undefined],
    outbound: [application.port, undefined],
    full: [servicePort, 'mtls'],
  };
  const way: readonly Mode[] = [
    'observe',
    'outbound',
    'full',
    'outbound',
    'observe',
    'full',
    'observe',
    'off',
    'full',
    'off',
  ];
  let last: Mode = 'off';
  for (const mode of way) {
    await t.test(`${last} to ${mode}`, async () => {
      const before = loads.map(({ count }) => count);
      assert.equal(
        await reload(backend, (settings) => {
          settings['services'] = [{ ...service, mode }];
          settings['envoy'] = { ...(settings['envoy'] as object), lingerTime: '6s' };
        }),
        '',
      );
      const [port, tls] = expected[mode];
      await eventually('Consul has the new registration', async () => {
        const [one] = await registered();
        assert.deepEqual([one?.Service.Port, one?.Service.Meta['trysail-tls']], [port, tls]);
        return true;
      });
      // The old way is closed when it is nobody's any more.
      const closed = port === servicePort ? undefined : servicePort;
      if (closed !== undefined)
        await eventually('the old way is closed', async () =>
          (await attempt(`http://${address}:${closed}/`, undefined)).includes('ECONNREFUSED'),
        );
      await eventually('the mesh carries it as the mode says', async () => {
        // So many at once that Envoy opens connections: one that it has from the hand-over may stay as it is.
        const answers = await Promise.all(
          Array.from({ length: 20 }, async () => (await fetch(upstream)).json() as Promise<Record<string, string>>),
        );
        const mutual = answers.filter((headers) => 'x-forwarded-client-cert' in headers);
        assert.equal(mutual.length > 0, mode === 'full');
        return true;
      });
      await eventually('load went on', () => loads.every(({ count }, i) => count > (before[i] ?? 0) + 5));
      assert.deepEqual(
        loads.map(({ failures }) => failures),
        loads.map(() => []),
      );
    });
    last = mode;
  }
  assert.equal((await backend.status()).envoy.pid, envoyPid);
  await Promise.all(loads.map(async (one) => one.stop()));
});
