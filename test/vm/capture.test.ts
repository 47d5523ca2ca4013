/**
 * Capture as packaged, on real systemd: units as callers with identities of their own, TPROXY with the units' privileges,
 * the trial, what happens when Envoy, the agent, the machine or the package go.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { canBootMachines } from './capability.ts';
import {
  APPLICATIONS,
  arrive,
  CAPTURED_HOST,
  callFrom,
  capture,
  METADATA,
  PAYMENTS,
  PLAIN,
  passesEnvoy,
  reload,
  type ServiceName,
  SSH,
  STRANGER,
  startOther,
  tables,
  traces,
  untilState,
} from './captured-host.ts';
import { startFleet } from './fleet.ts';
import { statusOf } from './mesh-machines.ts';

const reason = await canBootMachines();
const { orders, billing, open } = APPLICATIONS;
const TRIAL_S = 60;
const DIRECT = { outbound: 'listed' };
const DENY = { outbound: 'listed', onProxyFailure: { inbound: 'deny', outbound: 'deny' } };

/** A session over one connection, a line every tenth of a second; what it saw is in its output. */
const SESSION = `
import socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
f = s.makefile('rw')
while True:
    t = time.monotonic()
    f.write('x\\n'); f.flush()
    if f.readline() != 'x\\n': sys.exit('ended')
    print(round((time.monotonic() - t) * 1000), flush=True)
    time.sleep(0.1)
`;
const ECHO = `
import socketserver
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile: self.wfile.write(line)
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(('0.0.0.0', 22), Echo).serve_forever()
`;

/** Calls a service by name from the unit's first moment on until a call is captured; writes how long that took, in ms. */
const BURST = `address=$(getent ahostsv4 payments.default.mesh | awk '{print $1; exit}')
start=$EPOCHREALTIME
until exec 3<>/dev/tcp/$address/9280; do :; done 2>/dev/null
now=$EPOCHREALTIME
echo $(( (\${now/./} - \${start/./}) / 1000 )) >>/root/gaps
printf 'GET / HTTP/1.1\\r\\nHost: payments.default.mesh:9280\\r\\nConnection: close\\r\\n\\r\\n' >&3
grep -o sa/burst <&3 >>/root/spoke
`;

test('capture with the packaged units', { skip: reason ?? false, timeout: 1_200_000 }, async (t) => {
  const began = Date.now();
  const fleet = await startFleet(t, { hosts: [CAPTURED_HOST] });
  const host = fleet.host('cap');
  const other = await startOther(fleet);
  t.diagnostic(`two machines made, installed and joined in ${((Date.now() - began) / 1000).toFixed(1)} s`);

  /** Where connections of the other machine end. */
  const ways = async (): Promise<Readonly<Record<string, string>>> =>
    Object.fromEntries(
      await Promise.all(
        (Object.keys(APPLICATIONS) as ServiceName[]).map(async (name) => [
          name,
          (await arrive(other, APPLICATIONS[name])).way,
        ]),
      ),
    ) as Readonly<Record<string, string>>;
  const bypassable = async (): Promise<readonly string[]> =>
    (await statusOf(host)).services.filter((service) => service.bypassable !== undefined).map(({ name }) => name);
  const UNCAPTURED = { orders: 'direct', billing: 'direct', open: 'direct', closed: 'refused' };
  const CAPTURED = { ...UNCAPTURED, orders: 'proxied', billing: 'proxied' };
  const untilWays = async (expected: Readonly<Record<string, string>>): Promise<void> => {
    await eventually('connections go there', async () => assert.deepEqual(await ways(), expected));
  };

  await t.test('nobody has applied it: nothing is captured, and Envoy may do what it needs and no more', async () => {
    await host.write('/root/burst.sh', BURST);
    await host.write(
      '/etc/systemd/system/burst.service',
      '[Service]\nType=oneshot\nExecStart=/bin/bash /root/burst.sh\n',
    );
    await host.run('systemctl daemon-reload');
    assert.equal((await capture(host, 'status')).state, 'unapplied');
    assert.deepEqual(await ways(), UNCAPTURED);
    assert.deepEqual(await bypassable(), ['orders', 'billing', 'open']);
    const checked = await host.try('trysail check');
    assert.match(checked.stdout, /warning TRY1162 /);
    assert.doesNotMatch(checked.stdout, /^ +error |TRY1174/m);
    // CAP_NET_BIND_SERVICE and CAP_NET_RAW.
    assert.match(await host.run('grep CapEff /proc/$(pgrep -x envoy)/status'), /\t0000000000002400$/m);
    assert.match(await other.run('grep CapEff /proc/$(pgrep -x envoy)/status'), /\t0000000000000400$/m);
  });

  let applied = 0;
  await t.test('applied on trial: connections that there are go on, new ones are captured', async () => {
    await host.write('/root/echo.py', ECHO);
    await other.write('/root/session.py', SESSION);
    await host.run('systemd-run -q --unit=ssh-like python3 /root/echo.py');
    await eventually('it listens', async () => host.run("ss -ltn | grep ':22 '"));
    await other.run(`systemd-run -q --unit=session python3 /root/session.py ${host.address} 22`);
    const report = await capture(host, 'apply');
    applied = Date.now();
    assert.equal(report.state, 'trial');
    assert.ok(report.owned);
    await untilWays(CAPTURED);
    assert.deepEqual(await bypassable(), ['open']);
    assert.equal((await arrive(other, orders)).peer, other.address, 'TPROXY: the application sees its caller');
    assert.equal((await arrive(other, billing)).peer, '127.0.0.6');
  });

  await t.test('nobody confirms it: it goes by itself, without an agent', async () => {
    await host.run('systemctl stop trysail');
    assert.deepEqual(await ways(), CAPTURED);
    await eventually('gone', async () => assert.equal(await traces(host), ''), (TRIAL_S + 30) * 1000);
    const seconds = (Date.now() - applied) / 1000;
    assert.ok(seconds > TRIAL_S - 5, `${seconds} s`);
    assert.deepEqual(await ways(), UNCAPTURED);
    assert.equal((await callFrom(host, orders, PLAIN)).status, 200);
    await host.run('systemctl start trysail');
    await untilState(host, 'unapplied');
  });

  await t.test('confirmed it stays, and a session of before has not noticed anything', async () => {
    assert.equal((await capture(host, 'apply')).state, 'trial');
    assert.equal((await capture(host, 'confirm')).state, 'on');
    await untilWays(CAPTURED);
    const { active } = await other.unitState('session');
    assert.equal(active, 'active');
    const times = (await other.journal('session')).match(/(?<=: )\d+$/gm)?.map(Number) ?? [];
    assert.ok(times.length > 50);
    t.diagnostic(`the session: ${times.length} exchanges, the longest ${Math.max(...times)} ms`);
    await other.run('systemctl stop session');
  });

  await t.test('each unit speaks as itself, and nobody as another', async () => {
    await eventually('orders', async () =>
      assert.deepEqual(await callFrom(host, orders, PAYMENTS), { status: 200, account: 'orders' }),
    );
    assert.deepEqual(await callFrom(host, billing, PAYMENTS), { status: 200, account: 'billing' });
    assert.equal((await callFrom(host, STRANGER, PAYMENTS)).status, 0, 'the name is nobody’s without capture');
    assert.equal(await passesEnvoy(host, orders, PLAIN), true);
    assert.equal(await passesEnvoy(host, STRANGER, PLAIN), false);
    for (const port of [15_001, 15_101])
      for (const from of [orders, billing, STRANGER])
        for (const url of [`http://127.0.0.1:${port}/`, `http://${host.address}:${port}/`])
          assert.match((await callFrom(host, from, url)).why ?? '', /refused/, `${from} → ${url}`);
    assert.match((await callFrom(host, STRANGER, `http://${host.address}:15006/`)).why ?? '', /refused/);
    for (const port of [15_001, 15_006, 15_101]) assert.equal((await arrive(other, port)).way, 'refused');
  });

  await t.test('ssh, the metadata service and what agent.yaml does not name stay as they are', async () => {
    assert.equal(await passesEnvoy(host, orders, SSH), false);
    assert.equal(await passesEnvoy(host, orders, METADATA), false);
  });

  await t.test('a unit that starts is captured within moments', async () => {
    await host.run('for i in 1 2 3 4 5; do timeout 20 systemctl start burst; sleep 0.3; done');
    const gaps = (await host.run('cat /root/gaps')).trim().split('\n').map(Number);
    assert.equal((await host.run('cat /root/spoke')).trim(), Array(5).fill('sa/burst').join('\n'));
    t.diagnostic(`a unit's start → its calls are captured: ${gaps.join(', ')} ms`);
    await host.run('systemctl restart billing');
    await eventually('billing', async () =>
      assert.deepEqual(await callFrom(host, billing, PAYMENTS), { status: 200, account: 'billing' }),
    );
  });

  await t.test('a bypass ends by itself', async () => {
    await host.run('trysail bypass orders --for 15s');
    assert.equal((await arrive(other, orders)).way, 'direct');
    assert.equal((await arrive(other, billing)).way, 'proxied');
    assert.match(await host.run("systemctl list-timers --all 'trysail-bypass*'"), /trysail-bypass-end/);
    await untilWays(CAPTURED);
    await eventually('no table', async () => assert.ok(!(await tables(host)).includes('trysail_bypass')));
    const audit = (await host.run('cat /var/lib/trysail/audit.log')).trim().split('\n');
    assert.deepEqual(
      audit.map((line) => (JSON.parse(line) as { readonly action: string }).action),
      ['bypass', 'bypass-end'],
    );
  });

  await t.test('status says BYPASSABLE exactly where another machine comes past the proxy, in each mode', async () => {
    for (const mode of ['observe', 'outbound', 'off', 'full']) {
      // In mode off nobody's calls are told apart.
      await reload(host, { mode, callAs: mode === 'off' ? 'default/orders' : undefined });
      const isProxied = mode === 'observe' || mode === 'full';
      await untilWays(isProxied ? CAPTURED : UNCAPTURED);
      const passed = Object.entries(await ways()).filter(([, way]) => way === 'direct');
      // In the other modes the way to the application is the way to the service.
      const expected = isProxied ? passed.map(([name]) => name) : [];
      assert.deepEqual(await bypassable(), expected, mode);
    }
  });

  /** Kills all Envoys at once, and waits for the rules to go; how long that took, in ms. */
  const killEnvoys = async (): Promise<number> => {
    const text = await host.run(`pkill -9 -x envoy; start=$EPOCHREALTIME
      while nft list table inet trysail >/dev/null 2>&1; do :; done; now=$EPOCHREALTIME
      echo $(( (\${now/./} - \${start/./}) / 1000 ))`);
    return Number(text);
  };

  await t.test('direct: Envoy is killed while the agent is away, and traffic goes past it at once', async () => {
    await host.run('systemctl stop trysail');
    const ms = await killEnvoys();
    assert.deepEqual(await ways(), UNCAPTURED);
    assert.equal((await callFrom(host, orders, PLAIN)).status, 200);
    assert.deepEqual(await tables(host), []);
    t.diagnostic(`all Envoys killed → the rules are gone after ${ms} ms`);
    await host.run('systemctl start trysail');
    await untilState(host, 'on');
    await untilWays(CAPTURED);
  });

  const DENIED = { ...UNCAPTURED, orders: 'refused', billing: 'refused' };
  await t.test('deny: the same is refused then, and what nobody captures goes on', async () => {
    await reload(host, { capture: DENY });
    await eventually('guarded', async () => assert.ok((await tables(host)).includes('trysail_guard')));
    assert.deepEqual(await ways(), CAPTURED);
    await host.run('systemctl stop trysail');
    await killEnvoys();
    assert.deepEqual(await ways(), DENIED);
    assert.equal((await callFrom(host, orders, PLAIN)).status, 0);
    assert.equal((await callFrom(host, STRANGER, PLAIN)).status, 200);
  });

  await t.test('deny outlives a reboot on which neither Envoy nor the agent start', async () => {
    await host.run('systemctl disable -q trysail trysail-envoy trysail-drain');
    await host.reboot();
    await host.run(`ip route add 169.254.169.254/32 via ${other.address}`);
    assert.equal((await host.try('pgrep -x envoy')).code, 1);
    await untilWays(DENIED);
    // Before there is a network, and without a knot in the order of the boot.
    const order = await host.run('systemctl show trysail-capture network-pre.target -p ActiveEnterTimestampMonotonic');
    const [capturing = 0, network = 0] = (order.match(/\d+/g) ?? []).map(Number);
    assert.ok(capturing > 0 && capturing < network, order);
    assert.doesNotMatch(await host.run('journalctl -b --no-pager'), /ordering cycle/);
    await host.run('systemctl enable -q --now trysail');
    await untilState(host, 'on');
    await untilWays(CAPTURED);
    await eventually('billing', async () =>
      assert.deepEqual(await callFrom(host, billing, PAYMENTS), { status: 200, account: 'billing' }),
    );
  });

  await t.test('who stops Envoy has a host as if there had been none', async () => {
    await reload(host, { capture: DIRECT });
    await eventually('unguarded', async () => assert.deepEqual(await tables(host), ['trysail']));
    await host.run('systemctl stop trysail-envoy');
    assert.deepEqual(await ways(), UNCAPTURED);
    assert.deepEqual(await tables(host), []);
    assert.equal((await callFrom(host, orders, PLAIN)).status, 200);
  });

  await t.test('Envoy back without what tproxy needs: who is asked says so, and gives it', async () => {
    const dropIn = '/etc/systemd/system/trysail-envoy.service.d/50-trysail-tproxy.conf';
    await host.run(`rm ${dropIn}; systemctl daemon-reload; systemctl start trysail`);
    await eventually('status says it', async () =>
      assert.match((await host.try('trysail status')).stdout, /TRY1174 .*lacks CAP_NET_RAW/),
    );
    assert.match((await host.try('trysail check')).stdout, /error TRY1174 trysail-envoy\.service/);
    const refused = await host.try('trysail capture apply');
    assert.match(refused.stderr, /lacks CAP_NET_RAW; its unit has it from now on/);
    await host.run('systemctl restart trysail-envoy');
    await untilState(host, 'on');
    await untilWays(CAPTURED);
    assert.doesNotMatch((await host.try('trysail status')).stdout, /TRY1174/);
  });

  await t.test('clean, with everything dead', async () => {
    await reload(host, { capture: DENY });
    await eventually('guarded', async () => assert.ok((await tables(host)).includes('trysail_guard')));
    await host.run(
      'systemctl kill -s KILL trysail trysail-envoy trysail-capture; systemctl stop trysail-envoy trysail-capture',
    );
    assert.equal((await arrive(other, orders)).way, 'refused');
    await host.run('trysail capture clean');
    assert.equal(await traces(host), '');
    assert.deepEqual(await ways(), UNCAPTURED);
    await host.run('systemctl start trysail-capture trysail');
    await untilState(host, 'unapplied');
  });

  await t.test('the package is removed while it captures, and nothing stays', async () => {
    await eventually('it can be applied', async () => capture(host, 'apply --confirmed'));
    await untilWays(CAPTURED);
    assert.ok((await tables(host)).includes('trysail_guard'));
    await host.run('dpkg --remove trysail', { timeoutMs: 300_000 });
    assert.deepEqual(await ways(), UNCAPTURED);
    assert.equal((await callFrom(host, orders, PLAIN)).status, 200);
    assert.equal((await traces(host)).replaceAll(/.*capture-guard\.nft/g, ''), '');
    assert.equal((await arrive(other, open)).way, 'direct');
  });
  t.diagnostic(`all of it in ${((Date.now() - began) / 1000).toFixed(1)} s`);
});
