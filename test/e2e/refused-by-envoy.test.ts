// What Envoy itself refuses, as only it can know.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../support/eventually.ts';
import { startTwoHosts } from './two-hosts.ts';

/** Over a connection of its own, so that a listener that is gone shows. */
async function statusOf(url: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).once('error', reject);
  });
}

test('listeners that Envoy refuses after a restart of the agent: those from before serve on, and the status says why', async (t) => {
  const { frontend, url, dir } = await startTwoHosts(t);
  const pid = (await frontend.status()).envoy.pid;
  const restart = async (accessLogFile: string): Promise<void> => {
    await frontend.child.stop('SIGKILL');
    await writeFile(join(frontend.dir, 'meshconfig.yaml'), JSON.stringify({ accessLogFile }));
    frontend.start();
    await frontend.ready();
  };

  const impossible = join(dir, 'not-a-folder', 'access.log');
  await restart(impossible);
  await eventually('the refusal is reported', async () => {
    const { diagnostics, xds } = await frontend.status();
    const listeners = xds.find(({ type }) => type === 'Listener');
    return (
      listeners?.rejected[0]?.why.includes(impossible) === true &&
      diagnostics.some(({ code, message }) => code === 'TRY0101' && message.includes(impossible))
    );
  });
  // Time for whatever follows a refusal; a drained listener would be closed at once.
  await delay(500);
  assert.equal(await statusOf(url), 200);
  assert.equal((await frontend.status()).envoy.pid, pid);

  await restart(join(dir, 'access.log'));
  await eventually('nothing is wrong any more', async () => {
    const { diagnostics, xds } = await frontend.status();
    return xds.length > 0 && xds.every(({ inFlight }) => inFlight === 0) && diagnostics.length === 0;
  });
  assert.equal(await statusOf(url), 200);
});
