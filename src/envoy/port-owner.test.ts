import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { describeOwner, portOwner } from './port-owner.ts';

async function listen(t: TestContext, address: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: 0, host: address, ipv6Only: false }, resolve);
  });
  t.after(() => server.close());
  return (server.address() as { port: number }).port;
}

test('portOwner() names the process of a port in use, and nobody once it is free', async (t) => {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.77.1.4', resolve);
  });
  const { port } = server.address() as { port: number };
  t.after(() => server.close());
  const owner = portOwner('127.77.1.4', port);
  assert.ok(owner !== undefined);
  assert.equal(owner.pid, process.pid);
  assert.equal(owner.address, '127.77.1.4');
  assert.match(describeOwner(owner), /node.*\(pid \d+\)$/);
  await new Promise((resolve) => {
    server.close(resolve);
  });
  assert.equal(portOwner('127.77.1.4', port), undefined);
});

/** What must not be found is asked at an address that no other program of this machine has the same port of. */
const OVERLAPS: readonly (readonly [string, string, boolean])[] = [
  ['127.0.0.1', '127.77.1.4', false],
  ['127.0.0.1', '0.0.0.0', true],
  ['0.0.0.0', '127.0.0.1', true],
  ['::', '127.0.0.1', true],
  ['::1', '::1', true],
  ['::1', '0:0:0:0:0:0:0:1', true],
  ['::1', '127.77.1.4', false],
  ['127.0.0.1', '::', true],
  ['::ffff:127.0.0.1', '127.0.0.1', true],
  ['127.0.0.1', '::ffff:127.0.0.1', true],
];

for (const [held, wanted, expected] of OVERLAPS)
  test(`portOwner(${wanted}) while somebody listens on ${held}`, async (t) => {
    const port = await listen(t, held);
    assert.equal(portOwner(wanted, port) !== undefined, expected);
  });

test('describeOwner() of another user’s process', () => {
  assert.equal(
    describeOwner({ address: '::', port: 80, uid: 33, pid: undefined, program: undefined }),
    'a process of user 33',
  );
});
