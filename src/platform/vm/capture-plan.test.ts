import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CapturePlan, checkCapturePlan, leftAlonePorts } from './capture-plan.ts';
import { captureRuleset } from './capture-ruleset.ts';

const PLAN: CapturePlan = {
  callers: [{ port: 15001, match: { kind: 'uid', uid: 1001 } }],
  inbound: [],
  inboundPort: 15006,
  envoyUid: 997,
  agentUid: 996,
  outboundOnFailure: 'direct',
  exclude: { ports: [], addresses: [], uids: [], interfaces: [] },
  sshPorts: [],
  ownPorts: [],
  namedRanges: [],
};

test('ports that are left alone are merged, and always those of ssh, DNS, Consul and the CA', () => {
  const ports = leftAlonePorts({
    ...PLAN,
    sshPorts: [23],
    exclude: { ...PLAN.exclude, ports: [{ from: 8301, to: 8310 }] },
  });
  const holds = (port: number): boolean => ports.some(({ from, to }) => from <= port && port <= to);
  assert.deepEqual(ports[0], { from: 22, to: 23 });
  assert.ok(ports.some(({ from, to }) => from === 8300 && to === 8310));
  for (const port of [22, 53, 8300, 8301, 8302, 8500, 8501, 8502, 8503, 8600, 15001, 15012, 15021])
    assert.ok(holds(port));
  assert.ok(!holds(80));
});

const inbound = (port: number): Partial<CapturePlan> => ({
  inbound: [{ port, how: 'redirect', onProxyFailure: 'direct' }],
});
const caller = (match: CapturePlan['callers'][number]['match']): Partial<CapturePlan> => ({
  callers: [{ port: 15001, match }],
});

const REFUSED: Readonly<Record<string, Partial<CapturePlan>>> = {
  'inbound port 22, which is never captured': inbound(22),
  'inbound port 8500, which is never captured': inbound(8500),
  'port 70000': inbound(70_000),
  'user id -1': { envoyUid: -1 },
  'caller with user id 997': caller({ kind: 'uid', uid: 997 }),
  'cgroup "a\\" accept"': caller({ kind: 'cgroup', path: 'a" accept' }),
  'cgroup "../x"': caller({ kind: 'cgroup', path: '../x' }),
  'address "10.0.0.0/33"': { exclude: { ...PLAN.exclude, addresses: ['10.0.0.0/33'] } },
  'address "; drop"': { namedRanges: ['; drop'] },
  'interface "eth0\\" }"': { exclude: { ...PLAN.exclude, interfaces: ['eth0" }'] } },
  'excluded ports 9-8': { exclude: { ...PLAN.exclude, ports: [{ from: 9, to: 8 }] } },
  'callers after the rest of the host': {
    callers: [
      { port: 15001, match: { kind: 'rest' } },
      { port: 15101, match: { kind: 'uid', uid: 1 } },
    ],
  },
};

for (const [words, change] of Object.entries(REFUSED))
  test(`refused: ${words}`, () => {
    assert.throws(
      () => captureRuleset({ ...PLAN, ...change }),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'CAPTURE_PLAN_INVALID');
        assert.ok(error.message.includes(words), error.message);
        return true;
      },
    );
  });

test('units have the names that systemd gives them', () => {
  checkCapturePlan({
    ...PLAN,
    ...caller({ kind: 'cgroup', path: String.raw`system.slice/system-a\x2db.slice/a-b@1.service` }),
  });
});

test('the revision is that of the rules, whoever owns them', () => {
  const { revision } = captureRuleset(PLAN);
  assert.match(revision, /^[0-9a-f]{16}$/);
  assert.equal(captureRuleset({ ...PLAN }, { owned: false }).revision, revision);
  assert.notEqual(captureRuleset({ ...PLAN, sshPorts: [2222] }).revision, revision);
});
