import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, request } from 'node:http';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { TrysailError } from '../lib/errors.ts';
import { silentLog } from '../lib/log.ts';
import { IDLE, IDLE_HANDLERS } from './api-fixture.ts';
import { callApi } from './client.ts';
import { type ApiHandlers, type ApiServer, serveApi } from './server.ts';

async function socketPath(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'ts-api-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await chmod(dir, 0o755);
  return join(dir, 'api.sock');
}

async function serve(
  t: TestContext,
  handlers: Partial<ApiHandlers> = {},
): Promise<{ socket: string; server: ApiServer }> {
  const socket = await socketPath(t);
  const server = await serveApi({ socket, handlers: { ...IDLE_HANDLERS, ...handlers }, log: silentLog() });
  t.after(() => server.close());
  return { socket, server };
}

/** One request as it is, without the client. */
async function raw(
  socket: string,
  method: string,
  path: string,
  body?: string,
): Promise<{ status: number; text: string }> {
  return await new Promise((resolve, reject) => {
    const sent = request({ socketPath: socket, method, path, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.once('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    sent.once('error', reject);
    sent.end(body);
  });
}

test('a call gets the answer of its handler', async (t) => {
  const { socket } = await serve(t);
  assert.deepEqual(await callApi(socket, 'status', undefined), IDLE);
  assert.deepEqual(await callApi(socket, 'rotate', { spiffeId: 'a' }), { renewed: [{ spiffeId: 'a', serial: '01' }] });
  assert.deepEqual(await callApi(socket, 'reload', undefined), { diagnostics: [] });
});

test('only the owner may open the socket', async (t) => {
  const { socket } = await serve(t);
  assert.equal((await stat(socket)).mode & 0o777, 0o600);
});

test('a closed server leaves no socket behind', async (t) => {
  const { socket, server } = await serve(t);
  await server.close();
  await assert.rejects(stat(socket), { code: 'ENOENT' });
});

test('the socket of a crashed agent is replaced', async (t) => {
  const socket = await socketPath(t);
  const program = `require('node:net').createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, 'SIGKILL'))`;
  assert.equal(spawnSync(process.execPath, ['-e', program]).signal, 'SIGKILL');
  assert.ok((await stat(socket)).isSocket());
  const server = await serveApi({ socket, handlers: IDLE_HANDLERS, log: silentLog() });
  t.after(() => server.close());
  assert.deepEqual(await callApi(socket, 'status', undefined), IDLE);
});

test('the socket of a living agent is not taken', async (t) => {
  const { socket } = await serve(t);
  await assert.rejects(serveApi({ socket, handlers: IDLE_HANDLERS, log: silentLog() }), {
    code: 'API_SOCKET_TAKEN',
    message: `another agent serves ${socket}`,
  });
  assert.deepEqual(await callApi(socket, 'status', undefined), IDLE);
});

test('a folder that does not exist is named', async (t) => {
  const socket = join(await socketPath(t), 'x', 'api.sock');
  await assert.rejects(serveApi({ socket, handlers: IDLE_HANDLERS, log: silentLog() }), (error: TrysailError) => {
    assert.equal(error.code, 'API_SOCKET_FAILED');
    assert.match(error.message, new RegExp(`^cannot listen on ${socket}: `));
    assert.equal(error.remedy, 'Create the folder, writable for the user of the agent, or set paths.run.');
    return true;
  });
});

test('an unknown route, a wrong method, a body that is no JSON and one that is too large are refused', async (t) => {
  const { socket } = await serve(t);
  const known = 'GET /v1/status, POST /v1/rotate, POST /v1/reload, GET /v1/analyze, POST /v1/explain, POST /v1/capture';
  assert.deepEqual(await raw(socket, 'GET', '/v1/nothing?x'), {
    status: 404,
    text: JSON.stringify({ error: { code: 'API_NO_SUCH_ROUTE', message: 'no route GET /v1/nothing', remedy: known } }),
  });
  assert.equal((await raw(socket, 'DELETE', '/v1/status')).status, 405);
  assert.deepEqual(await raw(socket, 'POST', '/v1/rotate', '{'), {
    status: 400,
    text: JSON.stringify({ error: { code: 'API_BAD_REQUEST', message: 'the request is not JSON' } }),
  });
  assert.deepEqual(await raw(socket, 'POST', '/v1/rotate', '{"spiffeId": 1}'), {
    status: 400,
    text: JSON.stringify({ error: { code: 'API_BAD_REQUEST', message: '/v1/rotate: spiffeId must be a string' } }),
  });
  assert.match(
    (await raw(socket, 'POST', '/v1/capture', '{"action": "off"}')).text,
    /action must be one of status, apply, confirm, clean/,
  );
  assert.equal((await raw(socket, 'POST', '/v1/rotate')).status, 200);
  assert.match((await raw(socket, 'POST', '/v1/rotate', 'x'.repeat(70_000))).text, /API_BODY_TOO_LARGE/);
});

test("an error of a handler reaches the client with its code and remedy, and the server's life goes on", async (t) => {
  const { socket } = await serve(t, {
    rotate: () => Promise.reject(new TrysailError('CA_UNREACHABLE', 'no CA', { remedy: 'Start it.' })),
    reload: () => {
      throw new TypeError('a defect');
    },
  });
  await assert.rejects(callApi(socket, 'rotate', {}), {
    code: 'CA_UNREACHABLE',
    message: 'no CA',
    remedy: 'Start it.',
  });
  await assert.rejects(callApi(socket, 'reload', undefined), { code: 'API_FAILED', message: 'a defect' });
  assert.deepEqual(await callApi(socket, 'status', undefined), IDLE);
});

test('an agent that does not answer is given up, and said to be so', async (t) => {
  const { socket } = await serve(t, { status: () => new Promise(() => undefined) });
  await assert.rejects(callApi(socket, 'status', undefined, { timeoutMs: 50 }), {
    code: 'AGENT_TIMEOUT',
    message: `the agent did not answer on ${socket} within 50 ms`,
  });
});

test('a handler learns that its client has gone', async (t) => {
  const client = new AbortController();
  const aborted = Promise.withResolvers<void>();
  const { socket } = await serve(t, {
    analyze: (_, signal) => {
      signal.addEventListener('abort', () => aborted.resolve());
      client.abort();
      return new Promise(() => undefined);
    },
  });
  await assert.rejects(callApi(socket, 'analyze', undefined, { signal: client.signal }), { code: 'AGENT_CALL_FAILED' });
  await aborted.promise;
});

test('an agent that is not running is said to be so', async (t) => {
  const socket = await socketPath(t);
  await assert.rejects(callApi(socket, 'status', undefined), {
    code: 'AGENT_NOT_RUNNING',
    message: `the agent is not running: there is no socket ${socket}`,
  });
  await writeFile(socket, '');
  await assert.rejects(callApi(socket, 'status', undefined), {
    code: 'AGENT_NOT_RUNNING',
    message: `the agent is not running: nobody answers on ${socket}`,
  });
});

test('a user who may not open the socket is told so', async (t) => {
  const { socket } = await serve(t);
  const asRoot = process.geteuid?.() === 0;
  if (asRoot) process.seteuid?.(65_534);
  else await chmod(socket, 0);
  try {
    await assert.rejects(callApi(socket, 'status', undefined), {
      code: 'AGENT_FORBIDDEN',
      message: `this user may not open ${socket}`,
    });
  } finally {
    if (asRoot) process.seteuid?.(0);
  }
});

test('something else on the socket is no agent', async (t) => {
  const socket = await socketPath(t);
  const listen = async (server: Server): Promise<void> => {
    await new Promise<void>((resolve) => server.listen(socket, resolve));
  };
  const page = createHttpServer((_, response) => response.end('<html>'));
  await listen(page);
  await assert.rejects(callApi(socket, 'status', undefined), {
    code: 'AGENT_CALL_FAILED',
    message: `what answers on ${socket} is no agent`,
  });
  await new Promise((resolve) => page.close(resolve));
  const noise = createServer((connection) => connection.end('SSH-2.0\r\n'));
  t.after(() => noise.close());
  await listen(noise);
  await assert.rejects(callApi(socket, 'status', undefined), { code: 'AGENT_CALL_FAILED' });
});
