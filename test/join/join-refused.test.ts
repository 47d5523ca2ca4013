/** What keeps a host from joining: each said with what, where and the remedy, before anything is changed. */
import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { joinHost } from '../../src/agent/join.ts';
import type { JoinOptions } from '../../src/agent/join-plan.ts';
import type { CaServerOptions } from '../../src/identity/ca-server.ts';
import { decodeJoinToken, encodeJoinToken } from '../../src/identity/join-token.ts';
import { TrysailError } from '../../src/lib/errors.ts';
import { type MeshCa, startMeshCa, TRUST_DOMAIN } from '../identity/mesh-ca.ts';
import { freePort } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { type FakeMachine, fakeMachine } from './fake-machine.ts';

interface Rig {
  readonly ca: MeshCa;
  readonly folder: string;
  readonly machine: FakeMachine;
  /** A token as `trysail token create` makes it. */
  readonly token: (options?: Parameters<MeshCa['token']>[0]) => Promise<string>;
  readonly join: (tokenText: string, options?: Partial<JoinOptions>) => ReturnType<typeof joinHost>;
}

async function rig(t: TestContext, agentYaml = '', caOptions: Partial<CaServerOptions> = {}): Promise<Rig> {
  const ca = await startMeshCa(t, caOptions);
  const folder = await tempDir(t);
  const state = await tempDir(t);
  await writeFile(
    join(folder, 'agent.yaml'),
    `registry: files\nhost: { name: vm-1, address: 127.0.0.1 }\npaths: { state: ${state}, run: ${state} }\n${agentYaml}`,
  );
  const machine = fakeMachine();
  return {
    ca,
    folder,
    machine,
    token: async (options) =>
      encodeJoinToken({ ...decodeJoinToken(await ca.token(options)), trustDomain: TRUST_DOMAIN }),
    join: async (tokenText, options = {}) =>
      joinHost({
        tokenText,
        configFile: join(folder, 'agent.yaml'),
        wanted: { services: [], upstreams: [] },
        dryRun: false,
        timeoutMs: 1000,
        machine,
        say: () => undefined,
        signal: new AbortController().signal,
        ...options,
      }),
  };
}

/** Rejects with this, and leaves the host as it was. */
async function refused(
  { folder, machine }: Rig,
  attempt: () => Promise<unknown>,
  expected: { readonly code: string; readonly message: RegExp; readonly remedy: RegExp },
): Promise<void> {
  const before = await readFile(join(folder, 'agent.yaml'), 'utf8');
  await assert.rejects(attempt(), (error: unknown) => {
    assert.ok(error instanceof TrysailError, String(error));
    assert.equal(error.code, expected.code, error.message);
    assert.match(error.message, expected.message);
    assert.match(error.remedy ?? '', expected.remedy);
    return true;
  });
  assert.equal(await readFile(join(folder, 'agent.yaml'), 'utf8'), before);
  assert.deepEqual(
    (await readdir(folder)).filter((name) => !/^(agent|meshconfig)\.yaml$/.test(name)),
    [],
  );
  assert.deepEqual(
    machine.calls.filter((line) => /enable|start/.test(line)),
    [],
  );
}

test('tokens: expired, revoked, used by another, of another CA, damaged', async (t) => {
  const r = await rig(t);
  const newToken = /trysail token create/;
  const revoked = await r.token();
  await r.ca.tokens.revoke(decodeJoinToken(revoked).id);
  await refused(r, async () => r.join(revoked), {
    code: 'JOIN_TOKEN_REFUSED',
    message: /join token has been revoked/,
    remedy: newToken,
  });

  const used = await r.token();
  const never = new AbortController().signal;
  await r.ca
    .provider({ stateDir: await tempDir(t), host: 'vm-2', token: () => used })
    .issue(`spiffe://${TRUST_DOMAIN}/ns/default/sa/a` as never, never);
  await refused(r, async () => r.join(used), {
    code: 'JOIN_TOKEN_REFUSED',
    message: /join token has been used/,
    remedy: newToken,
  });

  const unknown = encodeJoinToken({ ...decodeJoinToken(await r.token()), id: 'abcdef' });
  await refused(r, async () => r.join(unknown), {
    code: 'JOIN_TOKEN_REFUSED',
    message: /this CA did not issue/,
    remedy: newToken,
  });

  const others = await r.token({ host: 'vm-9' });
  await refused(r, async () => r.join(others), {
    code: 'JOIN_TOKEN_REFUSED',
    message: /made for another host/,
    remedy: newToken,
  });

  await refused(r, async () => r.join((await r.token()).slice(0, 60)), {
    code: 'TOKEN_MALFORMED',
    message: /not a join token/,
    remedy: /Copy the one line/,
  });

  const expired = await r.token({ ttlMs: 1000 });
  r.ca.setClockAhead(1001);
  await refused(r, async () => r.join(expired), {
    code: 'JOIN_TOKEN_REFUSED',
    message: /join token has expired/,
    remedy: newToken,
  });
});

test('another host holds the name', async (t) => {
  const r = await rig(t);
  const first = await r.token();
  await r.ca
    .provider({ stateDir: await tempDir(t), host: 'vm-1', token: () => first })
    .issue(`spiffe://${TRUST_DOMAIN}/ns/default/sa/a` as never, new AbortController().signal);
  await refused(r, async () => r.join(await r.token()), {
    code: 'JOIN_TOKEN_REFUSED',
    message: /another host holds the name "vm-1" .*--host vm-1/,
    remedy: /token create/,
  });
});

test('the CA: away, silent, and not the one of the token', async (t) => {
  const r = await rig(t);
  const impostor = await startMeshCa(t);
  const token = decodeJoinToken(await r.token());
  const port = await freePort();
  await refused(r, async () => r.join(encodeJoinToken({ ...token, ca: [`127.0.0.1:${port}`] })), {
    code: 'CA_UNREACHABLE',
    message: new RegExp(`127\\.0\\.0\\.1:${port}.*ECONNREFUSED`),
    remedy: /firewalls/,
  });
  const talker = createServer((socket) => socket.on('error', () => undefined).end('HTTP/1.1 400\r\n\r\n'));
  await new Promise<void>((resolve) => talker.listen(0, '127.0.0.1', resolve));
  t.after(() => talker.close());
  const { port: other } = talker.address() as { port: number };
  await refused(r, async () => r.join(encodeJoinToken({ ...token, ca: [`127.0.0.1:${other}`] })), {
    code: 'CA_UNREACHABLE',
    message: /no TLS handshake/,
    remedy: /Check that the CA runs/,
  });
  await refused(r, async () => r.join(encodeJoinToken({ ...token, ca: [impostor.address] })), {
    code: 'CA_ROOT_MISMATCH',
    message: new RegExp(`${r.ca.rootFingerprint}.*${impostor.rootFingerprint}`),
    remedy: /Nothing was sent/,
  });
  assert.equal(impostor.server.status().refused, 0);
  const elsewhere = await rig(t, 'identity: { ca: { address: "nowhere.invalid:15012" } }\n');
  await refused(elsewhere, async () => elsewhere.join(await elsewhere.token()), {
    code: 'CA_UNREACHABLE',
    message: /nowhere\.invalid:15012/,
    remedy: /identity\.ca\.address/,
  });
});

test('a CA that puts hosts off is asked again, until it has time', async (t) => {
  const r = await rig(t, '', { rateLimit: { perSecond: 0.05, burst: 1 } });
  const token = await r.token();
  // One of them has time at once, the other one twenty seconds later by the CA's clock.
  const said: string[] = [];
  const say = (line: string): void => {
    said.push(line);
    if (line === 'The CA is busy; asking again.') r.ca.setClockAhead(20_000);
  };
  const reports = await Promise.all([1, 2].map(async () => r.join(token, { dryRun: true, say })));
  assert.ok(reports.every(({ state }) => state === 'planned'));
  assert.deepEqual(
    said.filter((line) => line.includes('busy')),
    ['The CA is busy; asking again.'],
  );
});

test('clocks that differ, in either direction', async (t) => {
  const r = await rig(t);
  r.ca.setClockAhead(600_000);
  await refused(r, async () => r.join(await r.token()), {
    code: 'CLOCK_BEHIND',
    message: /this host's clock is (?:9m 5\ds|10m).* behind the one of the CA at 127/,
    remedy: /timedatectl set-ntp/,
  });
  r.ca.setClockAhead(-600_000);
  await refused(r, async () => r.join(await r.token({ ttlMs: 3_600_000 })), {
    code: 'CLOCK_AHEAD',
    message: /ahead of the one of the CA/,
    remedy: /timedatectl set-ntp/,
  });
});

test('a token that does not allow what the host runs', async (t) => {
  const r = await rig(t);
  const wanted = { services: [{ name: 'orders', namespace: 'shop' }, { name: 'web' }], upstreams: [] };
  await refused(r, async () => r.join(await r.token(), { wanted }), {
    code: 'JOIN_NOT_ENTITLED',
    message: /token allows default\/\*, and this host runs shop\/orders$/,
    remedy: /trysail token create --allow shop\/orders/,
  });
});

test('a host of another mesh, and one whose identity comes from elsewhere', async (t) => {
  const r = await rig(t);
  await writeFile(join(r.folder, 'meshconfig.yaml'), 'trustDomain: other.example\n');
  const named = await rig(t, `mesh: { config: ${join(r.folder, 'meshconfig.yaml')} }\n`);
  for (const one of [r, named]) {
    await refused(one, async () => one.join(await one.token()), {
      code: 'TRUST_DOMAIN_MISMATCH',
      message: /meshconfig\.yaml says trustDomain other\.example, the token is for prod\.example/,
      remedy: /trysail leave/,
    });
  }
  const none = await rig(t, 'identity: { provider: none }\n');
  await refused(none, async () => none.join(await none.token()), {
    code: 'CONFIGURATION_INVALID',
    message: /identity\.provider: none/,
    remedy: /trysail-ca/,
  });
});

test('Consul that does not answer; options and files that are wrong; a user who may not', async (t) => {
  const r = await rig(t);
  const port = await freePort();
  const text = (await readFile(join(r.folder, 'agent.yaml'), 'utf8')).replace('registry: files\n', '');
  await writeFile(join(r.folder, 'agent.yaml'), text);
  const wanted = { consulAddress: `http://127.0.0.1:${port}`, services: [], upstreams: [] };
  await refused(r, async () => r.join(await r.token(), { wanted }), {
    code: 'CONSUL_UNREACHABLE',
    message: new RegExp(String(port)),
    remedy: /./,
  });
  await refused(
    r,
    async () => r.join(await r.token(), { wanted: { mode: 'sometimes', services: [], upstreams: [] } }),
    {
      code: 'CONFIGURATION_INVALID',
      message: /agent\.yaml:\d+: error TRY0901 mode: "sometimes" is not/,
      remedy: /./,
    },
  );
  const user = { ...r.machine, uid: 1000 };
  await refused(r, async () => r.join(await r.token(), { machine: user }), {
    code: 'JOIN_FORBIDDEN',
    message: /only root may start/,
    remedy: /sudo/,
  });
});
