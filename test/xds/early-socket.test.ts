/** A socket that is open before the server: who comes early waits and is served, and nobody is left behind. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { EarlySocket } from '../../src/xds/early-socket.ts';
import { TYPE_URL } from '../../src/xds/resource.ts';
import { XdsServer } from '../../src/xds/server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { connectClient } from './client.ts';
import { raw, resourcesOf } from './fixture.ts';

const ask = { node: { id: 'n1' }, typeUrl: TYPE_URL.cluster };

test('a client that comes before the server is served as soon as there is one', async (t) => {
  const path = join(await tempDir(t), 'xds.sock');
  const socket = await EarlySocket.open(path);
  assert.equal((await lstat(path)).mode & 0o777, 0o600);
  const early = connectClient(`unix:${path}`);
  t.after(() => early.close());
  const stream = early.delta();
  stream.send(ask);
  await stream.silence(100);

  const server = new XdsServer();
  t.after(() => server.close(100));
  server.setResources(resourcesOf({ cluster: [raw('a', '1')] }));
  server.serve(socket);
  const { resources } = await stream.next();
  assert.deepEqual(
    resources.map(({ name }) => name),
    ['a'],
  );

  const late = connectClient(`unix:${path}`);
  t.after(() => late.close());
  const second = late.delta();
  second.send(ask);
  assert.equal((await second.next()).resources.length, 1);
});

test('closing drops who waits, ends who is served, and leaves no file', async (t) => {
  const path = join(await tempDir(t), 'xds.sock');
  const socket = await EarlySocket.open(path);
  const waiting = connect(path);
  const ended = new Promise<void>((resolve) => {
    waiting.once('close', () => resolve());
  });
  await new Promise<void>((resolve) => {
    waiting.once('connect', resolve);
  });
  // The connection is known to the socket only after a turn of the event loop.
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  socket.close();
  await ended;
  assert.equal(existsSync(path), false);

  const again = await EarlySocket.open(path);
  const server = new XdsServer();
  t.after(() => server.close(100));
  server.serve(again);
  const client = connectClient(`unix:${path}`);
  t.after(() => client.close());
  const stream = client.delta();
  stream.send(ask);
  await stream.next();
  await server.close(100);
  await stream.ended;
  assert.equal(existsSync(path), false);
});
