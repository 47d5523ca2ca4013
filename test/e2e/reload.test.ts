// agent.yaml and meshconfig.yaml are read again while the host serves: everything takes effect, and no request fails.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { identify } from '../../src/envoy/process-identity.ts';
import { eventually } from '../support/eventually.ts';
import { type LocalHost, trysail } from '../support/local-mesh.ts';
import { freePort, freePorts } from '../support/ports.ts';
import { backendRecord, startApplication, startTwoHosts } from './two-hosts.ts';

type Written = Record<string, unknown> & {
  services: Record<string, unknown>[];
  upstreams: Record<string, unknown>[];
  envoy: Record<string, unknown>;
};

interface Answer {
  readonly code: number;
  readonly out: string;
}

async function reload(host: LocalHost): Promise<Answer> {
  return trysail('reload', '--socket', join(host.runDir, 'api.sock')).then(
    (out) => ({ code: 0, out }),
    (error: { readonly code?: number; readonly stdout?: string; readonly stderr?: string }) => ({
      code: error.code ?? -1,
      out: `${error.stdout ?? ''}${error.stderr ?? ''}`,
    }),
  );
}

async function change(host: LocalHost, edit: (settings: Written) => void): Promise<Answer> {
  const settings = JSON.parse(await readFile(host.configFile, 'utf8')) as Written;
  edit(settings);
  await writeFile(host.configFile, JSON.stringify(settings));
  return reload(host);
}

const WELL: Answer = { code: 0, out: '' };

test('reload', async (t) => {
  const mesh = await startTwoHosts(t);
  const { backend, frontend } = mesh;
  const failures: string[] = [];
  let count = 0;
  const stop = new AbortController();
  const load = (async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const outcome = await fetch(mesh.url).then(
        async (response) => {
          await response.text();
          return String(response.status);
        },
        (error: unknown) => String(error),
      );
      count += 1;
      if (outcome !== '200') failures.push(`${new Date().toISOString()} ${outcome}`);
    }
  })();
  t.after(async () => {
    stop.abort();
    await load;
  });
  const unharmed = async (): Promise<void> => {
    const before = count;
    await eventually('load goes on', () => count > before + 20);
    assert.deepEqual(failures, []);
  };
  const registered = async (): Promise<Readonly<Record<string, { readonly Tags: readonly string[] }>>> =>
    (await (await fetch(`${mesh.consul.address}/v1/agent/services`)).json()) as never;

  await t.test('a file with a fault: nothing of it takes effect, and status tells', async () => {
    const good = await readFile(backend.configFile, 'utf8');
    await writeFile(backend.configFile, good.replace('"backend"', '"Backend"'));
    const { code, out } = await reload(backend);
    assert.equal(code, 3);
    assert.match(out, /agent\.yaml:1: error TRY0901 services\[0\]\.name: "Backend" is not a DNS label/);
    assert.ok(
      (await backend.status()).diagnostics.some(({ severity, code: c }) => severity === 'error' && c === 'TRY0901'),
    );
    await writeFile(backend.configFile, good);
    assert.deepEqual(await reload(backend), WELL);
    assert.ok(!(await backend.status()).diagnostics.some(({ code: c }) => c === 'TRY0901'));
    await unharmed();
  });

  await t.test('a mesh configuration with a fault: the same', async () => {
    const file = join(backend.dir, 'meshconfig.yaml');
    const good = await readFile(file, 'utf8');
    await writeFile(file, 'connectTimeout: soon\n');
    const { code, out } = await reload(backend);
    assert.equal(code, 3);
    assert.match(out, /meshconfig\.yaml:1: error IST0106 .*connectTimeout/);
    await writeFile(file, good);
    assert.deepEqual(await reload(backend), WELL);
    await unharmed();
  });

  await t.test('what needs a restart is said, and the rest takes effect', async () => {
    const { code, out } = await change(backend, (settings) => {
      settings['paths'] = { ...(settings['paths'] as object), state: join(backend.dir, 'elsewhere') };
      settings.services = settings.services.map((service) => ({ ...service, tags: ['blue'] }));
    });
    assert.equal(code, 0);
    assert.match(out, /warning TRY0907 paths: paths has changed, which takes effect with a restart of the agent/);
    await eventually(
      'the tag is in Consul',
      async () => (await registered())['backend-backend-host']?.Tags[0] === 'blue',
    );
    await change(backend, (settings) => {
      settings['paths'] = { ...(settings['paths'] as object), state: backend.stateDir };
    });
    await unharmed();
  });

  await t.test('a service comes and goes', async () => {
    const second = await startApplication(t);
    const [port = 0] = await freePorts(1, mesh.backendAddress);
    const { identity } = (await backend.status()).services[0] ?? {};
    assert.ok(identity !== undefined);
    assert.deepEqual(
      await change(backend, (settings) => {
        settings.services.push({
          name: 'second',
          serviceAccount: 'backend',
          port,
          protocol: 'HTTP',
          application: `127.0.0.1:${second.port}`,
        });
      }),
      WELL,
    );
    await eventually('it serves', async () => (await fetch(`http://${mesh.backendAddress}:${port}/`)).status === 200);
    await eventually('it is registered', async () => (await registered())['second-backend-host'] !== undefined);
    await unharmed();
    await change(backend, (settings) => {
      settings.services.pop();
      settings.envoy['lingerTime'] = '0s';
    });
    await eventually('it is gone', async () => (await registered())['second-backend-host'] === undefined);
    await eventually('its port is closed', async () =>
      fetch(`http://${mesh.backendAddress}:${port}/`).then(
        () => false,
        () => true,
      ),
    );
    await unharmed();
  });

  await t.test('an upstream comes and goes', async () => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}/`;
    const add = (settings: Written): void =>
      void settings.upstreams.push({ service: 'backend', listen: `127.0.0.1:${port}` });
    assert.deepEqual(await change(frontend, add), WELL);
    await eventually('it serves', async () => (await fetch(url)).status === 200);
    await change(frontend, (settings) => void settings.upstreams.pop());
    await eventually('it is closed', async () =>
      fetch(url, { headers: { connection: 'close' } }).then(
        () => false,
        () => true,
      ),
    );
    await unharmed();
  });

  await t.test('the port of a service moves: peers follow, the old one stays until they have', async () => {
    const [port = 0] = await freePorts(1, mesh.backendAddress);
    await mesh.resource('backend.yaml', backendRecord(mesh.servicePort));
    await change(backend, (settings) => {
      settings.services = settings.services.map((service) => ({ ...service, port }));
      settings.envoy['lingerTime'] = '5s';
    });
    await eventually('the old port is closed', async () =>
      fetch(`http://${mesh.backendAddress}:${mesh.servicePort}/`, { headers: { connection: 'close' } }).then(
        () => false,
        () => true,
      ),
    );
    await unharmed();
  });

  await t.test('the same with the agent dead while the file changes: the next one knows what was open', async () => {
    const [port = 0] = await freePorts(1, mesh.backendAddress);
    const settings = JSON.parse(await readFile(backend.configFile, 'utf8')) as Written;
    const before = settings.services[0]?.['port'];
    await backend.child.stop('SIGKILL');
    settings.services = settings.services.map((service) => ({ ...service, port }));
    await writeFile(backend.configFile, JSON.stringify(settings));
    backend.start();
    await backend.ready();
    await eventually('the new port serves', async () =>
      fetch(`http://${mesh.backendAddress}:${port}/`).then(
        ({ status }) => status === 200,
        () => false,
      ),
    );
    await eventually('the old port is closed', async () =>
      fetch(`http://${mesh.backendAddress}:${String(before)}/`, { headers: { connection: 'close' } }).then(
        () => false,
        () => true,
      ),
    );
    await unharmed();
  });

  await t.test('what Envoy is started with changes by hot restart, its health listener too', async () => {
    const before = (await backend.status()).envoy;
    const [port = 0] = await freePorts(1, mesh.backendAddress);
    assert.deepEqual(
      await change(backend, (settings) => {
        settings.envoy['healthListener'] = `${mesh.backendAddress}:${port}`;
        settings.envoy['concurrency'] = 2;
        // For requests whose answer comes when this process has its turn again.
        settings.envoy['drainTime'] = '5s';
      }),
      WELL,
    );
    await eventually('another Envoy serves', async () => {
      const { envoy, services } = await backend.status();
      assert.notEqual(envoy.pid, before.pid);
      assert.equal(envoy.restarts, before.restarts);
      assert.equal(services[0]?.proxy.state, 'passing');
      return envoy.ready;
    });
    assert.equal((await fetch(`http://${mesh.backendAddress}:${port}/healthz/ready`)).status, 200);
    await eventually('the old one has ended', () => identify(before.pid ?? 0) === undefined);
    await unharmed();
  });

  await t.test('the level of the log changes at once, by SIGHUP', async () => {
    const settings = JSON.parse(await readFile(frontend.configFile, 'utf8')) as Written;
    await writeFile(frontend.configFile, JSON.stringify({ ...settings, log: { level: 'error' } }));
    frontend.child.process.kill('SIGHUP');
    await eventually('nothing more is logged', async () => {
      const { length } = frontend.child.output();
      await reload(frontend);
      return frontend.child.output().length === length;
    });
    await unharmed();
  });
  stop.abort();
  await load;
});
