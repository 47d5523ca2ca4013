// A host is taken out of traffic with its agent dead: out of Consul first, then drained.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { startChild } from '../support/child.ts';
import { startConsul } from '../support/consul.ts';
import { eventually } from '../support/eventually.ts';
import { program, startHost, trysail } from '../support/local-mesh.ts';
import { freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary, ROOT } from '../support/tools.ts';
import { loopbackNet, startApplication, startTwoHosts } from './two-hosts.ts';

test('trysail drain', async (t) => {
  const mesh = await startTwoHosts(t);
  const ids = async (): Promise<readonly string[]> =>
    Object.keys((await (await fetch(`${mesh.consul.address}/v1/agent/services`)).json()) as object);
  // Each on a connection of its own: what is open is not what a peer would find.
  const direct = async (): Promise<number | string | undefined> =>
    new Promise((resolve) => {
      const call = get(
        { host: mesh.backendAddress, port: mesh.servicePort, agent: false, timeout: 30_000 },
        (response) => {
          response.resume();
          response.once('end', () => resolve(response.statusCode));
        },
      );
      call.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
    });

  await t.test('beside an agent that runs it is refused, and nothing happens', async () => {
    await assert.rejects(
      promisify(execFile)(program(), ['drain', '--config', mesh.backend.configFile], { timeout: 120_000 }),
      (error: Error & { readonly stderr?: string; readonly code?: number }) =>
        error.code === 1 && /would register its services again/.test(error.stderr ?? ''),
    );
    assert.deepEqual(await ids(), ['backend-backend-host']);
  });

  await t.test('with the agent dead it deregisters, drains, and leaves Envoy', async () => {
    const { envoy } = await mesh.backend.status();
    await mesh.backend.child.stop('SIGKILL');
    assert.equal(await direct(), 200);
    const out = await trysail('drain', '--config', mesh.backend.configFile);
    assert.equal(out, 'backend-backend-host is out of Consul\nEnvoy is drained\n');
    assert.deepEqual(await ids(), []);
    assert.equal(await direct(), 'ECONNREFUSED');
    process.kill(envoy.pid ?? 0, 0);
    process.kill(envoy.pid ?? 0, 'SIGKILL');
  });

  await t.test('with Consul and Envoy away it says so, within bounds', async () => {
    await mesh.consul.child.stop('SIGKILL');
    await assert.rejects(
      promisify(execFile)(program(), ['drain', '--config', mesh.backend.configFile], { timeout: 120_000 }),
      (error: Error & { readonly stdout?: string; readonly stderr?: string; readonly code?: number }) => {
        assert.equal(error.code, 1);
        assert.equal(error.stdout, 'Envoy does not answer: there is nothing to drain\n');
        assert.match(error.stderr ?? '', /Consul/);
        return true;
      },
    );
  });

  await t.test('the other host serves on', async () => {
    await eventually('its agent answers', async () => (await mesh.frontend.status()).envoy.ready);
  });
});

test('with Envoy in a unit of its own: the agent leaves all as it is, the drain takes the host out although agent.yaml is broken, Envoy ends last', async (t) => {
  const dir = await tempDir(t);
  const resources = join(dir, 'resources');
  const envoyRun = join(dir, 'envoy-run');
  await mkdir(resources);
  await mkdir(envoyRun);
  const consul = await startConsul(t);
  const address = `${loopbackNet()}.1`;
  const [port = 0, healthPort = 0] = await freePorts(2, address);
  const application = await startApplication(t);
  const launcher = startChild(t, '/bin/sh', [join(ROOT, 'src/envoy/launcher.sh'), envoyRun]);
  const host = await startHost(t, {
    name: 'host',
    address,
    dir,
    resources,
    consul: consul.address,
    services: [{ name: 'web', port, protocol: 'HTTP', application: `127.0.0.1:${application.port}` }],
    overrides: {
      envoy: {
        binary: envoyBinary(),
        concurrency: 1,
        healthListener: `${address}:${healthPort}`,
        drainTime: '2s',
        launcher: 'systemd',
        runDir: envoyRun,
      },
    },
  });
  await host.ready();
  const passing = async (): Promise<number> =>
    ((await (await fetch(`${consul.address}/v1/health/service/web?passing`)).json()) as readonly unknown[]).length;
  const served = async (): Promise<boolean> =>
    fetch(`http://${address}:${port}/`, { headers: { connection: 'close' } }).then(
      ({ status }) => status === 200,
      () => false,
    );
  await eventually('it serves and is registered', async () => (await served()) && (await passing()) === 1);

  await host.child.stop('SIGTERM');
  assert.equal(host.child.process.exitCode, 0, host.child.output());
  assert.equal(await served(), true);
  assert.equal(await passing(), 1);

  // Whatever has become of the file meanwhile.
  const written = await readFile(host.configFile, 'utf8');
  await writeFile(host.configFile, `${written.slice(0, -1)}, "colour": "green"`);
  const out = await trysail('drain', '--config', host.configFile);
  assert.equal(out, 'web-host is out of Consul\nEnvoy is drained\n');
  assert.equal(await passing(), 0);
  assert.equal(await served(), false);
  assert.equal(launcher.process.exitCode, null);
  await launcher.stop('SIGTERM');
});
