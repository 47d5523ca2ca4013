/** Rotation on a clock of the test's own, with a provider in memory. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import { initCa } from '../../src/identity/ca-directory.ts';
import { CertificateAuthority } from '../../src/identity/certificate-authority.ts';
import { noCertificates } from '../../src/identity/certificate-provider.ts';
import {
  IdentityKeeper,
  type IdentityKeeperOptions,
  type IdentityMaterial,
} from '../../src/identity/identity-keeper.ts';
import { TrysailError } from '../../src/lib/errors.ts';
import { silentLog } from '../../src/lib/log.ts';
import { eventually } from '../support/eventually.ts';
import { tempDir } from '../support/temp-dir.ts';
import { type FakeProvider, fakeProvider } from './fake-provider.ts';
import { ManualClock } from './manual-clock.ts';
import { spiffe, TRUST_DOMAIN } from './mesh-ca.ts';

const HOUR_MS = 3_600_000;
const REVIEWS = spiffe('default', 'reviews');
const RATINGS = spiffe('default', 'ratings');
const AWAY = new TrysailError('CA_UNREACHABLE', 'the CA is away', { remedy: 'Wait.' });

async function newAuthority(t: TestContext, now: () => number): Promise<CertificateAuthority> {
  return CertificateAuthority.create(await initCa(join(await tempDir(t), 'ca'), TRUST_DOMAIN), now);
}

interface Rig {
  readonly clock: ManualClock;
  readonly provider: FakeProvider;
  readonly stateDir: string;
  readonly changes: IdentityMaterial[];
  readonly keeper: (options?: Partial<IdentityKeeperOptions>) => IdentityKeeper;
}

async function rig(t: TestContext, lifetimeMs?: number): Promise<Rig> {
  const clock = new ManualClock();
  const provider = await fakeProvider((now) => newAuthority(t, now), clock, lifetimeMs);
  const stateDir = await tempDir(t);
  const changes: IdentityMaterial[] = [];
  return {
    clock,
    provider,
    stateDir,
    changes,
    keeper: (options = {}) => {
      const keeper = new IdentityKeeper({
        provider,
        identities: [REVIEWS],
        stateDir,
        persist: true,
        log: silentLog(),
        onChange: (material) => void changes.push(material),
        clock,
        random: () => 0.5,
        ...options,
      });
      t.after(() => keeper.stop());
      return keeper;
    },
  };
}

const serials = (material: IdentityMaterial | undefined): readonly string[] =>
  (material?.certificates ?? []).map(({ serial }) => serial);

test('a certificate is renewed at half of its life, with a new key', async (t) => {
  const { clock, provider, changes, keeper } = await rig(t);
  const k = keeper();
  await k.start();
  await eventually('first certificate', () => changes.length === 1);
  assert.ok(clock.longestWaitMs() <= 60_000, 'the wall clock is looked at once a minute');
  for (let minute = 0; minute < 11 * 60; minute += 1) clock.advance(60_000);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(provider.asked.length, 1, 'eleven hours on, there is nothing to do');
  await eventually('second certificate', () => {
    clock.advance(60_000);
    return changes.length === 2;
  });
  const [first, second] = changes;
  assert.notDeepEqual(serials(first), serials(second));
  assert.notEqual(first?.certificates[0]?.privateKey.reveal(), second?.certificates[0]?.privateKey.reveal());
  const elapsed = clock.now() - (second?.certificates[0]?.notBeforeMs ?? 0);
  assert.ok(elapsed >= 0);
});

test('a CA that is away past half of the life changes nothing, and is found again', async (t) => {
  const { clock, provider, changes, keeper } = await rig(t);
  const k = keeper();
  await k.start();
  await eventually('first certificate', () => changes.length === 1);
  provider.failWith = AWAY;
  for (let hour = 0; hour < 18; hour += 1) {
    const before = provider.asked.length;
    clock.advance(HOUR_MS);
    if (hour > 13) await eventually('another attempt', () => provider.asked.length > before);
  }
  assert.equal(changes.length, 1);
  assert.equal(k.material().certificates.length, 1, 'the old one keeps serving');
  const [found] = k.status().diagnostics;
  assert.equal(found?.code, 'TRY0801');
  assert.equal(found?.severity, 'warning');
  assert.match(found?.message ?? '', /not renewed after \d+ attempts and ends in 5h 5\dm|6h .*: the CA is away/);
  assert.equal(found?.remedy, 'Wait.');
  clock.advance(7 * HOUR_MS);
  const [expired] = k.status().diagnostics;
  assert.equal(expired?.severity, 'error');
  assert.match(expired?.message ?? '', /expired at .* peers refuse it/);
  provider.failWith = undefined;
  await eventually('renewed', () => {
    clock.advance(60_000);
    return changes.length === 2;
  });
  assert.deepEqual(k.status().diagnostics, []);
});

test('attempts back off', async (t) => {
  const { clock, provider, keeper } = await rig(t);
  provider.failWith = AWAY;
  const k = keeper();
  await k.start();
  const waits: number[] = [];
  for (let attempt = 1; attempt <= 12; attempt += 1) {
    await eventually(
      `attempt ${attempt}`,
      () => provider.asked.length === attempt && k.status().certificates[0]?.failures === attempt,
    );
    const waitMs = (k.status().certificates[0]?.renewAtMs ?? 0) - clock.now();
    waits.push(waitMs);
    // The keeper only then begins to wait.
    await eventually('waiting', () => clock.longestWaitMs() >= waitMs);
    clock.advance(waitMs);
  }
  assert.deepEqual(waits.slice(0, 4), [38, 75, 150, 300]);
  assert.ok(
    waits.every((ms) => ms <= 15_000),
    'without any certificate, soon again',
  );
});

test('valid certificates on disk serve at once, with the provider away', async (t) => {
  const { provider, changes, keeper, stateDir } = await rig(t);
  const first = keeper({ identities: [REVIEWS, RATINGS] });
  await first.start();
  assert.ok(await eventually('both', () => changes.at(-1)?.certificates.length === 2));
  await eventually('saved', async () => (await readdir(join(stateDir, 'identity/workloads/default'))).length === 2);
  await first.stop();
  const saved = join(stateDir, 'identity/workloads/default/reviews.json');
  assert.equal((await stat(saved)).mode & 0o777, 0o600);
  assert.equal((await stat(join(stateDir, 'identity'))).mode & 0o777, 0o700);

  provider.failWith = AWAY;
  const before = changes.at(-1);
  const asked = provider.asked.length;
  const second = keeper({ identities: [REVIEWS, RATINGS] });
  await second.start();
  assert.deepEqual(changes.at(-1), before);
  assert.equal(await second.whenReady(0), true);
  assert.equal(provider.asked.length, asked, 'nobody was asked');
});

test('what is on disk and does not fit is fetched anew', async (t) => {
  const { clock, provider, changes, keeper, stateDir } = await rig(t);
  const k = keeper();
  await k.start();
  const saved = join(stateDir, 'identity/workloads/default/reviews.json');
  await eventually('saved', async () => (await stat(saved)).size > 0);
  await k.stop();
  const good = await readFile(saved, 'utf8');
  const expectFetch = async (what: string): Promise<void> => {
    const asked = provider.asked.length;
    const count = changes.length;
    const again = keeper();
    await again.start();
    await eventually(what, () => provider.asked.length === asked + 1 && changes.length === count + 1);
    await again.stop();
  };
  await writeFile(saved, good.slice(0, 100));
  await expectFetch('cut off');
  const other = JSON.parse(good) as { privateKey: string };
  await writeFile(
    saved,
    JSON.stringify({ ...other, privateKey: changes.at(-1)?.certificates[0]?.privateKey.reveal() }),
  );
  await expectFetch('another key');
  await writeFile(saved, good);
  clock.advance(25 * HOUR_MS);
  await expectFetch('expired');
});

test('persist: false leaves no key on disk, and removes the old one', async (t) => {
  const { changes, keeper, stateDir } = await rig(t);
  const first = keeper();
  await first.start();
  const folder = join(stateDir, 'identity/workloads/default');
  await eventually('saved', async () => (await readdir(folder)).length === 1);
  await first.stop();
  const second = keeper({ persist: false });
  await second.start();
  await eventually('fetched', () => changes.length === 2);
  assert.deepEqual(await readdir(folder), []);
});

test('a state folder that cannot be written is loud, and costs no certificate', async (t) => {
  const { clock, changes, keeper, stateDir } = await rig(t);
  // A file where the folder should be: refused for root too.
  await writeFile(join(stateDir, 'identity'), '');
  const k = keeper();
  await k.start();
  await eventually('in memory', () => changes.length === 1);
  await eventually('said', () => k.status().diagnostics.length === 1);
  const [found] = k.status().diagnostics;
  assert.equal(found?.code, 'TRY0802');
  assert.match(found?.message ?? '', /in memory alone, a restart needs the CA: cannot write .*reviews\.json \(E/);
  await rm(join(stateDir, 'identity'));
  await mkdir(join(stateDir, 'identity'));
  await eventually('saved after all', () => {
    clock.advance(60_000);
    return k.status().diagnostics.length === 0;
  });
});

test('a full disk is the same', async (t) => {
  const { clock, changes, keeper, stateDir } = await rig(t);
  const mounted = spawnSync('/bin/sh', ['-c', 'exec mount -t tmpfs -o size=64k,mode=0700 tmpfs "$0"', stateDir]);
  if (mounted.status !== 0) {
    t.skip('only root may mount a small file system; the test above does without');
    return;
  }
  const k = keeper();
  try {
    const filler = join(stateDir, 'filler');
    await writeFile(filler, Buffer.alloc(65_536)).catch(() => undefined);
    await k.start();
    await eventually('in memory', () => changes.length === 1);
    await eventually('said', () => /\(ENOSPC\)/.test(k.status().diagnostics[0]?.message ?? ''));
    await rm(filler);
    await eventually('saved after all', () => {
      clock.advance(60_000);
      return k.status().diagnostics.length === 0;
    });
  } finally {
    await k.stop();
    // Before the folder itself is removed at the end of the test.
    spawnSync('/bin/sh', ['-c', 'exec umount -l "$0"', stateDir]);
  }
});

test('many workloads are fetched a few at a time, and come in few changes', async (t) => {
  const { provider, changes, keeper } = await rig(t);
  const identities = Array.from({ length: 40 }, (_, i) => spiffe('default', `s${i}`));
  const k = keeper({ identities, concurrency: 4 });
  await k.start();
  await eventually('all', () => changes.at(-1)?.certificates.length === 40);
  assert.equal(provider.peak, 4);
  assert.deepEqual(
    changes.at(-1)?.certificates.map(({ spiffeId }) => spiffeId),
    identities,
  );
});

test('a failing workload does not hold up the others', async (t) => {
  const { clock, provider, changes, keeper } = await rig(t);
  const issue = provider.issue.bind(provider);
  provider.issue = async (identity, signal) => {
    if (identity === RATINGS) throw new TrysailError('CA_REFUSED', 'not entitled');
    return issue(identity, signal);
  };
  const k = keeper({ identities: [RATINGS, REVIEWS] });
  await k.start();
  await eventually('the other', () => changes.at(-1)?.certificates[0]?.spiffeId === REVIEWS);
  const ready = k.whenReady(1000);
  clock.advance(1000);
  assert.equal(await ready, false);
});

test('rotateNow renews at once, one or all, and says what it cannot', async (t) => {
  const { provider, changes, keeper } = await rig(t);
  const k = keeper({ identities: [REVIEWS, RATINGS] });
  await k.start();
  await eventually('both', () => changes.at(-1)?.certificates.length === 2);
  const before = serials(changes.at(-1));
  const renewed = await k.rotateNow(REVIEWS);
  assert.deepEqual(
    renewed.map(({ spiffeId }) => spiffeId),
    [REVIEWS],
  );
  await eventually('changed', () => serials(changes.at(-1))[0] === renewed[0]?.serial);
  assert.notEqual(serials(changes.at(-1))[0], before[0]);
  assert.equal(serials(changes.at(-1))[1], before[1]);
  assert.equal((await k.rotateNow()).length, 2);
  await assert.rejects(k.rotateNow('spiffe://prod.example/ns/default/sa/nobody'), { code: 'IDENTITY_UNKNOWN' });
  provider.failWith = AWAY;
  await assert.rejects(k.rotateNow(), { code: 'CA_UNREACHABLE' });
});

test('clocks: a machine that slept, and a CA that is ahead or behind', async (t) => {
  const { clock, provider, changes, keeper } = await rig(t);
  const k = keeper();
  await k.start();
  await eventually('first', () => changes.length === 1);
  await eventually('waiting', () => clock.longestWaitMs() === 60_000);
  clock.jump(20 * HOUR_MS);
  clock.advance(60_000);
  await eventually('renewed within a minute of waking', () => changes.length === 2);

  // What begins in an hour is no good in place of what holds now.
  const good = serials(k.material());
  provider.aheadMs = HOUR_MS;
  await assert.rejects(k.rotateNow(), { code: 'CLOCK_BEHIND', message: /begins at .* 5[78]m .*the one in use stays/ });
  const [skewed] = k.status().diagnostics;
  assert.equal(skewed?.code, 'TRY0803');
  assert.deepEqual(serials(k.material()), good);

  // So far behind that what it signs has ended: the good one stays.
  provider.aheadMs = -30 * HOUR_MS;
  await assert.rejects(k.rotateNow(), { code: 'CLOCK_AHEAD' });
  assert.deepEqual(serials(k.material()), serials(changes.at(-1)));

  // Half of the life behind: no storm of requests.
  provider.aheadMs = -20 * HOUR_MS;
  await k.rotateNow();
  const dueMs = (k.status().certificates[0]?.renewAtMs ?? 0) - clock.now();
  assert.ok(dueMs > 2 * HOUR_MS, `${dueMs} ms`);
});

test('a clock that was a day ahead, and is put right: renewed at once, not a day later', async (t) => {
  const { clock, provider, changes, keeper } = await rig(t);
  const k = keeper();
  await k.start();
  await eventually('first', () => changes.length === 1);
  await eventually('waiting', () => clock.longestWaitMs() === 60_000);
  // A day ahead, what the host has seems to have ended, and so does the certificate of the CA.
  provider.failWith = new TrysailError('CLOCK_AHEAD', 'the certificate of the CA has expired', { remedy: 'NTP.' });
  clock.jump(24 * HOUR_MS);
  clock.advance(60_000);
  await eventually('asked', () => k.status().certificates[0]?.failures !== 0);
  assert.deepEqual(
    k.status().diagnostics.map(({ code, severity }) => [code, severity]),
    [['TRY0803', 'error']],
  );
  assert.deepEqual(serials(k.material()), serials(changes[0]), 'what there is goes on serving');
  provider.failWith = undefined;
  clock.jump(-24 * HOUR_MS);
  const asked = provider.asked.length;
  await eventually('renewed within a minute', () => {
    // Not while a certificate is being made, which takes as long as it takes.
    if (provider.asked.length === asked) clock.advance(1000);
    return changes.length === 2;
  });
  assert.ok(clock.now() - (changes[1]?.certificates[0]?.notBeforeMs ?? 0) < 240_000);
  assert.deepEqual(k.status().diagnostics, []);
});

test('a clock that falls back by a day: the certificate stays, it is said, and mends itself', async (t) => {
  const { clock, provider, changes, keeper } = await rig(t);
  const k = keeper();
  await k.start();
  await eventually('first', () => changes.length === 1);
  await eventually('waiting', () => clock.longestWaitMs() === 60_000);
  provider.failWith = new TrysailError('CLOCK_BEHIND', 'the certificate of the CA is not valid yet', {
    remedy: 'NTP.',
  });
  clock.jump(-24 * HOUR_MS);
  await eventually('asked', () => {
    clock.advance(1000);
    return k.status().certificates[0]?.failures !== 0;
  });
  assert.ok(k.status().diagnostics.some(({ code, severity }) => code === 'TRY0803' && severity === 'error'));
  assert.equal(changes.length, 1);
  provider.failWith = undefined;
  clock.jump(24 * HOUR_MS);
  await eventually('renewed', () => {
    clock.advance(60_000);
    return changes.length === 2;
  });
  assert.deepEqual(k.status().diagnostics, []);
});

test('a first certificate of a CA that is a day ahead is replaced as soon as its clock is right', async (t) => {
  const { clock, provider, changes, keeper } = await rig(t);
  provider.aheadMs = 24 * HOUR_MS;
  // What is being saved waits for the disk, not for this clock.
  const k = keeper({ persist: false });
  await k.start();
  await eventually('taken, for want of a better one', () => changes.length === 1);
  assert.equal(k.status().diagnostics[0]?.code, 'TRY0803');
  provider.aheadMs = 0;
  const startedMs = clock.now();
  const asked = provider.asked.length;
  await eventually('replaced', () => {
    // Not while a certificate is being made, which takes as long as it takes.
    if (provider.asked.length === asked) clock.advance(30_000);
    return changes.length === 2;
  });
  assert.ok(clock.now() - startedMs <= 330_000);
  assert.deepEqual(k.status().diagnostics, []);
});

test('identities come and go without touching the others', async (t) => {
  const { provider, changes, keeper, stateDir } = await rig(t);
  const DETAILS = spiffe('default', 'details');
  const k = keeper({ identities: [REVIEWS, RATINGS] });
  await k.start();
  await eventually('both', () => changes.at(-1)?.certificates.length === 2);
  const folder = join(stateDir, 'identity/workloads/default');
  await eventually('saved', async () => (await readdir(folder)).length === 2);
  const [reviews] = changes.at(-1)?.certificates ?? [];
  const asked = provider.asked.length;
  await k.setIdentities([DETAILS, REVIEWS]);
  await eventually('changed', () => changes.at(-1)?.certificates.length === 2 && provider.asked.length > asked);
  assert.deepEqual(
    changes.at(-1)?.certificates.map(({ spiffeId }) => spiffeId),
    [DETAILS, REVIEWS],
  );
  assert.equal(changes.at(-1)?.certificates[1], reviews, 'the very same object');
  assert.deepEqual(provider.asked.slice(asked), [DETAILS]);
  await eventually(
    'the key of the one that went is gone',
    async () => (await readdir(folder)).toSorted().join() === 'details.json,reviews.json',
  );
  // The same again asks nobody and tells nobody.
  const told = changes.length;
  await k.setIdentities([DETAILS, REVIEWS]);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(changes.length, told);
  assert.equal(provider.asked.length, asked + 1);
});

test('an identity that comes while the CA is away waits for it; one that goes is asked for no more', async (t) => {
  const { clock, provider, changes, keeper } = await rig(t);
  const k = keeper();
  await k.start();
  await eventually('first', () => changes.length === 1);
  provider.failWith = AWAY;
  await k.setIdentities([REVIEWS, RATINGS]);
  await eventually('asked', () => provider.asked.includes(RATINGS));
  const ready = k.whenReady(1000);
  clock.advance(1000);
  assert.equal(await ready, false, 'not all have a certificate now');
  await k.setIdentities([REVIEWS]);
  assert.equal(await k.whenReady(0), true);
  provider.failWith = undefined;
  const asked = provider.asked.length;
  for (let minute = 0; minute < 30; minute += 1) clock.advance(60_000);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(provider.asked.length, asked);
  assert.deepEqual(
    k.material().certificates.map(({ spiffeId }) => spiffeId),
    [REVIEWS],
  );
});

test('three hundred hosts find a CA that was away past half of the life: no storm', async (t) => {
  const { clock, provider, stateDir, keeper } = await rig(t);
  const HOSTS = 300;
  const keepers = Array.from({ length: HOSTS }, (_, i) =>
    keeper({ stateDir: join(stateDir, String(i)), persist: false, onChange: () => undefined, random: Math.random }),
  );
  await Promise.all(keepers.map(async (k) => k.start()));
  await eventually('all have one', () => keepers.every((k) => k.material().certificates.length === 1));
  provider.failWith = AWAY;
  const attempts = (): number => keepers.reduce((sum, k) => sum + (k.status().certificates[0]?.failures ?? 0), 0);
  /** One second of the clock, with everything that wakes in it. */
  const second = async (): Promise<void> => {
    clock.advance(1000);
    for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  clock.advance(12 * HOUR_MS);
  for (let minute = 0; minute < 90; minute += 1) {
    clock.advance(60_000);
    for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(attempts() >= HOSTS, 'everybody has asked');
  provider.failWith = undefined;
  const perSecond: number[] = [];
  const before = provider.asked.length;
  for (let s = 0; s < 330; s += 1) {
    const asked = provider.asked.length;
    await second();
    perSecond.push(provider.asked.length - asked);
  }
  await eventually('all renewed', () => keepers.every((k) => k.status().certificates[0]?.failures === 0));
  assert.equal(provider.asked.length - before, HOSTS, 'once each');
  assert.ok(Math.max(...perSecond) <= 30, `at most ${Math.max(...perSecond)} in one second`);
});

test('a new root is added to the old one', async (t) => {
  const { clock, provider, changes, keeper } = await rig(t);
  const k = keeper();
  await k.start();
  await eventually('first', () => changes.length === 1);
  const old = changes[0]?.rootsPem ?? '';
  provider.authority = await newAuthority(t, () => clock.now());
  await k.rotateNow();
  await eventually('second', () => changes.length === 2);
  assert.equal(changes[1]?.rootsPem, provider.authority.material.rootsPem.join('') + old);
  assert.equal(k.status().roots.length, 2);
});

test('a provider that mixes things up is not believed', async (t) => {
  const { provider, changes, keeper } = await rig(t);
  provider.mixUp = RATINGS;
  const k = keeper();
  await k.start();
  await eventually('said', () =>
    /is for .*ratings or for another key/.test(k.status().certificates[0]?.lastError ?? ''),
  );
  assert.deepEqual(changes, []);
});

test('nothing that prints shows a key', async (t) => {
  const { changes, keeper } = await rig(t);
  const k = keeper();
  await k.start();
  await eventually('first', () => changes.length === 1);
  const shown = `${JSON.stringify(changes)} ${inspect(changes, { depth: 9, showHidden: true })} ${String(changes[0]?.certificates[0]?.privateKey)} ${JSON.stringify(k.status())}`;
  assert.ok(!shown.includes('PRIVATE KEY'));
  assert.match(changes[0]?.certificates[0]?.privateKey.reveal() ?? '', /BEGIN PRIVATE KEY/);
  assert.ok(new X509Certificate(changes[0]?.certificates[0]?.certificateChainPem ?? ''));
});

test('the provider none needs nothing', async (t) => {
  const { changes, keeper, stateDir } = await rig(t);
  const k = keeper({ provider: noCertificates() });
  await k.start();
  assert.equal(await k.whenReady(0), true);
  assert.deepEqual(k.material(), { certificates: [], rootsPem: '' });
  assert.deepEqual(changes, []);
  assert.deepEqual(await readdir(stateDir), []);
});

test('stop ends requests in flight', async (t) => {
  const { provider, keeper } = await rig(t);
  provider.issue = async (_identity, signal) =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(new Error('stopped')), { once: true });
    });
  const k = keeper();
  await k.start();
  await k.stop();
});
