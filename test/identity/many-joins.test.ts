/** A whole fleet at once against one CA: every host gets in, and never one too many. */
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { initCa } from '../../src/identity/ca-directory.ts';
import { IdentityKeeper } from '../../src/identity/identity-keeper.ts';
import { TrysailCaProvider } from '../../src/identity/trysail-ca-provider.ts';
import { silentLog } from '../../src/lib/log.ts';
import { caStatus, createToken, listHosts, listTokens } from '../../src/server/ca-admin.ts';
import { startChild } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { ROOT } from '../support/tools.ts';
import { type MeshCa, spiffe, startMeshCa, TRUST_DOMAIN } from './mesh-ca.ts';

const never = new AbortController().signal;

/** As many hosts as asked for, each with a folder of its own and the same token. */
async function fleet(t: TestContext, ca: MeshCa, count: number, token: string): Promise<readonly TrysailCaProvider[]> {
  const dir = await tempDir(t);
  return Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const stateDir = join(dir, String(i));
      await mkdir(stateDir);
      const provider = ca.provider({ stateDir, host: `vm-${i}`, token: () => token });
      t.after(() => provider.close());
      return provider;
    }),
  );
}

test('of thirty hosts at once with a token for seven, exactly seven join; the others are told', async (t) => {
  const ca = await startMeshCa(t);
  const hosts = await fleet(t, ca, 30, await ca.token({ uses: 7 }));
  const results = await Promise.allSettled(hosts.map(async (host) => host.issue(spiffe('default', 'a'), never)));
  const refused = results.filter((result) => result.status === 'rejected');
  assert.equal(results.length - refused.length, 7);
  for (const { reason } of refused) assert.match(String(reason), /the join token has been used: make a new one/);
  assert.equal((await ca.hosts.list()).length, 7);
  const [token] = await ca.tokens.list();
  assert.partialDeepStrictEqual(token, { used: 7, uses: 7, state: 'used' });
  assert.equal(token?.usedBy.length, 7);
});

/** Hosts as their agents are: what does not succeed is tried again, later and later. */
async function keepers(
  t: TestContext,
  count: number,
  provider: (host: string, stateDir: string) => TrysailCaProvider,
): Promise<readonly IdentityKeeper[]> {
  const dir = await tempDir(t);
  return Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const stateDir = join(dir, String(i));
      await mkdir(stateDir);
      const keeper = new IdentityKeeper({
        provider: provider(`vm-${i}`, stateDir),
        identities: [spiffe('default', 'a')],
        stateDir,
        persist: false,
        log: silentLog(),
        onChange: () => undefined,
      });
      t.after(() => keeper.stop());
      return keeper;
    }),
  );
}

/** CPU and memory that a process has used, from /proc. */
async function usage(pid: number): Promise<{ readonly cpuMs: number; readonly peakMb: number }> {
  const [stat, status] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'utf8'),
    readFile(`/proc/${pid}/status`, 'utf8'),
  ]);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return {
    // Clock ticks, a hundred a second on Linux.
    cpuMs: (Number(fields[11]) + Number(fields[12])) * 10,
    peakMb: Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024),
  };
}

test('two hundred hosts join at once with one token, behind one address, by the CA as it runs', async (t) => {
  const HOSTS = 200;
  const dir = await tempDir(t);
  const caDir = join(dir, 'ca');
  await initCa(caDir, TRUST_DOMAIN);
  const address = `127.0.0.1:${await freePort()}`;
  await writeFile(join(dir, 'server.yaml'), `ca: { dir: ca, listen: "${address}" }\n`);
  const server = startChild(t, join(ROOT, 'scripts/trysail'), ['server', '--config', join(dir, 'server.yaml')]);
  await eventually('the CA answers', async () => (await caStatus(caDir, address)).server?.answers === true);
  const { text } = await createToken(caDir, {
    caAddresses: [address],
    allow: ['default/*'],
    ttlMs: 600_000,
    uses: HOSTS,
  });
  const fleetOfAll = await keepers(
    t,
    HOSTS,
    (hostName, stateDir) =>
      new TrysailCaProvider({
        stateDir,
        hostName,
        trustDomain: TRUST_DOMAIN,
        addresses: [],
        readJoinToken: async () => text,
        // The hosts share this process and its processor: what is put off is not lost.
        requestTimeoutMs: 60_000,
        log: silentLog(),
      }),
  );
  const pid = server.process.pid ?? 0;
  const before = await usage(pid);
  const startedMs = performance.now();
  await Promise.all(fleetOfAll.map(async (keeper) => keeper.start()));
  const isIn = (keeper: IdentityKeeper): boolean => keeper.material().certificates.length === 1;
  await eventually('all have joined', () => fleetOfAll.every(isIn), 300_000);
  const tookMs = Math.round(performance.now() - startedMs);
  const { cpuMs, peakMb } = await usage(pid);
  const failures = fleetOfAll.filter((keeper) => keeper.status().provider.lastError !== undefined).length;
  t.diagnostic(
    `${HOSTS} joins: ${tookMs} ms with the hosts' own work, the CA ${cpuMs - before.cpuMs} ms of CPU, ${peakMb} MB at most`,
  );
  assert.equal(failures, 0);
  assert.equal((await listHosts(caDir)).length, HOSTS);
  assert.partialDeepStrictEqual((await listTokens(caDir))[0], { used: HOSTS, uses: HOSTS, state: 'used' });
  assert.doesNotMatch(server.output(), /"msg":"refused"/);
});

test('what the CA puts off is asked again, until all are in', async (t) => {
  const ca = await startMeshCa(t, { rateLimit: { perSecond: 100, burst: 20 } });
  const token = await ca.token({ uses: 60 });
  const hosts = await keepers(t, 60, (host, stateDir) => ca.provider({ stateDir, host, token: () => token }));
  await Promise.all(hosts.map(async (keeper) => keeper.start()));
  await eventually('all have joined', () => hosts.every((k) => k.material().certificates.length === 1), 300_000);
  assert.equal((await ca.hosts.list()).length, 60);
});
