// Somebody who takes the connection and says nothing: a check ends within its time and says what did not answer.
import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { checkHost } from '../../src/agent/check-host.ts';
import { freePort } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary } from '../support/tools.ts';
import { loadSettings } from './settings.ts';

async function silentServer(t: TestContext): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${port}`;
}

test('Consul and CA that do not answer', async (t) => {
  const address = await silentServer(t);
  const { file, loaded } = await loadSettings(await tempDir(t), {
    host: { name: 'vm-1', address: '127.0.0.1' },
    consul: { address: `http://${address}` },
    identity: { provider: 'trysail-ca', ca: { address } },
    services: [{ name: 'reviews', port: 9080, application: '127.0.0.1:9081' }],
    envoy: { binary: envoyBinary() },
  });
  const waitedFor: (readonly string[])[] = [];
  const report = await checkHost(file, loaded, {
    only: ['ca', 'consul', 'consul-acl'],
    onProgress: (running) => waitedFor.push(running),
  });
  assert.deepEqual(
    report.checks.map(({ name, state, facts, findings }) => [name, state, findings[0]?.code ?? facts[0]]),
    [
      ['ca', 'error', 'TRY1150'],
      ['consul', 'error', 'TRY1140'],
      ['consul-acl', 'skipped', 'Consul does not answer'],
    ],
  );
  assert.match(report.checks[0]?.findings[0]?.message ?? '', /does not answer: timed out/);
  assert.deepEqual(waitedFor[0], ['ca', 'consul', 'consul-acl']);
  assert.deepEqual(waitedFor.at(-1), []);
});
