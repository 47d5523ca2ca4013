// An agent that cannot start takes nothing with it.
import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startTwoHosts } from './two-hosts.ts';

test('an agent that cannot start leaves the Envoy of the one before serving, and the next adopts it', async (t) => {
  const { frontend, url } = await startTwoHosts(t);
  const pid = (await frontend.status()).envoy.pid ?? 0;
  await frontend.child.stop('SIGKILL');
  const socket = join(frontend.runDir, 'xds.sock');
  await rm(socket, { force: true });
  await writeFile(socket, 'in the way');

  frontend.start();
  await eventually('the agent ends', () => frontend.child.process.exitCode !== null);
  assert.notEqual(frontend.child.process.exitCode, 0);
  assert.match(frontend.child.output(), /xds\.sock/);
  assert.equal((await fetch(url)).status, 200);

  await rm(socket);
  frontend.start();
  await frontend.ready();
  assert.equal((await frontend.status()).envoy.pid, pid);
  assert.equal((await fetch(url)).status, 200);
});

test('an agent that is stopped before its Envoy was ready takes out of Consul what an earlier one has registered', async (t) => {
  const { backend, consul, dir } = await startTwoHosts(t);
  const registered = async (): Promise<number> => {
    const response = await fetch(`${consul.address}/v1/agent/services`);
    return Object.keys((await response.json()) as object).filter((id) => id.startsWith('backend-')).length;
  };
  assert.equal(await registered(), 1);
  const pid = (await backend.status()).envoy.pid ?? 0;
  await backend.child.stop('SIGKILL');
  process.kill(pid, 'SIGKILL');
  const binary = join(dir, 'no-envoy');
  await writeFile(binary, '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  const settings = JSON.parse(await readFile(backend.configFile, 'utf8')) as { readonly envoy?: object };
  await writeFile(backend.configFile, JSON.stringify({ ...settings, envoy: { ...settings.envoy, binary } }));
  backend.start();
  await eventually('Envoy does not run', async () => (await backend.status()).envoy.state === 'crashed');
  assert.equal(await registered(), 1);
  await backend.child.stop('SIGTERM');
  assert.equal(backend.child.process.exitCode, 0, backend.child.output());
  assert.equal(await registered(), 0);
});
