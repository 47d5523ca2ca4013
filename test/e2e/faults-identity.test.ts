// Faults of joining, of the CA and of the disk that keeps certificates, as a whole host meets them.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { callApi } from '../../src/api/client.ts';
import { createToken } from '../../src/server/ca-admin.ts';
import { startConsul } from '../support/consul.ts';
import { eventually } from '../support/eventually.ts';
import { type LocalCa, type LocalHost, startCa, startHost, trysail } from '../support/local-mesh.ts';
import { freePort, freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { diagnosed, get, statusOf, untilStatus } from './agent-state.ts';
import { loopbackNet, startApplication } from './two-hosts.ts';

const ID = 'spiffe://cluster.local/ns/default/sa/web';
const PRIVATE = /-----BEGIN [A-Z ]*PRIVATE KEY-----/;

async function token(ca: Pick<LocalCa, 'dir' | 'address'>, allow: string, ttlMs = 3_600_000): Promise<string> {
  return (await createToken(ca.dir, { caAddresses: [ca.address], allow: [allow], ttlMs, uses: 1, host: undefined }))
    .text;
}

/** The secret within a token: what must be seen nowhere, in whatever form. */
function secretOf(text: string): string {
  const [, body = ''] = /^trysail-join-1\.(.+)$/.exec(text) ?? [];
  const { secret } = JSON.parse(Buffer.from(body, 'base64url').toString('utf8')) as { secret: string };
  assert.ok(secret.length > 20);
  return secret;
}

async function renewNow({ runDir }: LocalHost): Promise<void> {
  // What comes of it is in the status.
  await callApi(join(runDir, 'api.sock'), 'rotate', {}).catch(() => undefined);
}

test('join tokens that do not admit: the status and the log say what to do, and no secret', async (t) => {
  const dir = await tempDir(t);
  const resources = join(dir, 'resources');
  await mkdir(resources);
  const ca = await startCa(t, dir);
  const foreignDir = join(dir, 'foreign');
  await trysail('ca', 'init', '--dir', foreignDir, '--trust-domain', 'cluster.local');
  const [foreign, expired, narrow, reused, good] = await Promise.all([
    token({ dir: foreignDir, address: ca.address }, 'default/*'),
    token(ca, 'default/*', 1000),
    token(ca, 'shop/*'),
    token(ca, 'default/*'),
    token(ca, 'default/*'),
  ]);
  const tokenFile = join(dir, 'join.token');
  const use = async (text: string): Promise<void> => writeFile(tokenFile, `${text}\n`, { mode: 0o600 });
  const [health = 0] = await freePorts(1);
  const start = async (name: string): Promise<LocalHost> =>
    startHost(t, {
      dir,
      resources,
      name,
      address: '127.0.0.1',
      services: [{ name: 'web' }],
      overrides: {
        identity: { provider: 'trysail-ca', ca: { address: ca.address, joinTokenFile: tokenFile } },
        ...(name === 'first' ? { envoy: { healthListener: `127.0.0.1:${health}`, drainTime: '1s' } } : {}),
      },
    });
  await use(reused);
  const first = await start('first');
  await untilStatus(first, 'the first joins', (s) => s.certificates.workloads[0]?.serial !== undefined);
  await use(foreign);
  const host = await start('second');
  const refusedWith = async (what: string, ...expected: readonly RegExp[]): Promise<void> => {
    await untilStatus(host, what, (status) => {
      const said = diagnosed(status, 'TRY0801');
      for (const pattern of [new RegExp(`error TRY0801 ${ID}: there is no certificate yet: `), ...expected])
        assert.match(said, pattern);
      assert.ok(status.certificates.workloads[0]?.error !== undefined);
    });
    for (const pattern of expected)
      await eventually(`${what}, in the log`, () => assert.match(host.child.output(), pattern));
  };

  await t.test('of another CA', async () => {
    await refusedWith(
      'the foreign one is refused',
      new RegExp(`the server at ${ca.address} is not the CA of the join token`),
      /Check the address; if it is right, .*the CA was made anew/,
    );
  });
  await t.test('expired', async () => {
    await use(expired);
    await eventually('it has expired', async () => {
      await renewNow(host);
      assert.match(diagnosed(await statusOf(host), 'TRY0801'), /expired/);
    });
    await refusedWith('the expired one is refused', /token has expired/, /trysail token create/);
  });
  await t.test('used by another host already', async () => {
    await use(reused);
    await renewNow(host);
    await refusedWith('the used one is refused', /token .*used/, /trysail token create/);
  });
  await t.test('for other identities', async () => {
    await use(narrow);
    await renewNow(host);
    await refusedWith('the narrow one is refused', /shop\/\*, not default\/web/, /--allow default\/web/);
  });
  await t.test('the next one mends it', async () => {
    await use(good);
    await renewNow(host);
    const status = await untilStatus(
      host,
      'it has a certificate',
      (s) => s.certificates.workloads[0]?.serial !== undefined,
    );
    assert.equal(diagnosed(status, 'TRY0801'), '');
  });
  await t.test('no secret was written anywhere but into files of mode 0600', async () => {
    const said = [first, host].map(({ child }) => child.output()).join('\n') + ca.child.output();
    const statuses = JSON.stringify([await statusOf(first), await statusOf(host)]);
    for (const text of [foreign, expired, narrow, reused, good]) {
      for (const secret of [text, secretOf(text)]) {
        assert.equal(said.includes(secret), false, 'a log has a token');
        assert.equal(statuses.includes(secret), false, 'a status has a token');
      }
    }
    assert.doesNotMatch(said, PRIVATE);
    assert.doesNotMatch(statuses, PRIVATE);
    const file = join(host.stateDir, 'identity/workloads/default/web.json');
    assert.match(await readFile(file, 'utf8'), /PRIVATE KEY/);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
  });
});

test('a CA that is away at the first start, and then a disk that is full', async (t) => {
  const dir = await tempDir(t);
  const resources = join(dir, 'resources');
  await mkdir(resources);
  const net = loopbackNet();
  const application = await startApplication(t);
  const [ca, consul] = await Promise.all([startCa(t, dir), startConsul(t)]);
  const [port = 0] = await freePorts(1, `${net}.1`);
  const listen = await freePort();
  const disk = await smallDisk(t);
  if (disk === undefined) {
    t.skip('root without the right to mount');
    return;
  }
  await ca.child.stop();
  const host = await startHost(t, {
    dir,
    resources,
    ca,
    consul: consul.address,
    name: 'web-host',
    address: `${net}.1`,
    services: [{ name: 'web', port, protocol: 'HTTP', application: `127.0.0.1:${application.port}` }],
    upstreams: [{ service: 'web', listen: `127.0.0.1:${listen}` }],
    overrides: { paths: { state: disk.path, run: join(dir, 'web-host/run') } },
  });
  const url = `http://127.0.0.1:${listen}`;

  await t.test('plain text is served, mutual TLS fails closed, and the status says what is missing', async () => {
    const status = await untilStatus(host, 'it runs', (s) => s.envoy.ready && diagnosed(s, 'TRY0801') !== '');
    const said = diagnosed(status, 'TRY0801');
    assert.match(said, new RegExp(`error TRY0801 ${ID}: there is no certificate yet: .*${ca.address}.*ECONNREFUSED`));
    assert.equal((await get(`http://${net}.1:${port}`)).code, 200);
    assert.equal((await get(url)).code, 503);
  });

  await t.test('the CA comes: mutual TLS', async () => {
    await ca.restart();
    await eventually('a request passes', async () => (await get(url)).code === 200);
    assert.match(String(application.requests.at(-1)?.['x-forwarded-client-cert']), /sa\/web/);
    const status = await untilStatus(host, 'all is well', (s) => diagnosed(s, 'TRY0801') === '');
    assert.equal(diagnosed(status, 'TRY0802'), '');
  });

  await t.test(
    'the disk fills up: certificates are renewed in memory, changes are served, all of it is said',
    async () => {
      disk.fill();
      const before = (await statusOf(host)).certificates.workloads[0]?.serial;
      await renewNow(host);
      const inMemory = await untilStatus(
        host,
        'a new one, in memory alone',
        (s) => s.certificates.workloads[0]?.serial !== before && diagnosed(s, 'TRY0802') !== '',
      );
      assert.match(
        diagnosed(inMemory, 'TRY0802'),
        new RegExp(
          `error TRY0802 ${ID}: the certificate is in memory alone.*(?:ENOSPC|EACCES).*Free space on the disk`,
        ),
      );
      await fetch(`${consul.address}/v1/agent/service/register`, {
        method: 'PUT',
        body: JSON.stringify({
          ID: 'second',
          Name: 'web',
          Address: '127.0.0.1',
          Port: 1,
          Meta: { 'trysail-tls': 'mtls' },
        }),
      });
      const status = await untilStatus(host, 'it cannot be saved', (s) => diagnosed(s, 'TRY0102') !== '');
      assert.match(
        diagnosed(status, 'TRY0102'),
        /TRY0102 \S+catalogue\.json: the last good catalogue cannot be saved: .*(?:ENOSPC|EACCES).*Free space in the state folder/,
      );
      await fetch(`${consul.address}/v1/agent/service/deregister/second`, { method: 'PUT' });
      await eventually('it serves', async () => (await get(url)).code === 200);
      assert.equal(host.child.process.exitCode, null);
    },
  );

  await t.test('there is space again: certificates are saved, and it is said no more', async () => {
    disk.free();
    await renewNow(host);
    const status = await untilStatus(host, 'it is saved', (s) => diagnosed(s, 'TRY0802') === '');
    const saved = await readFile(join(disk.path, 'identity/workloads/default/web.json'), 'utf8');
    const serial = status.certificates.workloads[0]?.serial ?? 'none';
    const { certificateChain } = JSON.parse(saved) as { certificateChain: string };
    assert.equal(new X509Certificate(certificateChain).serialNumber.toLowerCase(), serial);
  });
});

interface Disk {
  readonly path: string;
  /** Leaves no room, down to the last block; where this user cannot mount anything, takes the right to write. */
  fill(): void;
  free(): void;
}

/** A folder with little room; undefined where this user can neither mount a file system nor be kept from writing. */
async function smallDisk(t: TestContext): Promise<Disk | undefined> {
  const path = await mkdtemp(join(tmpdir(), 'ts-disk-'));
  const chmod = (mode: string): void => void execFileSync('chmod', ['-R', mode, path]);
  const forget = (): void => rmSync(path, { recursive: true, force: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k,mode=0700', 'none', path], { stdio: 'ignore' });
  } catch {
    if (process.getuid?.() === 0) {
      forget();
      return undefined;
    }
    t.after(() => {
      chmod('u+w');
      forget();
    });
    return { path, fill: () => chmod('u-w'), free: () => chmod('u+w') };
  }
  t.after(() => {
    execFileSync('umount', ['-l', path]);
    forget();
  });
  const filler = join(path, 'filler');
  return {
    path,
    fill: () => {
      for (let size = 262_144; size >= 1; size = Math.floor(size / 2)) {
        try {
          for (;;) writeFileSync(filler, Buffer.alloc(size), { flag: 'a' });
        } catch {
          // That much is not left.
        }
      }
    },
    free: () => rmSync(filler),
  };
}
