// A host is taken out of traffic with its agent dead: out of Consul first, then drained.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { get } from 'node:http';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { eventually } from '../support/eventually.ts';
import { program, trysail } from '../support/local-mesh.ts';
import { startTwoHosts } from './two-hosts.ts';

test('trysail drain', async (t) => {
  const mesh = await startTwoHosts(t);
  const ids = async (): Promise<readonly string[]> =>
    Object.keys((await (await fetch(`${mesh.consul.address}/v1/agent/services`)).json()) as object);
  // Each on a connection of its own: what is open is not what a peer would find.
  const direct = async (): Promise<number | string | undefined> =>
    new Promise((resolve) => {
      const call = get(
        { host: mesh.backendAddress, port: mesh.servicePort, agent: false, timeout: 5000 },
        (response) => {
          response.resume();
          response.once('end', () => resolve(response.statusCode));
        },
      );
      call.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
    });

  await t.test('beside an agent that runs it is refused, and nothing happens', async () => {
    await assert.rejects(
      promisify(execFile)(program(), ['drain', '--config', mesh.backend.configFile], { timeout: 30_000 }),
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
      promisify(execFile)(program(), ['drain', '--config', mesh.backend.configFile], { timeout: 30_000 }),
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
