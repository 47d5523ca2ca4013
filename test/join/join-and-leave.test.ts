/** A host's whole way: joined by one command, checked, joined again, left; with a real CA, agent, Envoy and Consul. */
import assert from 'node:assert/strict';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { bypassDir, writeBypassState } from '../../src/agent/bypass-state.ts';
import { type JoinReport, joinHost } from '../../src/agent/join.ts';
import { joinState } from '../../src/agent/join-check.ts';
import type { JoinSettings } from '../../src/agent/join-settings.ts';
import { type LeaveResult, leaveMesh } from '../../src/agent/leave.ts';
import { createConsulClient } from '../../src/consul/client.ts';
import { initialiseFleet } from '../../src/fleet/fleet-admin.ts';
import { statusKey } from '../../src/fleet/layout.ts';
import { createSigningKey, publicHalf } from '../../src/fleet/signing-key.ts';
import { decodeJoinToken, encodeJoinToken } from '../../src/identity/join-token.ts';
import { TrysailError } from '../../src/lib/errors.ts';
import { type MeshCa, startMeshCa, TRUST_DOMAIN } from '../identity/mesh-ca.ts';
import { type Child, startChild } from '../support/child.ts';
import { startConsul } from '../support/consul.ts';
import { eventually } from '../support/eventually.ts';
import { freePort, freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary, ROOT } from '../support/tools.ts';
import { type FakeMachine, fakeMachine } from './fake-machine.ts';

const FLEET = createSigningKey();

interface Rig {
  readonly ca: MeshCa;
  readonly etc: string;
  readonly config: string;
  readonly state: string;
  readonly run: string;
  readonly machine: FakeMachine;
  readonly said: string[];
  agent: Child | undefined;
  token(): Promise<string>;
  join(tokenText: string, wanted?: Partial<JoinSettings>, timeoutMs?: number): Promise<JoinReport>;
  leave(options?: { readonly keepConfig?: boolean; readonly dryRun?: boolean }): Promise<readonly LeaveResult[]>;
}

/** Everything below one folder, so that the run folder's sockets have short names. */
async function rig(t: TestContext, agentYaml: string): Promise<Rig> {
  const ca = await startMeshCa(t, {
    readMeshConfig: async () => `trustDomain: ${TRUST_DOMAIN}\nconnectTimeout: 2s\n`,
    readFleetRoot: async () => FLEET.publicPem,
  });
  const dir = await tempDir(t);
  const [etc, state, run] = [join(dir, 'etc'), join(dir, 'state'), join(dir, 'run')] as const;
  const config = join(etc, 'agent.yaml');
  const { mkdir } = await import('node:fs/promises');
  await mkdir(etc);
  const [health = 0] = await freePorts(1);
  await writeFile(
    config,
    `# The operator's own words.
host: { address: 127.0.0.1 }
paths: { state: ${state}, run: ${run} }
envoy: { binary: ${envoyBinary()}, concurrency: 1, healthListener: "127.0.0.1:${health}", drainTime: 1s }
${agentYaml}`,
  );
  const machine = fakeMachine();
  const said: string[] = [];
  const rigged: Rig = {
    ca,
    etc,
    config,
    state,
    run,
    machine,
    said,
    agent: undefined,
    token: async () => encodeJoinToken({ ...decodeJoinToken(await ca.token()), trustDomain: TRUST_DOMAIN }),
    join: async (tokenText, wanted = {}, timeoutMs = 60_000) =>
      joinHost({
        tokenText,
        configFile: config,
        wanted: { services: [], upstreams: [], ...wanted },
        dryRun: false,
        timeoutMs,
        machine,
        say: (line) => void said.push(line),
        signal: new AbortController().signal,
      }),
    leave: async ({ keepConfig = false, dryRun = false } = {}) => {
      const results: LeaveResult[] = [];
      const returned = await leaveMesh({
        configFile: config,
        keepConfig,
        dryRun,
        machine,
        onResult: (result) => void results.push(result),
        signal: new AbortController().signal,
      });
      assert.deepEqual(results, returned);
      return results;
    },
  };
  machine.onStart = (unit) => {
    if (unit !== 'trysail.service') return;
    rigged.agent = startChild(t, join(ROOT, 'scripts/trysail'), ['agent', '--config', config]);
  };
  machine.onStop = async (unit) => {
    if (unit === 'trysail.service') await rigged.agent?.stop();
  };
  return rigged;
}

const outcomes = (results: readonly LeaveResult[]): readonly string[] => results.map(({ outcome }) => outcome);

test('join, again, with more services, check, and leave with the agent dead', async (t) => {
  const consul = await startConsul(t);
  const client = createConsulClient({ address: consul.address });
  t.after(() => client.close());
  const publisher = { name: 'admin', publicKey: publicHalf(FLEET), namespaces: ['*'], kinds: ['*'], mayFreeze: true };
  await initialiseFleet(client, FLEET, publisher, 'allow');
  const r = await rig(t, `consul: { address: "${consul.address}" }\n`);
  const [orders = 0, application = 0] = await freePorts(2);
  assert.partialDeepStrictEqual(await joinState(r.config), { joined: false, reason: 'no-credential' });

  const token = await r.token();
  const report = await r
    .join(token, {
      name: 'vm-1',
      services: [{ name: 'orders', port: orders, application: `127.0.0.1:${application}` }],
    })
    .catch((error: unknown) => {
      throw new Error(`${String(error)}\n${r.agent?.output() ?? ''}`);
    });
  assert.partialDeepStrictEqual(report, { state: 'joined', hadJoined: false, host: 'vm-1', trustDomain: TRUST_DOMAIN });
  assert.deepEqual(report.units, ['trysail-envoy.service', 'trysail.service']);
  assert.deepEqual(
    report.certificates?.workloads.map(({ spiffeId }) => spiffeId),
    [`spiffe://${TRUST_DOMAIN}/ns/default/sa/orders`],
  );
  assert.ok(
    report.certificates?.workloads.every(
      ({ serial, nextRenewal }) => serial !== undefined && nextRenewal !== undefined,
    ),
  );
  assert.equal(report.certificates?.host?.spiffeId, `spiffe://${TRUST_DOMAIN}/host/vm-1`);
  assert.deepEqual(
    report.files.map(({ path, change }) => [path.slice(r.etc.length), change]),
    [
      ['/agent.yaml', 'completed'],
      ['/meshconfig.yaml', 'written'],
      ['/fleet-root.pem', 'written'],
    ],
  );
  assert.match(await readFile(r.config, 'utf8'), /^# The operator's own words\.\n/);
  assert.equal(
    await readFile(join(r.etc, 'meshconfig.yaml'), 'utf8'),
    `trustDomain: ${TRUST_DOMAIN}\nconnectTimeout: 2s\n`,
  );
  assert.deepEqual(
    (await readdir(r.etc)).toSorted(),
    ['agent.yaml', 'fleet-root.pem', 'meshconfig.yaml'],
    'the token is used up and gone',
  );
  assert.equal(await readFile(join(r.etc, 'fleet-root.pem'), 'utf8'), FLEET.publicPem);
  const said = async (): Promise<unknown> => (await client.kv.get(statusKey('vm-1'))).value;
  await eventually('the host follows the fleet', async () => assert.ok(await said()));
  assert.ok(
    r.said.some((line) => line.startsWith('Waiting for ')),
    r.said.join('\n'),
  );
  assert.ok(r.machine.enabled.has('trysail.service') && r.machine.enabled.has('trysail-envoy.service'));
  assert.partialDeepStrictEqual(await joinState(r.config), {
    joined: true,
    host: 'vm-1',
    spiffeId: `spiffe://${TRUST_DOMAIN}/host/vm-1`,
  });

  // The same once more changes nothing and disturbs nobody.
  const pid = r.agent?.process.pid;
  const before = await readFile(r.config, 'utf8');
  const again = await r.join(token);
  assert.partialDeepStrictEqual(again, { state: 'joined', hadJoined: true });
  assert.equal(r.agent?.process.pid, pid);
  assert.equal(await readFile(r.config, 'utf8'), before);
  assert.deepEqual((await readdir(r.etc)).toSorted(), ['agent.yaml', 'fleet-root.pem', 'meshconfig.yaml']);

  // A further service, and a token for it.
  const more = await r.join(await r.token(), { services: [{ name: 'cart' }] });
  assert.deepEqual(
    more.certificates?.workloads.map(({ spiffeId }) => spiffeId.split('/').at(-1)),
    ['orders', 'cart'],
  );
  assert.notEqual(r.agent?.process.pid, pid, 'the agent reads its settings anew');

  const services = async (): Promise<readonly string[]> =>
    Object.keys((await (await fetch(`${consul.address}/v1/agent/services`)).json()) as object);
  assert.deepEqual(await services(), ['orders-vm-1']);
  await fetch(`${consul.address}/v1/agent/service/register`, {
    method: 'PUT',
    body: JSON.stringify({ Name: 'foreign' }),
  });

  const planned = await r.leave({ dryRun: true });
  assert.ok(planned.every(({ outcome }) => outcome !== 'done' && outcome !== 'failed'));
  assert.equal((await services()).length, 2);

  // The agent dies; nobody is there to tidy up but leave itself.
  await r.agent?.stop('SIGKILL');
  r.machine.active.delete('trysail.service');
  r.machine.tables.add('inet trysail').add('inet trysail_guard').add('inet filter').add('ip trysailing');
  r.machine.links.add('trysail0');
  r.machine.routing.set('-4 rule', [
    '32765: from all fwmark 0x539 lookup 133',
    '32764: from all fwmark 0x539 lookup 133',
  ]);
  r.machine.routing.set('-6 address', ['    inet6 ::6/128 scope global nodad ']);
  await writeBypassState(bypassDir(r.run), { entries: [{ name: '*' }], restoreRouteLocalnet: true });
  const left = await r.leave();
  assert.ok(!left.some(({ outcome }) => outcome === 'failed'), JSON.stringify(left, undefined, 2));
  assert.deepEqual(await services(), ['foreign'], 'what others registered stays');
  assert.equal(await said(), undefined, 'the fleet waits for this host no more');
  assert.deepEqual([...r.machine.tables], ['inet filter', 'ip trysailing']);
  assert.deepEqual([...r.machine.links], []);
  assert.deepEqual([...r.machine.routing.values()].flat(), []);
  assert.ok(r.machine.calls.includes('sh -c echo 0 >/proc/sys/net/ipv4/conf/all/route_localnet'));
  await assert.rejects(stat(bypassDir(r.run)), { code: 'ENOENT' });
  assert.deepEqual([...r.machine.active], []);
  assert.deepEqual([...r.machine.enabled], []);
  for (const gone of [r.state, r.run]) await assert.rejects(stat(gone), { code: 'ENOENT' });
  assert.deepEqual(await readdir(r.etc), []);
  assert.ok((await r.ca.hosts.get('vm-1'))?.leftAtMs !== undefined, 'the CA knows');

  const twice = await r.leave();
  assert.ok(
    outcomes(twice).every((outcome) => outcome === 'already' || outcome === 'skipped'),
    JSON.stringify(twice),
  );
});

test('leave with everything else away: said, and the rest goes on', async (t) => {
  const port = await freePort();
  const r = await rig(t, 'registry: files\n');
  await r.join(await r.token(), { name: 'vm-1', services: [{ name: 'cart' }] });
  await r.ca.stop();
  const text = await readFile(r.config, 'utf8');
  await writeFile(r.config, text.replace('registry: files', `consul: { address: "http://127.0.0.1:${port}" }`));
  r.machine.broken.set('nft', 'Operation not permitted');
  const results = await r.leave({ keepConfig: true });
  const failed = results.filter(({ outcome }) => outcome === 'failed');
  assert.deepEqual(
    failed.map(({ what }) => what),
    [
      'The services of this host are out of Consul',
      'The rules of capture, its guard and bypass are gone',
      "The CA knows that this host's credential is given up",
    ],
  );
  const [consul, rules, credential] = failed;
  assert.match(consul?.detail ?? '', new RegExp(`127\\.0\\.0\\.1:${port}`));
  assert.match(rules?.detail ?? '', /Operation not permitted/);
  assert.match(credential?.remedy ?? '', /trysail ca revoke vm-1/);
  assert.ok(r.agent?.process.exitCode !== null || r.agent.process.signalCode !== null, 'the agent has ended');
  await assert.rejects(stat(r.state), { code: 'ENOENT' });
  assert.deepEqual((await readdir(r.etc)).toSorted(), ['agent.yaml', 'meshconfig.yaml'], 'the configuration stays');
});

test('an agent that does not get there in time, and a unit that systemd gave up, are named', async (t) => {
  const r = await rig(t, 'registry: files\n');
  r.machine.onStart = () => undefined;
  await assert.rejects(r.join(await r.token(), {}, 600), (error: unknown) => {
    assert.ok(error instanceof TrysailError);
    assert.equal(error.code, 'JOIN_INCOMPLETE');
    assert.match(error.message, /not in the mesh after 600ms: waiting for the agent \(the agent is not running/);
    return true;
  });
  assert.equal((await stat(join(r.etc, 'join.token'))).mode & 0o777, 0o600, 'what was not used stays for the next try');
  r.machine.failed.add('trysail-envoy.service');
  await assert.rejects(r.join(await r.token(), {}, 30_000), {
    code: 'UNIT_FAILED',
    message: /trysail-envoy\.service has failed/,
    remedy: /journalctl -u trysail-envoy\.service/,
  });
  r.machine.failed.clear();
  r.machine.broken.set('systemctl enable trysail.service', 'Access denied');
  await assert.rejects(r.join(await r.token()), {
    code: 'UNIT_FAILED',
    message: /systemctl enable trysail\.service failed: Access denied/,
  });
});

test('a host without services joins too; without systemd it is said what to start', async (t) => {
  const r = await rig(t, 'registry: files\n');
  r.machine.hasSystemd = false;
  const token = await r.token();
  const ready = await r.join(token, { name: 'vm-1' });
  assert.deepEqual([ready.state, ready.units, ready.toStart], ['configured', [], `trysail agent --config ${r.config}`]);
  assert.deepEqual(
    r.machine.calls.filter((line) => line.startsWith('systemctl')),
    [],
  );
  const agent = startChild(t, join(ROOT, 'scripts/trysail'), ['agent', '--config', r.config]);
  await eventually('it has joined', async () => (await joinState(r.config)).joined);
  const joined = await r.join(token);
  assert.equal(joined.state, 'joined');
  assert.deepEqual(joined.certificates?.workloads, []);
  const left = await r.leave();
  assert.ok(!left.some(({ outcome }) => outcome === 'failed'), JSON.stringify(left));
  assert.equal(await agent.exited, 0, agent.output());
  await assert.rejects(stat(r.state), { code: 'ENOENT' });
});

test('join --check: nobody looks like joined who is not', async (t) => {
  const r = await rig(t, 'registry: files\n');
  assert.partialDeepStrictEqual(await joinState(join(r.etc, 'none.yaml')), { joined: false, reason: 'not-configured' });
  r.machine.hasSystemd = false;
  await r.join(await r.token(), { name: 'vm-1' });
  assert.partialDeepStrictEqual(await joinState(r.config), { joined: false, reason: 'no-credential' });
  const given = (await readFile(join(r.etc, 'join.token'), 'utf8')).trim();
  await r.ca.provider({ stateDir: r.state, token: () => given }).maintain(new AbortController().signal);
  assert.partialDeepStrictEqual(await joinState(r.config), { joined: true });
  const later = Date.now() + 31 * 86_400_000;
  assert.partialDeepStrictEqual(await joinState(r.config, later), { joined: false, reason: 'expired' });
  await writeFile(join(r.etc, 'meshconfig.yaml'), 'trustDomain: other.example\n');
  assert.partialDeepStrictEqual(await joinState(r.config), { joined: false, reason: 'no-credential' });
  const text = await readFile(r.config, 'utf8');
  await writeFile(r.config, `${text}\n`.replace('identity:', 'identity:\n  provider: none'));
  assert.partialDeepStrictEqual(await joinState(r.config), { joined: false, reason: 'other-provider' });
});
