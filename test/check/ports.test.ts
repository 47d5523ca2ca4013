import assert from 'node:assert/strict';
import { test } from 'node:test';
import { APPLICATIONS_CHECK } from '../../src/platform/vm/checks/applications.ts';
import type { NeededPort } from '../../src/platform/vm/checks/host-check.ts';
import { inPortList, PORTS_CHECK } from '../../src/platform/vm/checks/ports.ts';
import { brief, judge } from './fake-host.ts';

const port = (number: number, given: Partial<NeededPort> = {}): NeededPort => ({
  object: `port ${number}`,
  protocol: 'tcp',
  address: '10.0.0.5',
  port: number,
  fromPeers: true,
  ...given,
});
const KERNEL = {
  '/proc/sys/net/ipv4/ip_unprivileged_port_start': '1024\n',
  '/proc/sys/net/ipv4/ip_local_port_range': '32768\t60999\n',
  '/proc/sys/net/ipv4/ip_local_reserved_ports': '\n',
  '/proc/self/status': 'Name:\tnode\nCapEff:\t0000000000000000\n',
};

test('ports that are free, or Envoy’s own, are fine', async () => {
  const tcp = [{ address: '10.0.0.5', port: 9080, pid: 7 }];
  const outcome = await judge(PORTS_CHECK, { files: KERNEL, tcp }, { ports: [port(9080), port(9081)], envoyPids: [7] });
  assert.deepEqual(outcome.findings, []);
  assert.deepEqual(outcome.facts, ['2 of 2 ports free or ours (9080, 9081)']);
});

test('a port that another has is told with its owner, and one that is shared as such', async () => {
  const ports = [port(9080), port(9081), port(9082)];
  const tcp = [
    { address: '0.0.0.0', port: 9080, pid: 812 },
    { address: '10.0.0.5', port: 9081, pid: undefined, uid: 33 },
    { address: '10.0.0.5', port: 9082, pid: 7 },
    { address: '10.0.0.5', port: 9082, pid: 8, program: '/usr/bin/envoy' },
    { address: '127.0.0.1', port: 9082, pid: 9 },
  ];
  const outcome = await judge(PORTS_CHECK, { files: KERNEL, tcp }, { ports, envoyPids: [7] });
  assert.deepEqual(brief(outcome), ['error TRY0103 port 9080', 'error TRY0103 port 9081', 'error TRY1103 port 9082']);
  assert.match(outcome.findings[0]?.message ?? '', /10\.0\.0\.5:9080 is in use by nginx \(pid 812\)/);
  assert.match(outcome.findings[1]?.message ?? '', /a process of user 33/);
  assert.match(outcome.findings[2]?.message ?? '', /\/usr\/bin\/envoy \(pid 8\) \(SO_REUSEPORT\)/);
  assert.deepEqual(outcome.facts, ['0 of 3 ports free or ours (9080, 9081, 9082)']);
});

test('Envoy of another user, whose pid is hidden, is known by its user', async () => {
  const files = { ...KERNEL, '/etc/passwd': 'trysail-envoy:x:990:990::/:/bin/false\n' };
  const tcp = [{ address: '10.0.0.5', port: 9080, pid: undefined, uid: 990 }];
  assert.deepEqual((await judge(PORTS_CHECK, { files, tcp }, { ports: [port(9080)] })).findings, []);
});

test('UDP and TCP are apart', async () => {
  const ports = [port(15053, { protocol: 'udp', address: '127.0.0.1' })];
  const other = { address: '127.0.0.1', port: 15053 };
  assert.deepEqual((await judge(PORTS_CHECK, { files: KERNEL, tcp: [other] }, { ports })).findings, []);
  assert.deepEqual(brief(await judge(PORTS_CHECK, { files: KERNEL, udp: [other] }, { ports })), [
    'error TRY0103 port 15053',
  ]);
});

test('a privileged port needs the capability: of this process, of the running Envoy, or of the unit', async () => {
  const ports = [port(80)];
  const denied = await judge(PORTS_CHECK, { files: KERNEL }, { ports });
  assert.deepEqual(brief(denied), ['error TRY1101 port 80']);
  assert.match(denied.findings[0]?.remedy ?? '', /AmbientCapabilities=CAP_NET_BIND_SERVICE/);
  const capable = 'CapEff:\t0000000000000400\n';
  const own = { files: { ...KERNEL, '/proc/self/status': capable } };
  assert.deepEqual((await judge(PORTS_CHECK, own, { ports })).findings, []);
  const running = { files: { ...KERNEL, '/proc/7/status': capable } };
  assert.deepEqual((await judge(PORTS_CHECK, running, { ports, envoyPids: [7] })).findings, []);
  const unit = (capabilities: string): Parameters<typeof judge>[1] => ({
    files: { ...KERNEL, '/proc/self/status': capable, '/run/systemd/system': '' },
    programs: {
      systemctl: `Id=trysail-envoy.service\nLoadState=loaded\nUser=trysail-envoy\nAmbientCapabilities=${capabilities}\n`,
    },
  });
  assert.deepEqual(brief(await judge(PORTS_CHECK, unit(''), { ports })), ['error TRY1101 port 80']);
  assert.deepEqual((await judge(PORTS_CHECK, unit('cap_net_bind_service cap_net_raw'), { ports })).findings, []);
});

test('a port of the kernel’s own range is told once, unless it is reserved', async () => {
  const ports = [port(40_000), port(40_001)];
  const outcome = await judge(PORTS_CHECK, { files: KERNEL }, { ports });
  assert.deepEqual(brief(outcome), ['warning TRY1102 port 40000, port 40001']);
  assert.match(outcome.findings[0]?.remedy ?? '', /ip_local_reserved_ports=40000,40001 /);
  const files = { ...KERNEL, '/proc/sys/net/ipv4/ip_local_reserved_ports': '8080,39999-40001\n' };
  assert.deepEqual((await judge(PORTS_CHECK, { files }, { ports })).findings, []);
  assert.ok(inPortList('80,90-100', 95) && !inPortList('80,90-100', 81) && !inPortList('', 80));
});

test('an address that is not of this host is told once for all its ports', async () => {
  const ports = [port(9080, { address: '203.0.113.9' }), port(9081, { address: '203.0.113.9' }), port(9082)];
  const outcome = await judge(PORTS_CHECK, { files: KERNEL }, { ports });
  assert.deepEqual(brief(outcome), ['error TRY1104 port 9080, port 9081']);
});

test('applications: where agent.yaml says, elsewhere, nowhere, and behind themselves', async () => {
  const application = { object: 'service default/web', address: '127.0.0.1', port: 8080, guarded: true };
  const ask = async (tcp: Parameters<typeof judge>[1]['tcp'], given = {}): ReturnType<typeof judge> =>
    judge(APPLICATIONS_CHECK, { tcp: tcp ?? [] }, { applications: [{ ...application, ...given }], envoyPids: [7] });
  const there = await ask([{ port: 8080 }]);
  assert.deepEqual([there.facts, there.findings], [['1 of 1 application where agent.yaml says'], []]);
  const nowhere = await ask([]);
  assert.deepEqual(brief(nowhere), ['warning TRY1105 service default/web']);
  assert.deepEqual(nowhere.facts, ['0 of 1 application where agent.yaml says']);
  const elsewhere = await ask([{ address: '10.0.0.5', port: 8080 }]);
  assert.match(elsewhere.findings[0]?.message ?? '', /nginx \(pid 100\) listens on 10\.0\.0\.5:8080/);
  assert.match(elsewhere.findings[0]?.remedy ?? '', /10\.0\.0\.5:8080/);
  const circle = await ask([{ address: '0.0.0.0', port: 8080, pid: 7 }]);
  assert.deepEqual(brief(circle), ['error TRY1105 service default/web']);
});

test('an application that other hosts reach past Envoy is BYPASSABLE, where peers must come through Envoy', async () => {
  const application = { object: 'service default/web', address: '127.0.0.1', port: 8080, guarded: true };
  for (const address of ['0.0.0.0', '::']) {
    const host = { tcp: [{ address, port: 8080 }] };
    const outcome = await judge(APPLICATIONS_CHECK, host, { applications: [application] });
    assert.deepEqual(brief(outcome), ['warning TRY1106 service default/web'], address);
    assert.match(outcome.findings[0]?.message ?? '', /^BYPASSABLE: nginx \(pid 100\) listens on /);
    const free = await judge(APPLICATIONS_CHECK, host, { applications: [{ ...application, guarded: false }] });
    assert.deepEqual(free.findings, []);
  }
});
