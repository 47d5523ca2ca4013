/** A host's way into the mesh and through its life, against the real CA. */
import assert from 'node:assert/strict';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { fetchPinnedRoot } from '../../src/identity/ca-root.ts';
import { IdentityKeeper, type IdentityMaterial } from '../../src/identity/identity-keeper.ts';
import { decodeJoinToken, encodeJoinToken } from '../../src/identity/join-token.ts';
import { silentLog } from '../../src/lib/log.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { ManualClock } from './manual-clock.ts';
import { spiffe, startMeshCa } from './mesh-ca.ts';

const HOUR_MS = 3_600_000;
const REVIEWS = spiffe('default', 'reviews');
const never = new AbortController().signal;

test('join, workload certificates, restart without the CA', async (t) => {
  const ca = await startMeshCa(t);
  const stateDir = await tempDir(t);
  const text = await ca.token();
  const changes: IdentityMaterial[] = [];
  const start = async (): Promise<IdentityKeeper> => {
    const keeper = new IdentityKeeper({
      provider: ca.provider({ stateDir, token: () => text }),
      identities: [REVIEWS],
      stateDir,
      persist: true,
      log: silentLog(),
      onChange: (material) => void changes.push(material),
    });
    t.after(() => keeper.stop());
    await keeper.start();
    return keeper;
  };
  const first = await start();
  assert.ok(await first.whenReady(60_000));
  await eventually('handed over', () => changes.length === 1);
  await eventually(
    'saved',
    async () => (await stat(join(stateDir, 'identity/workloads/default/reviews.json'))).size > 0,
  );
  const { provider } = first.status();
  assert.equal(provider.reachable, true);
  assert.deepEqual(provider.addresses, [ca.address]);
  assert.equal(provider.hostCredential?.spiffeId, 'spiffe://prod.example/host/vm-1');
  for (const file of ['host.json', 'host-key.pem']) {
    assert.equal((await stat(join(stateDir, 'identity', file))).mode & 0o777, 0o600);
  }
  await first.stop();
  await ca.stop();

  const second = await start();
  assert.deepEqual(changes[1], changes[0]);
  await assert.rejects(second.rotateNow(), { code: 'CA_UNREACHABLE' });
  assert.equal(second.status().provider.reachable, false);
  assert.equal(second.material().certificates.length, 1);
  await ca.restart();
  await second.rotateNow();
  await eventually('renewed with the credential, not the token', () => changes.length === 3);
});

test('a CA away for longer than half of the life, host and CA on one clock', async (t) => {
  const clock = new ManualClock();
  const ca = await startMeshCa(t);
  const stateDir = await tempDir(t);
  const text = await ca.token();
  const changes: IdentityMaterial[] = [];
  const keeper = new IdentityKeeper({
    provider: ca.provider({ stateDir, token: () => text, clock }),
    identities: [REVIEWS],
    stateDir,
    persist: true,
    log: silentLog(),
    onChange: (material) => void changes.push(material),
    clock,
  });
  t.after(() => keeper.stop());
  await keeper.start();
  await eventually('first', () => changes.length === 1);
  await ca.stop();
  let hours = 0;
  await eventually('an attempt failed', () => {
    // Far past half of the life, far before its end, however long the attempt takes.
    if (hours < 15) clock.advance(HOUR_MS);
    hours += 1;
    return keeper.status().certificates[0]?.failures !== 0;
  });
  assert.equal(keeper.material().certificates[0]?.serial, changes[0]?.certificates[0]?.serial);
  await ca.restart();
  await eventually('renewed', () => {
    clock.advance(60_000);
    return changes.length === 2;
  });
});

test('a server with another root is told nothing', async (t) => {
  const [ca, impostor] = [await startMeshCa(t), await startMeshCa(t)];
  const token = decodeJoinToken(await ca.token());
  const misled = encodeJoinToken({ ...token, ca: [impostor.address] });
  const provider = ca.provider({ stateDir: await tempDir(t), token: () => misled });
  await assert.rejects(provider.issue(REVIEWS, never), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'CA_ROOT_MISMATCH');
    assert.ok(error.message.includes(ca.rootFingerprint) && error.message.includes(impostor.rootFingerprint));
    return true;
  });
  assert.deepEqual(impostor.server.status().refused, 0, 'not even a request');
});

test('a host that has joined is not taken over by a server with another root', async (t) => {
  const [ca, impostor] = [await startMeshCa(t), await startMeshCa(t)];
  const stateDir = await tempDir(t);
  const text = await ca.token();
  await ca.provider({ stateDir, token: () => text }).issue(REVIEWS, never);
  const misled = ca.provider({ stateDir, addresses: [impostor.address] });
  await assert.rejects(misled.issue(REVIEWS, never), { code: 'CA_UNTRUSTED' });
  assert.equal(impostor.server.status().issued + impostor.server.status().refused, 0);
});

test('a workload of the mesh cannot play the CA', async (t) => {
  // Its certificate comes from the same root and is good for servers: the name has to tell them apart.
  const { createSecureServer } = await import('node:http2');
  const ca = await startMeshCa(t);
  const stateDir = await tempDir(t);
  const text = await ca.token();
  const issued = await ca.provider({ stateDir, token: () => text }).issue(REVIEWS, never);
  const server = createSecureServer({
    cert: issued.certificateChainPem + ca.rootPem,
    key: issued.privateKey.reveal(),
  });
  let asked = 0;
  server.on('stream', () => void (asked += 1));
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  t.after(() => server.close());
  const misled = ca.provider({ stateDir, addresses: [`127.0.0.1:${port}`] });
  await assert.rejects(misled.issue(REVIEWS, never), { code: 'CA_UNTRUSTED' });
  assert.equal(asked, 0);
});

test('the second address is tried when the first is away', async (t) => {
  const ca = await startMeshCa(t);
  const text = await ca.token();
  const addresses = [`127.0.0.1:${await freePort()}`, ca.address];
  const provider = ca.provider({ stateDir: await tempDir(t), token: () => text, addresses });
  await provider.issue(REVIEWS, never);
  assert.deepEqual(provider.status().addresses, [ca.address, addresses[0]]);
});

test('without a token, with a refused one, and with the next', async (t) => {
  const ca = await startMeshCa(t);
  const stateDir = await tempDir(t);
  let text: string | undefined;
  const provider = ca.provider({ stateDir, token: () => text });
  await assert.rejects(provider.issue(REVIEWS, never), (error: Error & { code?: string; remedy?: string }) => {
    assert.equal(error.code, 'JOIN_TOKEN_MISSING');
    assert.match(error.remedy ?? '', /trysail token create/);
    return true;
  });
  text = 'half a token';
  await assert.rejects(provider.issue(REVIEWS, never), { code: 'TOKEN_MALFORMED' });
  text = await ca.token({ ttlMs: 1000 });
  ca.setClockAhead(1001);
  await assert.rejects(provider.issue(REVIEWS, never), { code: 'CA_UNAUTHENTICATED', message: /token has expired/ });
  const { refused } = ca.server.status();
  await assert.rejects(provider.issue(REVIEWS, never), { code: 'JOIN_TOKEN_REFUSED', message: /token has expired/ });
  assert.equal(ca.server.status().refused, refused, 'the CA is not asked again with it');
  text = await ca.token();
  await provider.issue(REVIEWS, never);
});

test('a new token mends a refusal: too few entitlements, a revoked host', async (t) => {
  const ca = await startMeshCa(t);
  const stateDir = await tempDir(t);
  let text = await ca.token({ allow: ['shop/*'] });
  const provider = ca.provider({ stateDir, token: () => text });
  await assert.rejects(provider.issue(REVIEWS, never), {
    code: 'CA_REFUSED',
    message: /may have shop\/\*, not default\/reviews: join it again with a token made with --allow default\/reviews/,
  });
  text = await ca.token();
  await provider.issue(REVIEWS, never);
  await ca.hosts.revoke('vm-1', Date.now());
  await assert.rejects(provider.issue(REVIEWS, never), { code: 'CA_REFUSED', message: /has been revoked/ });
  await eventually('made after the revocation', async () => {
    text = await ca.token({ host: 'vm-1' });
    await provider.issue(REVIEWS, never);
    return true;
  });
});

test('the host credential is renewed at half of its life', async (t) => {
  const clock = new ManualClock();
  const ca = await startMeshCa(t);
  const stateDir = await tempDir(t);
  const text = await ca.token();
  const provider = ca.provider({ stateDir, token: () => text, clock });
  await provider.issue(REVIEWS, never);
  const first = provider.status().hostCredential;
  clock.jump(14 * 24 * HOUR_MS);
  await provider.maintain(never);
  assert.equal(provider.status().hostCredential?.serial, first?.serial);
  clock.jump(2 * 24 * HOUR_MS);
  await provider.maintain(never);
  const second = provider.status().hostCredential;
  assert.notEqual(second?.serial, first?.serial);
  const saved = JSON.parse(await readFile(join(stateDir, 'identity/host.json'), 'utf8')) as { addresses: string[] };
  assert.deepEqual(saved.addresses, [ca.address]);
});

test('a full disk does not cost the token: the host asks only once it could keep its key', async (t) => {
  const ca = await startMeshCa(t);
  const stateDir = await tempDir(t);
  await writeFile(join(stateDir, 'identity'), '');
  const text = await ca.token();
  const provider = ca.provider({ stateDir, token: () => text });
  await assert.rejects(provider.issue(REVIEWS, never), { code: 'STATE_UNWRITABLE' });
  const [token] = await ca.tokens.list();
  assert.equal(token?.used, 0);
  await rm(join(stateDir, 'identity'));
  await provider.issue(REVIEWS, never);
});

test('a join that lost its credential repeats with the key that it kept', async (t) => {
  const ca = await startMeshCa(t);
  const stateDir = await tempDir(t);
  const text = await ca.token();
  await ca.provider({ stateDir, token: () => text }).issue(REVIEWS, never);
  await rm(join(stateDir, 'identity/host.json'));
  await ca.provider({ stateDir, token: () => text }).issue(REVIEWS, never);
  const elsewhere = ca.provider({ stateDir: await tempDir(t), token: () => text });
  await assert.rejects(elsewhere.issue(REVIEWS, never), { code: 'CA_REFUSED', message: /another host holds the name/ });
});

test('a mesh configuration with another trust domain is named', async (t) => {
  const ca = await startMeshCa(t);
  const text = await ca.token();
  const provider = ca.provider({
    stateDir: await tempDir(t),
    token: () => text,
    trustDomain: 'cluster.local',
    addresses: [ca.address.replace('127.0.0.1', 'localhost')],
  });
  await assert.rejects(
    provider.issue('spiffe://cluster.local/ns/default/sa/reviews' as never, never),
    (error: Error & { code?: string }) => {
      assert.equal(error.code, 'TRUST_DOMAIN_MISMATCH');
      assert.match(error.message, /prod\.example.*cluster\.local/);
      return true;
    },
  );
});

test('many workloads of one host join once', async (t) => {
  const ca = await startMeshCa(t);
  const text = await ca.token();
  const provider = ca.provider({ stateDir: await tempDir(t), token: () => text });
  await Promise.all(Array.from({ length: 12 }, async (_, i) => provider.issue(spiffe('default', `s${i}`), never)));
  assert.deepEqual(ca.server.status(), { ...ca.server.status(), issued: 13, refused: 0 });
});

test('a server that takes the connection and never speaks TLS is busy, one that is not there is unreachable', async (t) => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => void sockets.push(socket.on('error', () => undefined)));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  const { port } = silent.address() as AddressInfo;
  const bounds = { timeoutMs: 200, signal: new AbortController().signal };
  await assert.rejects(fetchPinnedRoot({ host: '127.0.0.1', port }, '00', bounds), { code: 'CA_BUSY' });
  const away = { host: '127.0.0.1', port: await freePort() };
  await assert.rejects(fetchPinnedRoot(away, '00', { ...bounds, timeoutMs: 60_000 }), { code: 'CA_UNREACHABLE' });
});
