// Agent and Envoy live apart, as they do under systemd: the launcher runs beside the agent, and each comes and goes alone.
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { identify } from '../../src/envoy/process-identity.ts';
import { sleep } from '../../src/lib/sleep.ts';
import { type Child, startChild } from '../support/child.ts';
import { eventually, PATIENCE_MS } from '../support/eventually.ts';
import { startHost } from '../support/local-mesh.ts';
import { freePort, freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary, ROOT } from '../support/tools.ts';
import { statusOf, untilStatus } from './agent-state.ts';
import { loopbackNet, startApplication } from './two-hosts.ts';

const LAUNCHER = join(ROOT, 'src/envoy/launcher.sh');

/** Asks again and again; gives what has failed so far. */
function keepAsking(t: TestContext, url: string): { readonly failures: string[]; answers(): number } {
  const stopping = new AbortController();
  const failures: string[] = [];
  let answers = 0;
  const asking = (async () => {
    while (await sleep(5, stopping.signal)) {
      // A client that has slept for long learns first that its connection was closed meanwhile, and takes another.
      for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
      try {
        const { status } = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS) });
        if (status !== 200) throw new Error(`status ${status}`);
        answers += 1;
      } catch (error) {
        failures.push(String(error));
      }
    }
  })();
  t.after(async () => {
    stopping.abort();
    await asking;
  });
  return { failures, answers: () => answers };
}

test('the agent stops, is killed and returns; Envoy starts without it: no request fails', async (t) => {
  const dir = await tempDir(t);
  const resources = join(dir, 'resources');
  const envoyRun = join(dir, 'envoy-run');
  await mkdir(resources);
  await mkdir(envoyRun);
  const application = await startApplication(t);
  const entry = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: 'app' },
    spec: {
      hosts: ['app.example'],
      ports: [{ number: 80, name: 'http', protocol: 'HTTP', targetPort: application.port }],
      resolution: 'STATIC',
      endpoints: [{ address: '127.0.0.1' }],
    },
  };
  await writeFile(join(resources, 'app.yaml'), JSON.stringify(entry));
  const address = `${loopbackNet()}.1`;
  const port = await freePort();
  const [healthPort = 0] = await freePorts(1, address);
  const launch = (): Child =>
    startChild(t, '/bin/sh', [LAUNCHER, envoyRun], {
      env: {
        ...process.env,
        TRYSAIL_LAST_GOOD: join(dir, 'host', 'state', 'envoy', 'arguments'),
        TRYSAIL_LAST_GOOD_AFTER_S: '0.3',
      },
    });
  let launcher = launch();
  const host = await startHost(t, {
    name: 'host',
    address,
    dir,
    resources,
    upstreams: [{ service: 'app.example', listen: `127.0.0.1:${port}` }],
    overrides: {
      envoy: {
        binary: envoyBinary(),
        concurrency: 1,
        healthListener: `${address}:${healthPort}`,
        drainTime: '4s',
        launcher: 'systemd',
        runDir: envoyRun,
      },
    },
  });
  await host.ready();
  const url = `http://127.0.0.1:${port}/`;
  await eventually('a first request passes', async () => (await fetch(url)).status === 200);
  const { envoy } = await statusOf(host);
  assert.equal(envoy.epoch, 0);

  await t.test('stopped, and killed', async (t2) => {
    const load = keepAsking(t2, url);
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await host.child.stop(signal);
      await sleep(300);
      host.start();
      await host.ready();
      const { pid, epoch } = (await statusOf(host)).envoy;
      assert.deepEqual([pid, epoch], [envoy.pid, 0], signal);
    }
    await eventually('the load goes on', () => load.answers() > 20);
    assert.deepEqual(load.failures, []);
  });

  await t.test('Envoy starts while the agent is away', async (t2) => {
    await host.child.stop('SIGTERM');
    await launcher.stop('SIGTERM');
    await assert.rejects(fetch(url));
    launcher = launch();
    await eventually('the last good configuration is served', async () =>
      fetch(url).then(
        ({ status }) => status === 200,
        () => false,
      ),
    );
    const old = Number(await readFile(join(envoyRun, 'envoy.0.pid'), 'utf8'));
    const load = keepAsking(t2, url);
    host.start();
    await host.ready();
    await untilStatus(host, 'xDS is back', (status) => status.envoy.epoch === 1 && status.envoy.ready);
    await eventually('the one before has ended', () => identify(old) === undefined);
    const before = load.answers();
    await eventually('the load goes on', () => load.answers() > before + 20);
    assert.deepEqual(load.failures, []);
  });
});
