/** A host whose credential has ended comes back by itself, or is told why not; leaving. Host and real CA, one clock. */
import assert from 'node:assert/strict';
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { CaServerOptions } from '../../src/identity/ca-server.ts';
import { sha256Hex } from '../../src/identity/certificate.ts';
import { createCsr } from '../../src/identity/csr.ts';
import { HostCa } from '../../src/identity/host-ca.ts';
import { HostCredentialFile } from '../../src/identity/host-credential.ts';
import { Nonces, signProof } from '../../src/identity/host-proof.ts';
import { HostService } from '../../src/identity/host-service.ts';
import { HostTurns } from '../../src/identity/host-turns.ts';
import { decodeJoinToken } from '../../src/identity/join-token.ts';
import { generatePrivateKey, PrivateKey } from '../../src/identity/private-key.ts';
import { RenewalSchedule } from '../../src/identity/renewal-schedule.ts';
import { ServerCertificate } from '../../src/identity/server-certificate.ts';
import type { TrysailCaProvider } from '../../src/identity/trysail-ca-provider.ts';
import { silentLog } from '../../src/lib/log.ts';
import { eventually } from '../support/eventually.ts';
import { tempDir } from '../support/temp-dir.ts';
import { ManualClock } from './manual-clock.ts';
import { type MeshCa, spiffe, startMeshCa, TRUST_DOMAIN } from './mesh-ca.ts';

const DAY_MS = 86_400_000;
const REVIEWS = spiffe('default', 'reviews');
const never = new AbortController().signal;

interface Rig {
  readonly ca: MeshCa;
  readonly stateDir: string;
  readonly token: string;
  /** A provider that knows the token which was used already, as after a start of the agent. */
  readonly provider: () => TrysailCaProvider;
  /** Moves the clock of the host and of the CA. */
  readonly pass: (ms: number) => void;
}

async function rig(t: TestContext, options: Partial<CaServerOptions> = {}): Promise<Rig> {
  const clock = new ManualClock();
  const ca = await startMeshCa(t, options);
  const stateDir = await tempDir(t);
  const token = await ca.token();
  const provider = (): TrysailCaProvider => {
    const made = ca.provider({ stateDir, token: () => token, clock });
    t.after(() => made.close());
    return made;
  };
  await provider().issue(REVIEWS, never);
  let aheadMs = 0;
  return {
    ca,
    stateDir,
    token,
    provider,
    pass: (ms) => {
      aheadMs += ms;
      ca.setClockAhead(aheadMs);
      clock.jump(ms);
    },
  };
}

const expired = (words: RegExp) => (error: Error & { code?: string; remedy?: string }) => {
  assert.equal(error.code, 'HOST_CREDENTIAL_EXPIRED');
  assert.match(error.message, words);
  assert.match(error.remedy ?? '', /clock.*trysail token create/);
  return true;
};

test('a host that was switched off for longer than its credential lasts comes back with its own key', async (t) => {
  const { ca, provider, pass, stateDir } = await rig(t);
  const before = await ca.hosts.get('vm-1');
  pass(45 * DAY_MS);
  const again = provider();
  // Maintenance alone: TLS goes by the machine's clock, and would refuse to show what begins in 45 days.
  await Promise.all(Array.from({ length: 5 }, async () => again.maintain(never)));
  assert.equal(ca.server.status().issued, 3, 'the join, the first certificate, and one coming back for all five');
  const after = await ca.hosts.get('vm-1');
  assert.notEqual(after?.serial, before?.serial);
  assert.equal(after?.keySha256, before?.keySha256);
  assert.equal((await ca.tokens.list())[0]?.used, 1, 'no token was needed');
  const saved = JSON.parse(await readFile(join(stateDir, 'identity/host.json'), 'utf8')) as { addresses: string[] };
  assert.deepEqual(saved.addresses, [ca.address]);
  assert.ok((again.status().hostCredential?.notAfterMs ?? 0) > Date.now() + 70 * DAY_MS);
});

test('beyond the grace, and with a grace of nothing, it needs a token', async (t) => {
  const { provider, pass } = await rig(t);
  pass(61 * DAY_MS);
  await assert.rejects(provider().issue(REVIEWS, never), expired(/longer ago than the grace .*ca\.reEnrolGrace/));
  const strict = await rig(t, { reEnrolGraceMs: 0 });
  strict.pass(30 * DAY_MS + 1);
  await assert.rejects(strict.provider().issue(REVIEWS, never), expired(/longer ago than the grace/));
});

test('a revoked host does not come back', async (t) => {
  const { ca, provider, pass } = await rig(t);
  await ca.hosts.revoke('vm-1', Date.now());
  pass(31 * DAY_MS);
  await assert.rejects(provider().issue(REVIEWS, never), expired(/host "vm-1" has been revoked/));
});

test('a host whose clock is behind, so that only the CA knows that the credential has ended', async (t) => {
  const { ca, provider } = await rig(t, { hostLifetimeMs: 8000 });
  // The host still believes in what it has; TLS at the CA does not.
  const fooled = provider();
  await new Promise((resolve) => setTimeout(resolve, 8100));
  // What it gets now is good for as long as this test may take.
  await ca.stop();
  await ca.restart({ hostLifetimeMs: 30 * DAY_MS });
  const before = (await ca.hosts.get('vm-1'))?.serial;
  await fooled.issue(REVIEWS, never);
  assert.notEqual((await ca.hosts.get('vm-1'))?.serial, before);
});

test('the name of an expired host stays its own while it can come back', async (t) => {
  const { ca, pass, token } = await rig(t);
  pass(45 * DAY_MS);
  const text = await ca.token();
  const thief = ca.provider({ stateDir: await tempDir(t), token: () => text });
  await assert.rejects(thief.issue(REVIEWS, never), {
    code: 'CA_REFUSED',
    message: /another host holds the name "vm-1"/,
  });
  assert.equal((await ca.hosts.get('vm-1'))?.tokenId, decodeJoinToken(token).id);
  pass(16 * DAY_MS);
  const next = await ca.token();
  const heir = ca.provider({ stateDir: await tempDir(t), token: () => next });
  // TLS goes by the machine's clock: the credential is had, and not yet good.
  await assert.rejects(heir.issue(REVIEWS, never));
  assert.equal((await ca.hosts.get('vm-1'))?.tokenId, decodeJoinToken(next).id);
});

test('only the key on record brings a host back, for what was signed, once it was asked for', async (t) => {
  const { ca, stateDir } = await rig(t);
  const key = new PrivateKey(await readFile(join(stateDir, 'identity/host-key.pem'), 'utf8'));
  let nowMs = 0;
  const nonces = new Nonces(() => nowMs);
  const service = new HostService({
    authority: ca.authority,
    tokens: ca.tokens,
    hosts: ca.hosts,
    audit: silentLog(),
    workloadLifetimeMs: DAY_MS,
    hostLifetimeMs: 30 * DAY_MS,
    reEnrolGraceMs: 0,
    turns: new HostTurns(),
    readMeshConfig: async () => undefined,
    now: () => Date.now(),
    nonces,
  });
  const caller = { peer: 'test', token: undefined, certificate: undefined };
  const csr = createCsr(key);
  const proof = (changes: { key?: PrivateKey; purpose?: 'leave'; nonce?: string; payload?: string } = {}) =>
    signProof(changes.key ?? key, {
      purpose: changes.purpose ?? 're-enrol',
      host: 'vm-1',
      nonce: changes.nonce ?? nonces.make(),
      payload: changes.payload ?? csr,
    });
  const stranger = await generatePrivateKey();
  const cases: readonly (readonly [ReturnType<typeof proof>, string, RegExp])[] = [
    [proof({ key: stranger }), csr, /does not know host "vm-1" by this key/],
    [proof({ purpose: 'leave' }), csr, /does not verify/],
    [proof({ payload: 'another request' }), csr, /does not verify/],
    [{ ...proof(), host: 'vm-2' }, csr, /does not verify/],
    [{ ...proof(), signature: 'AAAA' }, csr, /does not verify/],
    [{ ...proof(), publicKey: 'AAAA' }, csr, /does not verify/],
    [proof({ nonce: new Nonces(() => nowMs).make() }), csr, /another start of this CA/],
    [proof({ nonce: 'x' }), csr, /another start of this CA/],
    [
      proof({ payload: createCsr(stranger) }),
      createCsr(stranger),
      /does not verify|with the key that the host joined with/,
    ],
  ];
  for (const [given, request, words] of cases) await assert.rejects(service.reEnrol(given, request, caller), words);
  const late = proof();
  nowMs += 60_001;
  await assert.rejects(service.reEnrol(late, csr, caller), /older than a minute/);
  assert.ok((await service.reEnrol(proof(), csr, caller)).length > 1, 'and this is what is let in');
});

test('a host that leaves gives its credential up: it is void, the name is free, and leaving twice is no error', async (t) => {
  const { ca, stateDir, provider, pass } = await rig(t);
  const copy = await tempDir(t);
  await cp(stateDir, copy, { recursive: true });
  const credential = await new HostCredentialFile({
    stateDir,
    hostName: 'vm-1',
    trustDomain: TRUST_DOMAIN,
    log: silentLog(),
    random: Math.random,
  }).load();
  assert.ok(credential);
  const host = new HostCa({ hostName: 'vm-1', trustDomain: TRUST_DOMAIN, addresses: [], now: Date.now });
  t.after(() => host.close());
  await host.leave(credential, never);
  await host.leave(credential, never);
  await assert.rejects(provider().issue(REVIEWS, never), { code: 'CA_REFUSED', message: /has left the mesh/ });
  const text = await ca.token();
  await new Promise((resolve) => setTimeout(resolve, 2));
  await ca.provider({ stateDir: await tempDir(t), token: () => text }).issue(REVIEWS, never);
  assert.equal((await ca.hosts.get('vm-1'))?.leftAtMs, undefined);
  pass(31 * DAY_MS);
  const ghost = ca.provider({ stateDir: copy, clock: new ManualClock(Date.now() + 31 * DAY_MS) });
  await assert.rejects(ghost.issue(REVIEWS, never), expired(/does not know host "vm-1" by this key/));
});

test('what a join would bring is told before it, and costs nothing of the token', async (t) => {
  const readMeshConfig = async (): Promise<string> => 'trustDomain: prod.example\n';
  const ca = await startMeshCa(t, { readMeshConfig });
  const text = await ca.token({ allow: ['shop/*'] });
  const host = new HostCa({ hostName: 'vm-1', trustDomain: undefined, addresses: [], now: Date.now });
  const offered = { text, token: decodeJoinToken(text) };
  await assert.rejects(host.describe(offered, undefined, never), { code: 'CA_UNTRUSTED' }, 'not by its address alone');
  const named = new HostCa({ hostName: 'vm-1', trustDomain: TRUST_DOMAIN, addresses: [], now: Date.now });
  const { rootPem, address, timeMs, expiresAtMs, ...rest } = await named.describe(offered, undefined, never);
  assert.deepEqual(rest, { trustDomain: TRUST_DOMAIN, meshConfig: 'trustDomain: prod.example\n', allow: ['shop/*'] });
  assert.equal(rootPem, ca.rootPem);
  assert.equal(address, ca.address);
  assert.ok(Math.abs(timeMs - Date.now()) < 60_000 && expiresAtMs > timeMs);
  assert.equal((await ca.tokens.list())[0]?.used, 0);

  // Used up by another host: said; by this very key: it may repeat its join.
  const stateDir = await tempDir(t);
  await ca.provider({ stateDir, token: () => text }).issue(spiffe('shop', 'web'), never);
  const key = new PrivateKey(await readFile(join(stateDir, 'identity/host-key.pem'), 'utf8'));
  const second = new HostCa({ hostName: 'vm-2', trustDomain: TRUST_DOMAIN, addresses: [], now: Date.now });
  await assert.rejects(second.describe(offered, undefined, never), {
    code: 'CA_UNAUTHENTICATED',
    message: /been used/,
  });
  await assert.rejects(named.describe(offered, undefined, never), {
    code: 'CA_REFUSED',
    message: /another host holds/,
  });
  await named.describe(offered, sha256Hex(key.publicKeyDer()), never);
  await ca.tokens.revoke(offered.token.id);
  await assert.rejects(named.describe(offered, undefined, never), { message: /has been revoked: make a new one/ });
});

test("the CA's own certificate, made while its clock was a day ahead, is replaced as soon as the clock is right", async (t) => {
  const clock = new ManualClock();
  const ca = await startMeshCa(t);
  const { CertificateAuthority } = await import('../../src/identity/certificate-authority.ts');
  const certificate = new ServerCertificate({
    authority: await CertificateAuthority.create(ca.authority.material, () => clock.now()),
    names: ['localhost'],
    lifetimeMs: DAY_MS,
    log: silentLog(),
    clock,
  });
  await certificate.start();
  t.after(() => certificate.stop());
  const first = certificate.notAfterMs ?? 0;
  await eventually('it waits', () => clock.longestWaitMs() > 0);
  clock.jump(DAY_MS);
  clock.advance(60_000);
  await eventually('renewed by the wrong clock', () => (certificate.notAfterMs ?? 0) > first + DAY_MS / 2);
  await eventually('it waits again', () => clock.longestWaitMs() > 0);
  clock.jump(-DAY_MS);
  clock.advance(60_000);
  await eventually('and again by the right one', () => (certificate.notAfterMs ?? 0) < first + DAY_MS / 2);
});

test('RenewalSchedule: a small step back only shifts it', () => {
  const clock = new ManualClock(1_000_000_000);
  const schedule = new RenewalSchedule(clock, () => 0.5);
  assert.equal(schedule.dueMs, undefined);
  assert.ok(schedule.restMs() <= 0);
  schedule.set(clock.now() + 3_600_000);
  clock.jump(-59_000);
  assert.equal(schedule.restMs(), 3_659_000);
  clock.jump(-2000);
  assert.equal(schedule.restMs(), 15_000);
});
