// The client against servers that misbehave in every way that we could think of.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { TrysailError } from '../lib/errors.ts';
import { type ConsulClient, createConsulClient } from './client.ts';
import { tokenFromFile } from './token-file.ts';

async function against(
  t: TestContext,
  listener: RequestListener,
  token?: () => Promise<string | undefined>,
): Promise<ConsulClient> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const client = createConsulClient({
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token,
  });
  t.after(() => {
    client.close();
    server.closeAllConnections();
    server.close();
  });
  return client;
}

const withCode =
  (code: string) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof TrysailError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, /127\.0\.0\.1|unix:/);
    assert.ok(error.remedy !== undefined && error.remedy !== '');
    return true;
  };

test('headers and parameters of a blocking read', async (t) => {
  const urls: (string | undefined)[] = [];
  const client = await against(t, (request, response) => {
    urls.push(request.url);
    response.setHeader('X-Consul-Index', '17');
    response.setHeader('X-Consul-LastContact', '250');
    if (urls.length > 1) response.setHeader('Age', '7');
    response.setHeader('X-Consul-KnownLeader', 'false');
    response.setHeader('X-Consul-Results-Filtered-By-ACLs', 'true');
    response.end('[]');
  });
  const { value, index, lastContactMs, knownLeader, filteredByAcl, bytes } = await client.health('a/b', {
    index: 16,
    waitMs: 2000,
    stale: true,
    cached: true,
  });
  assert.deepEqual(
    { value, index, lastContactMs, knownLeader, filteredByAcl, bytes },
    { value: [], index: 17, lastContactMs: 250, knownLeader: false, filteredByAcl: true, bytes: 2 },
  );
  assert.equal((await client.health('web')).lastContactMs, 7000);
  assert.deepEqual(urls, ['/v1/health/service/a%2Fb?stale&cached&index=16&wait=2000ms', '/v1/health/service/web']);
});

test('answers that are not Consul’s', async (t) => {
  const bodies = ['<html>', '{"a":1}', '"text"', ''];
  const client = await against(t, (_, response) => response.end(bodies.shift()));
  while (bodies.length > 0) await assert.rejects(client.health('web'), withCode('CONSUL_ANSWER_INVALID'));
});

test('entries with nothing in them are read as empty', async (t) => {
  const client = await against(t, (_, response) =>
    response.end(
      '[null, 7, {}, {"Node":[],"Service":{"Port":"80","Tags":[1,"a"],"Meta":{"x":1,"y":"z"},"Weights":null},"Checks":[null,{"Status":"odd"}]}]',
    ),
  );
  const { value } = await client.health('web');
  assert.equal(value.length, 4);
  assert.deepEqual(value[3], {
    node: '',
    nodeAddress: '',
    datacenter: '',
    serviceId: '',
    serviceAddress: '',
    port: 0,
    tags: ['a'],
    meta: { y: 'z' },
    weights: { passing: 1, warning: 1 },
    checks: [
      { id: '', status: 'critical', ofNode: true },
      { id: '', status: 'critical', ofNode: true },
    ],
  });
});

test('error statuses become errors with a remedy', async (t) => {
  let answer: readonly [number, string] = [0, ''];
  const client = await against(t, (_, response) => response.writeHead(answer[0]).end(answer[1]));
  for (const [status, body, code] of [
    [403, 'Permission denied', 'CONSUL_ACL_DENIED'],
    [429, 'Your IP is issuing too many concurrent connections', 'CONSUL_BUSY'],
    [500, 'No cluster leader', 'CONSUL_NO_LEADER'],
    [500, 'something else', 'CONSUL_REFUSED'],
    [404, 'no', 'CONSUL_REFUSED'],
    [400, 'Client sent an HTTP request to an HTTPS server.', 'CONSUL_TLS'],
  ] as const) {
    answer = [status, body];
    await assert.rejects(client.health('web'), withCode(code), body);
  }
  answer = [403, 'Permission denied'];
  await assert.rejects(
    client.health('web'),
    (error) => error instanceof TrysailError && (error.remedy ?? '').includes('service_prefix "" { policy = "read" }'),
  );
});

test('too large, cut off, never answered, aborted, nobody there', async (t) => {
  let behaviour: 'endless' | 'cut' | 'silent' = 'endless';
  const client = await against(t, (_, response) => {
    if (behaviour === 'endless') {
      const chunk = Buffer.alloc(1024 * 1024, 0x20);
      const more = (): void => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on('drain', more);
      more();
    } else if (behaviour === 'cut') {
      response.writeHead(200, { 'Content-Length': '100' });
      response.write('[');
      setImmediate(() => response.socket?.destroy());
    }
  });
  await assert.rejects(client.catalogServices(), withCode('CONSUL_ANSWER_TOO_LARGE'));
  behaviour = 'cut';
  await assert.rejects(client.health('web'), withCode('CONSUL_UNREACHABLE'));
  behaviour = 'silent';
  const stop = new AbortController();
  const waiting = client.health('web', { signal: stop.signal });
  setImmediate(() => stop.abort(new Error('enough')));
  await assert.rejects(waiting, { message: 'enough' });
  await assert.rejects(client.health('web', { signal: stop.signal }), { message: 'enough' });

  const nobody = createConsulClient({ address: 'unix:///nonexistent/consul.sock' });
  await assert.rejects(nobody.health('web'), withCode('CONSUL_UNREACHABLE'));
});

test('a connection that the server closed while it was idle is replaced without an error', async (t) => {
  const used = new Set<unknown>();
  let resets = 0;
  const client = await against(t, ({ socket }, response) => {
    // Every second request of a connection meets its end as it arrives.
    if (used.has(socket)) {
      resets += 1;
      socket.resetAndDestroy();
    } else response.end('[]');
    used.add(socket);
  });
  for (let i = 0; i < 5; i += 1) await client.health('web');
  assert.ok(resets > 0);
});

test('the token is sent, and a rotated file is taken up with the next request', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'ts-'));
  t.after(() => rm(dir, { recursive: true }));
  const file = join(dir, 'token');
  const seen: unknown[] = [];
  const client = await against(
    t,
    (request, response) => {
      seen.push(request.headers['x-consul-token']);
      response.end('[]');
    },
    tokenFromFile(file),
  );
  await assert.rejects(
    client.health('web'),
    (error) => error instanceof TrysailError && error.code === 'CONSUL_TOKEN_FILE' && error.message.includes(file),
  );
  for (const content of ['first\n', 'second-and-longer\n', '']) {
    await writeFile(file, content);
    await client.health('web');
  }
  await writeFile(file, 'two words\nX-Injected: 1');
  await assert.rejects(
    client.health('web'),
    (error) =>
      error instanceof TrysailError && error.code === 'CONSUL_TOKEN_FILE' && !error.message.includes('words X'),
  );
  assert.deepEqual(seen, ['first', 'second-and-longer', undefined]);
});
