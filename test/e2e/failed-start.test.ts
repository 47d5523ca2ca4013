// An agent that cannot start takes nothing with it.
import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
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
  await eventually('the agent ends', () => frontend.child.process.exitCode !== null, 20_000);
  assert.notEqual(frontend.child.process.exitCode, 0);
  assert.match(frontend.child.output(), /xds\.sock/);
  assert.equal((await fetch(url)).status, 200);

  await rm(socket);
  frontend.start();
  await frontend.ready();
  assert.equal((await frontend.status()).envoy.pid, pid);
  assert.equal((await fetch(url)).status, 200);
});
