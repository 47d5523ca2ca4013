import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { consulCheck } from '../../src/agent/check-consul.ts';
import { consulAclCheck } from '../../src/agent/check-consul-acl.ts';
import { clockSkew } from '../../src/agent/check-skew.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import type { CheckOutcome, HostCheck } from '../../src/platform/vm/checks/host-check.ts';
import { startAclConsul } from '../consul/acl.ts';
import { startChild } from '../support/child.ts';
import { startConsul } from '../support/consul.ts';
import { eventually } from '../support/eventually.ts';
import { freePort, freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { consulBinary, ROOT } from '../support/tools.ts';
import { brief, fakeHost, needsWith } from './fake-host.ts';
import { settingsIn } from './settings.ts';

const SERVICES = [
  { name: 'reviews', port: 9080, application: '127.0.0.1:9081' },
  { name: 'web', namespace: 'payments', port: 9443, application: '127.0.0.1:9444' },
];

async function run(check: HostCheck, aheadMs = 0): Promise<CheckOutcome> {
  const io = { ...fakeHost({}), now: () => Date.now() + aheadMs };
  return check.run({ io, needs: needsWith({}), signal: new AbortController().signal });
}

async function settingsFor(t: TestContext, address: string, token?: string, mesh: object = {}) {
  const dir = await tempDir(t);
  const tokenFile = join(dir, 'consul.token');
  if (token !== undefined) await writeFile(tokenFile, token, { mode: 0o600 });
  return settingsIn(dir, {
    consul: { address, ...(token === undefined ? {} : { tokenFile }) },
    identity: { provider: 'none' },
    mesh: { resources: join(dir, 'resources'), ...mesh },
    services: SERVICES,
    upstreams: [{ service: 'ratings', listen: '127.0.0.1:9082' }],
  });
}

/** The policy as docs/consul.md prints it, for a host with these services. */
function documentedPolicy(): string {
  const page = readFileSync(join(ROOT, 'docs/consul.md'), 'utf8');
  const block = /```hcl\n# trysail-agent[^\n]*\n(?<rules>[\s\S]*?)```/.exec(page)?.groups?.['rules'];
  assert.ok(block !== undefined);
  return block;
}

test('Consul: version, agent, limits and time', async (t) => {
  const consul = await startConsul(t);
  const settings = await settingsFor(t, consul.address);
  const outcome = await run(consulCheck(settings));
  assert.deepEqual(outcome.findings, []);
  assert.match(
    outcome.facts.join('; '),
    /^http:\/\/127\.0\.0\.1:\d+; 1\.8\.7, server agent server in dc1; 2000 connections allowed; same time$/,
  );
  const acl = await run(consulAclCheck(settings, DEFAULT_MESH_CONFIG));
  assert.deepEqual([acl.findings, acl.facts], [[], ['ACLs are off: whoever reaches Consul may register anything']]);
});

test('Consul: a clock that is off, both ways', async (t) => {
  const consul = await startConsul(t);
  const settings = await settingsFor(t, consul.address);
  const behind = await run(consulCheck(settings), -20_000);
  assert.deepEqual(brief(behind), ['warning TRY1110 clock']);
  assert.match(behind.findings[0]?.message ?? '', /^this host is (?:19|2\d)s behind Consul at /);
  assert.deepEqual(brief(await run(consulCheck(settings), 3_600_000)), ['error TRY1110 clock']);
});

test('Consul: fewer connections than the host may need', async (t) => {
  const consul = await startConsul(t, { limits: { http_max_conns_per_client: 50 } });
  const outcome = await run(consulCheck(await settingsFor(t, consul.address)));
  assert.deepEqual(brief(outcome), ['warning TRY1142 Consul']);
});

/** The address of a server that waits for two more. */
async function leaderless(t: TestContext): Promise<string> {
  const dir = await tempDir(t);
  const [http = 0, server = 0, lan = 0, wan = 0] = await freePorts(4);
  const ports = [`ports { http = ${http} server = ${server} serf_lan = ${lan} serf_wan = ${wan} dns = -1 grpc = -1 }`];
  const args = ['-server', '-bootstrap-expect=3', '-bind=127.0.0.1', '-client=127.0.0.1', `-data-dir=${dir}`];
  startChild(t, consulBinary(), ['agent', ...args, '-hcl', ...ports]);
  const address = `http://127.0.0.1:${http}`;
  await eventually('it answers', async () => (await fetch(`${address}/v1/status/leader`)).ok);
  return address;
}

test('Consul: nobody there, a server without a leader, something else', async (t) => {
  const dead = await settingsFor(t, `http://127.0.0.1:${await freePort()}`);
  assert.deepEqual(brief(await run(consulCheck(dead))), ['error TRY1140 consul.address']);
  assert.equal((await run(consulAclCheck(dead, DEFAULT_MESH_CONFIG))).skipped, 'Consul does not answer');
  const alone = await run(consulCheck(await settingsFor(t, await leaderless(t))));
  assert.deepEqual(brief(alone), ['error TRY1140 Consul']);
  assert.match(alone.findings[0]?.message ?? '', /have no leader/);
  const web = createServer((_, response) => response.end('<html>'));
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  t.after(() => web.close());
  const bound = web.address();
  assert.ok(bound !== null && typeof bound === 'object');
  const wrong = await settingsFor(t, `http://127.0.0.1:${bound.port}`);
  assert.deepEqual(brief(await run(consulCheck(wrong))), ['error TRY1140 consul.address']);
});

test('the token: the documented policy is enough, and asking leaves nothing behind', async (t) => {
  const acl = await startAclConsul(t);
  const settings = await settingsFor(t, acl.consul.address, await acl.token(documentedPolicy()));
  const outcome = await run(consulAclCheck(settings, DEFAULT_MESH_CONFIG));
  assert.deepEqual(outcome.findings, []);
  assert.match(
    outcome.facts.join('; '),
    /2 of 2 services may be registered \(reviews, payments--web\); services and nodes are visible/,
  );
  const services = await fetch(`${acl.consul.address}/v1/catalog/services`, {
    headers: { 'X-Consul-Token': '11111111-2222-3333-4444-555555555555' },
  });
  assert.deepEqual(await services.json(), { consul: [] });
  const self = await run(consulCheck(settings));
  assert.deepEqual(self.findings, []);
  assert.match(self.facts.join(), /may not read the agent/);
});

test('the token: each right that is missing is named with its rule', async (t) => {
  const acl = await startAclConsul(t);
  const judgePolicy = async (rules: string): Promise<CheckOutcome> =>
    run(consulAclCheck(await settingsFor(t, acl.consul.address, await acl.token(rules)), DEFAULT_MESH_CONFIG));
  const without = (line: RegExp): string => {
    const lesser = documentedPolicy().replaceAll(line, '');
    assert.notEqual(lesser, documentedPolicy());
    return lesser;
  };
  const write = await judgePolicy(without(/^service "payments--web".*$/gm));
  assert.deepEqual(brief(write), ['error TRY1141 service payments--web in Consul']);
  assert.match(write.findings[0]?.remedy ?? '', /service "payments--web" \{ policy = "write" \}/);
  const read = await judgePolicy(without(/^service_prefix.*$/gm));
  assert.deepEqual(brief(read), ['error TRY1141 discovery', 'error TRY1141 sentinel service consul']);
  assert.match(read.findings[0]?.message ?? '', /may not read consul, ratings/);
  const nodes = await judgePolicy(without(/^node_prefix.*$/gm));
  assert.deepEqual(brief(nodes), ['error TRY1141 discovery', 'error TRY1141 sentinel service consul']);
  assert.match(nodes.findings[0]?.remedy ?? '', /node_prefix "" \{ policy = "read" \}/);
  const narrow = await judgePolicy(
    `${without(/^service_prefix.*$/gm)}\nservice "ratings" { policy = "read" } service "consul" { policy = "read" }`,
  );
  assert.deepEqual(narrow.findings, []);
});

/** The rules that docs/fleet.md gives to a host, for this one. */
function documentedFleetRules(): string {
  const page = readFileSync(join(ROOT, 'docs/fleet.md'), 'utf8');
  const row = /^\| host \|(?<rules>.*)\|$/m.exec(page)?.groups?.['rules'] ?? '';
  const rules = [...row.matchAll(/`(?<rule>key[^`]*)`/g)].map(({ groups }) => groups?.['rule'] ?? '');
  assert.equal(rules.length, 2, row);
  return rules.join('\n').replace('<host name>', 'vm-1');
}

test("the token: what a host needs of the fleet's configuration, where it follows one", async (t) => {
  const acl = await startAclConsul(t);
  const trust = join(await tempDir(t), 'fleet-root.pem');
  await writeFile(trust, 'a key');
  const judgePolicy = async (rules: string, mesh: object): Promise<CheckOutcome> => {
    const token = await acl.token(`${documentedPolicy()}\n${rules}`);
    return run(consulAclCheck(await settingsFor(t, acl.consul.address, token, mesh), DEFAULT_MESH_CONFIG));
  };
  const follows = { fleet: { trust, namespaces: ['shop'] } };
  const whole = await judgePolicy(documentedFleetRules(), follows);
  assert.deepEqual(whole.findings, []);
  assert.match(whole.facts.join('; '), /the fleet's configuration may be read and acknowledged$/);
  const without = await judgePolicy('', follows);
  assert.deepEqual(brief(without), ['error TRY1141 fleet configuration', 'warning TRY1141 fleet configuration']);
  assert.match(
    without.findings[0]?.message ?? '',
    /may not read trysail\/v1\/mesh, trysail\/v1\/ns\/istio-system\/head, .*trysail\/v1\/ns\/payments\/head, trysail\/v1\/ns\/shop\/head:/,
  );
  assert.match(without.findings[0]?.remedy ?? '', /key_prefix "trysail\/v1\/" \{ policy = "read" \}/);
  assert.match(without.findings[1]?.message ?? '', /may not write trysail\/v1\/status\/vm-1/);
  assert.match(without.findings[1]?.remedy ?? '', /key "trysail\/v1\/status\/vm-1" \{ policy = "write" \}/);
  const reads = await judgePolicy('key_prefix "trysail/v1/" { policy = "read" }', follows);
  assert.deepEqual(brief(reads), ['warning TRY1141 fleet configuration']);
  const part = 'key "trysail/v1/mesh" { policy = "read" } key_prefix "trysail/v1/ns/shop/" { policy = "read" }';
  const some = await judgePolicy(`${part} key "trysail/v1/status/vm-1" { policy = "write" }`, follows);
  assert.deepEqual(brief(some), ['error TRY1141 fleet configuration']);
  assert.doesNotMatch(some.findings[0]?.message ?? '', /mesh|shop/);
  const publisher = await judgePolicy('key_prefix "trysail/v1/" { policy = "write" }', follows);
  assert.deepEqual(
    publisher.findings.map(({ severity, code, message }) => `${severity} ${code} ${message}`),
    ['warning TRY1143 the token may do far more than this host needs: key "trysail/v1/mesh" { policy = "write" }'],
  );
  // A host without a fleet's configuration needs none of it.
  assert.deepEqual((await judgePolicy('', {})).findings, []);
});

test('the token: none, an unknown one, one that may do anything', async (t) => {
  const acl = await startAclConsul(t);
  const judgeToken = async (token?: string): Promise<CheckOutcome> =>
    run(consulAclCheck(await settingsFor(t, acl.consul.address, token), DEFAULT_MESH_CONFIG));
  const none = await judgeToken();
  assert.equal(none.findings.length, 5);
  assert.match(none.findings[0]?.message ?? '', /without a token it may not be registered/);
  const unknown = await judgeToken('99999999-2222-3333-4444-555555555555');
  assert.match(unknown.findings.map(({ message }) => message).join(), /^Consul does not know the token$/);
  const management = await judgeToken('11111111-2222-3333-4444-555555555555');
  assert.deepEqual(
    management.findings.map(({ severity, code }) => `${severity} ${code}`),
    ['warning TRY1143'],
  );
});

test('a date that is none says nothing', () => {
  const during = { askedMs: 0, answeredMs: 0 };
  assert.deepEqual(clockSkew('x', undefined, during), { fact: undefined, finding: undefined });
  assert.deepEqual(clockSkew('x', 'soon', during), { fact: undefined, finding: undefined });
});
