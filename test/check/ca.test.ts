import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { caCheck as checkOfCa } from '../../src/agent/check-ca.ts';
import { identityCheck } from '../../src/agent/check-identity.ts';
import type { AgentSettings } from '../../src/agent/settings.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import type { CheckOutcome, HostCheck } from '../../src/platform/vm/checks/host-check.ts';
import { type MeshCa, spiffe, startMeshCa, TRUST_DOMAIN } from '../identity/mesh-ca.ts';
import { freePort } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { brief, fakeHost, needsWith } from './fake-host.ts';
import { settingsIn } from './settings.ts';

const HOUR_MS = 3_600_000;
const CONFIG = { ...DEFAULT_MESH_CONFIG, trustDomain: TRUST_DOMAIN };

/** Nothing of it depends on how long the handshakes take. */
const caCheck = (settings: AgentSettings): HostCheck => checkOfCa(settings, TRUST_DOMAIN, 60_000);

async function run(check: HostCheck, aheadMs = 0): Promise<CheckOutcome> {
  const io = { ...fakeHost({}), now: () => Date.now() + aheadMs };
  return check.run({ io, needs: needsWith({}), signal: new AbortController().signal });
}

/** Settings of a host with a token of the CA, in a folder of its own. */
async function host(
  t: TestContext,
  ca: MeshCa | undefined,
  given: Readonly<Record<string, unknown>> = {},
): Promise<AgentSettings> {
  const dir = await tempDir(t);
  const joinTokenFile = join(dir, 'join.token');
  if (ca !== undefined) await writeFile(joinTokenFile, await ca.token(), { mode: 0o600 });
  return settingsIn(dir, {
    registry: 'files',
    host: { name: 'vm-1', address: '127.0.0.1' },
    services: [{ name: 'reviews', port: 9080, application: '127.0.0.1:9081' }],
    identity: { provider: 'trysail-ca', ca: { joinTokenFile } },
    ...given,
  });
}

/** The host joins, as its agent would. */
async function join_(ca: MeshCa, settings: AgentSettings, trustDomain = TRUST_DOMAIN): Promise<void> {
  const text = (await readFile(settings.identity.ca.joinTokenFile ?? '', 'utf8')).trim();
  const provider = ca.provider({ stateDir: settings.paths.state, token: () => text, trustDomain });
  await provider.issue(spiffe('default', 'reviews'), new AbortController().signal);
  provider.close();
}

test('before the join: the CA of the token, by its fingerprint', async (t) => {
  const ca = await startMeshCa(t);
  const settings = await host(t, ca);
  const outcome = await run(caCheck(settings));
  assert.deepEqual(outcome.findings, []);
  assert.deepEqual(outcome.facts, [
    ca.address,
    'same time',
    `the root of the token, ${ca.rootFingerprint.slice(0, 12)}…`,
  ]);
  assert.match(
    (await run(identityCheck(settings, CONFIG))).facts.join(),
    /^not joined yet; join token \w+ is at hand$/,
  );
  const none = await host(t, undefined);
  assert.deepEqual(brief(await run(identityCheck(none, CONFIG))), ['error TRY1153 host']);
  assert.match((await run(caCheck(none))).skipped ?? '', /says where it is/);
});

test('after the join: credential, roots, and how long they last', async (t) => {
  const ca = await startMeshCa(t);
  const settings = await host(t, ca);
  await join_(ca, settings);
  assert.deepEqual((await run(caCheck(settings))).findings, []);
  const identity = await run(identityCheck(settings, CONFIG));
  assert.deepEqual(identity.findings, []);
  assert.match(identity.facts[0] ?? '', /^joined as spiffe:\/\/prod\.example\/host\/vm-1, for 29d 23h more$/);
  const late = await run(identityCheck(settings, CONFIG), 25 * 24 * HOUR_MS);
  assert.deepEqual(brief(late), ['warning TRY1152 host credential']);
  assert.match(late.findings[0]?.message ?? '', /ends in \d+d .* and has not been renewed/);
  const ended = await run(identityCheck(settings, CONFIG), 31 * 24 * HOUR_MS);
  assert.deepEqual(brief(ended), ['error TRY1152 host credential']);
  const early = await run(identityCheck(settings, CONFIG), -HOUR_MS);
  assert.match(early.findings[0]?.message ?? '', /begins in .* by this host's clock/);
  const renamed = await run(identityCheck({ ...settings, host: { ...settings.host, name: 'vm-2' } }, CONFIG));
  assert.match(renamed.findings[0]?.message ?? '', /host\/vm-1's, and this host is .*host\/vm-2/);
  const rootAtItsEnd = await run(caCheck(settings), 3651 * 24 * HOUR_MS);
  assert.ok(brief(rootAtItsEnd).some((each) => each.startsWith('error TRY1152 root ')));
});

test('a damaged credential is told, not trusted', async (t) => {
  const settings = await host(t, undefined);
  await mkdir(join(settings.paths.state, 'identity'), { recursive: true });
  await writeFile(join(settings.paths.state, 'identity', 'host.json'), '{');
  const outcome = await run(identityCheck(settings, CONFIG));
  assert.deepEqual(brief(outcome), ['error TRY1152 host credential']);
  assert.match(outcome.findings[0]?.message ?? '', /cannot be used \(damaged\)/);
});

test('the clock is held against the CA’s, both ways', async (t) => {
  const ca = await startMeshCa(t);
  const settings = await host(t, ca);
  await join_(ca, settings);
  const behind = await run(caCheck(settings), -30_000);
  assert.deepEqual(brief(behind), ['warning TRY1110 clock']);
  assert.match(behind.findings[0]?.message ?? '', /behind the CA at 127\.0\.0\.1:/);
  assert.deepEqual(brief(await run(caCheck(settings), HOUR_MS)), ['error TRY1110 clock']);
});

test('a CA whose certificate is of another time is not trusted, and its clock still heard', async (t) => {
  const ca = await startMeshCa(t);
  const settings = await host(t, ca);
  await join_(ca, settings);
  ca.setClockAhead(24 * HOUR_MS);
  await ca.stop();
  await ca.restart();
  const outcome = await run(caCheck(settings));
  assert.deepEqual(brief(outcome), [`error TRY1151 CA at ${ca.address}`]);
  assert.match(outcome.findings[0]?.message ?? '', /not valid yet by this host’s clock/);
});

test('another CA at the address, and another trust domain', async (t) => {
  const [ca, other] = [await startMeshCa(t), await startMeshCa(t)];
  const settings = await host(t, ca);
  await join_(ca, settings);
  const elsewhere = {
    ...settings,
    identity: { ...settings.identity, ca: { ...settings.identity.ca, address: other.address } },
  };
  assert.deepEqual(brief(await run(caCheck(elsewhere))), [`error TRY1151 CA at ${other.address}`]);
  const fresh = await host(t, ca, {
    identity: {
      provider: 'trysail-ca',
      ca: { address: other.address, joinTokenFile: settings.identity.ca.joinTokenFile },
    },
  });
  const mismatch = await run(caCheck(fresh));
  assert.match(mismatch.findings[0]?.message ?? '', /is not the CA of the join token/);
});

test('a CA that is away is an error; one of several a warning', async (t) => {
  const ca = await startMeshCa(t);
  const settings = await host(t, ca);
  await join_(ca, settings);
  await ca.stop();
  assert.deepEqual(brief(await run(caCheck(settings))), [`error TRY1150 CA at ${ca.address}`]);
  await ca.restart();
  const file = join(settings.paths.state, 'identity', 'host.json');
  const stored = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  const gone = `127.0.0.1:${await freePort()}`;
  await writeFile(file, JSON.stringify({ ...stored, addresses: [gone, ca.address] }), { mode: 0o600 });
  assert.deepEqual(brief(await run(caCheck(settings))), [`warning TRY1150 CA at ${gone}`]);
});

test('without certificates there is nothing to check', async (t) => {
  const settings = await host(t, undefined, { identity: { provider: 'none' } });
  assert.match((await run(identityCheck(settings, CONFIG))).skipped ?? '', /plain text only/);
  assert.match((await run(caCheck(settings))).skipped ?? '', /not used/);
});

test('certificates in files: of the right names, and for how long', async (t) => {
  const ca = await startMeshCa(t);
  const dir = await tempDir(t);
  const files = { certificateFile: join(dir, 'a.pem'), keyFile: join(dir, 'a.key'), rootFile: join(dir, 'root.pem') };
  const text = await ca.token();
  const provider = ca.provider({ stateDir: join(dir, 'other'), token: () => text });
  const issued = await provider.issue(spiffe('default', 'reviews'), new AbortController().signal);
  provider.close();
  await writeFile(files.certificateFile, issued.certificateChainPem);
  await writeFile(files.keyFile, issued.privateKey.reveal(), { mode: 0o600 });
  await writeFile(files.rootFile, issued.rootsPem.join(''));
  const identity = { provider: 'files', files };
  const settings = await host(t, undefined, { identity });
  const good = await run(identityCheck(settings, CONFIG));
  assert.deepEqual([good.findings, good.facts], [[], [`1 of 1 identities in ${files.certificateFile}`]]);
  assert.deepEqual(brief(await run(identityCheck(settings, CONFIG), 20 * HOUR_MS)), [
    `warning TRY1152 ${files.certificateFile}`,
  ]);
  const wrong = await host(t, undefined, {
    identity,
    services: [{ name: 'ratings', port: 9080, application: '127.0.0.1:9081' }],
  });
  assert.deepEqual(brief(await run(identityCheck(wrong, CONFIG))), [`error TRY1152 ${spiffe('default', 'ratings')}`]);
});
