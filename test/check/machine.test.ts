// The check on a booted machine with systemd, systemd-resolved and nftables of its own, where things can be broken.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HostReport } from '../../src/agent/check-host.ts';
import { ROOT } from '../support/tools.ts';
import { canBootMachines } from '../vm/capability.ts';
import { startNetwork } from '../vm/network.ts';

const reason = await canBootMachines();

const AGENT_YAML = `
host: {name: vm-1, address: 10.77.0.2}
registry: files
identity: {provider: none}
services:
  - {name: orders, port: 8080, application: "127.0.0.1:8081", unit: orders.service}
upstreams:
  - {service: payments}
capture: {outbound: listed}
envoy: {binary: ${ROOT}/.tools/envoy/envoy}
`;

const PAYMENTS = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: payments}
spec:
  hosts: [payments.default.mesh]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.77.0.9}]
`;

test('a booted machine that can do all that capture by unit and names need, and what is told when it cannot', {
  skip: reason ?? false,
}, async (t) => {
  const network = await startNetwork(t);
  const machine = await network.machine({ name: 'checked', number: 2, binds: { [ROOT]: ROOT } });
  await machine.write('/etc/trysail/agent.yaml', AGENT_YAML);
  await machine.write('/etc/trysail/resources.d/payments.yaml', PAYMENTS);
  await machine.run('systemd-run --unit=orders python3 -m http.server 8081 --bind 127.0.0.1');
  const check = async (...names: readonly string[]): Promise<HostReport> => {
    const { stdout, stderr } = await machine.try(
      `NODE_COMPILE_CACHE= ${ROOT}/scripts/trysail check -o json ${names.join(' ')}`,
    );
    assert.equal(stderr, '');
    return JSON.parse(stdout) as HostReport;
  };
  const found = async (...names: readonly string[]): Promise<readonly string[]> =>
    (await check(...names)).checks.flatMap(({ findings }) =>
      findings.map(({ severity, code, object, path }) => `${severity} ${code} ${object ?? path ?? ''}`),
    );
  const first = await check();
  const stateOf = (name: string): string | undefined => first.checks.find((each) => each.name === name)?.state;
  // An nspawn machine has no clock of its own to set.
  for (const { name, state, findings } of first.checks)
    if (name !== 'clock') assert.ok(state === 'ok' || state === 'skipped', `${name}: ${JSON.stringify(findings)}`);
  for (const name of ['kernel', 'nftables', 'systemd', 'resolver', 'ports', 'applications', 'firewalls', 'capacity'])
    assert.equal(stateOf(name), 'ok', name);
  const features = first.checks.find(({ name }) => name === 'nftables')?.facts.join();
  assert.match(features ?? '', /tables that end with their owner, redirect, cgroup matches, tproxy$/);
  assert.equal((await machine.run('nft list ruleset')).trim(), '');

  await t.test('rules of others', async () => {
    await machine.write(
      '/root/rules.nft',
      `table ip other { chain c { type nat hook prerouting priority dstnat; tcp dport 8080 redirect to :1
}
}
table inet strict { chain c { type filter hook input priority 0; policy drop; iif "lo" accept
ct state established,related accept
}
}
`,
    );
    await machine.run('nft -f /root/rules.nft');
    assert.deepEqual(await found('firewalls'), [
      'warning TRY1120 service default/orders',
      'warning TRY1121 service default/orders',
    ]);
    await machine.run('nft flush ruleset');
    assert.deepEqual(await found('firewalls'), []);
  });

  await t.test('a resolver that is past systemd-resolved, or without it', async () => {
    await machine.run('mv /etc/resolv.conf /etc/resolv.conf.was && echo nameserver 10.77.0.9 > /etc/resolv.conf');
    await machine.run('mv /etc/nsswitch.conf /etc/nsswitch.conf.was && echo "hosts: files dns" > /etc/nsswitch.conf');
    const past = await found('resolver');
    assert.equal(past[0], 'warning TRY1131 /etc/resolv.conf');
    assert.ok(past.includes('warning TRY1134 DNS server 10.77.0.9'), past.join());
    await machine.run('systemctl stop systemd-resolved');
    assert.equal((await found('resolver'))[0], 'error TRY1131 DNS');
    await machine.run('mv /etc/resolv.conf.was /etc/resolv.conf; mv /etc/nsswitch.conf.was /etc/nsswitch.conf');
    await machine.run('systemctl start systemd-resolved');
    assert.deepEqual(await found('resolver'), []);
  });

  await t.test('ports, applications, units', async () => {
    await machine.run('systemd-run --unit=thief python3 -m http.server 15001 --bind 127.0.0.1');
    await machine.run('systemctl stop orders && systemd-run --unit=open python3 -m http.server 8081');
    await machine.write('/etc/systemd/system/trysail.service', '[Service]\nUser=trysail\nExecStart=/bin/false\n');
    await machine.try('systemctl daemon-reload; systemctl start trysail.service; sleep 1');
    assert.deepEqual(await found('ports', 'applications', 'systemd'), [
      'error TRY0103 captured calls',
      'warning TRY1106 service default/orders',
      'error TRY1170 trysail.service',
      'error TRY1173 user trysail',
      'error TRY1124 unit orders.service',
    ]);
  });

  await t.test('what the unit says of the settings counts', async () => {
    await machine.write(
      '/etc/systemd/system/trysail.service',
      '[Service]\nEnvironment=TRYSAIL_LOG_LEVEL=loud "TRYSAIL_HOST_NAME=two words"\nExecStart=/bin/false\n',
    );
    await machine.run('systemctl daemon-reload');
    assert.deepEqual(await found('configuration'), [
      'error TRY0901 host.name (environment variable TRYSAIL_HOST_NAME)',
      'error TRY0901 log.level (environment variable TRYSAIL_LOG_LEVEL)',
    ]);
    await machine.run('rm /etc/systemd/system/trysail.service && systemctl daemon-reload');
    assert.deepEqual(await found('configuration'), []);
  });

  await t.test('a disk that is full', async () => {
    await machine.run('mkdir -p /var/lib/trysail && mount -t tmpfs -o size=1m tmpfs /var/lib/trysail');
    assert.deepEqual(await found('capacity'), ['error TRY1172 /var/lib/trysail']);
    await machine.run('umount /var/lib/trysail');
  });
});
