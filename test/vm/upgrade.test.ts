/**
 * The package on joined hosts, Debian's and RPM: upgrades, restarts and hangs under load, bypass, and leaving without a
 * trace.
 */
import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { test } from 'node:test';
import { readCatalogueSnapshot } from '../../src/sources/catalogue-snapshot.ts';
import { eventually } from '../support/eventually.ts';
import { canBootMachines } from './capability.ts';
import type { Machine } from './machine.ts';
import { statusOf } from './mesh-machines.ts';
import { buildPackages, difference, envoyPid } from './packages.ts';
import { AGENT_YAML, assertNoneFailed, startPair, underLoad, untilCalled, untilRuns } from './pair.ts';
import { CLOSED, endsOfStreams, startStreams } from './streams.ts';
import { wholeState } from './whole-state.ts';

const reason = await canBootMachines();
/** The second brings the same Envoy as the first, the third another one. */
const [FIRST, SAME_ENVOY, OTHER_ENVOY] = ['0.1.0', '0.1.1', '0.1.2'] as const;

/** With something of everything that a host can have: captured calls, a name, policies. */
const AGENT = AGENT_YAML.replace('callAs:', 'capture: { outbound: listed }\ncallAs:')
  .replace('name: web,', 'name: web, unit: application.service,')
  .replace('upstreams:\n', 'upstreams:\n  - { service: db }\n');
const STRICT = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: default }
spec: { mtls: { mode: STRICT } }
`;

const RPM = 'rpm --force-debian --nodeps --nosignature';
/** East has the Debian package, west the RPM. */
const installation = (machine: string, version: string): string =>
  machine === 'west'
    ? `${RPM} -U --oldpackage /packages/trysail-${version}-1.x86_64.rpm`
    : `dpkg -i /packages/trysail_${version}_amd64.deb`;

async function filter<T>(all: readonly T[], matches: (each: T) => Promise<boolean>): Promise<readonly T[]> {
  const found = await Promise.all(all.map(matches));
  return all.filter((_, i) => found[i]);
}

test('the life of the package: upgrades and restarts under load, bypass, leave', {
  skip: reason ?? false,
  timeout: 1_200_000,
}, async (t) => {
  const versions = [FIRST, SAME_ENVOY, OTHER_ENVOY];
  const released = { [FIRST]: 1_700_000_000, [SAME_ENVOY]: 1_700_000_000, [OTHER_ENVOY]: 1_710_000_000 };
  const packages = await buildPackages(t, 'deb', versions, released);
  await cp(await buildPackages(t, 'rpm', versions, released), packages, { recursive: true });
  const before = new Map<Machine, readonly string[]>();
  const { network, hub, east, west } = await startPair(t, {
    packages,
    install: (machine) => installation(machine, FIRST),
    agentYaml: AGENT,
    resources: STRICT,
    beforeInstall: async (host) => {
      before.set(host, await wholeState(host));
    },
  });
  const both = [east, west];
  for (const host of both) await host.run('trysail capture apply && trysail capture confirm');

  /** Until a hot restart, if any, has ended the Envoy of before. */
  const untilOneEnvoy = async (host: Machine): Promise<number> =>
    eventually('one Envoy is left', async () => envoyPid(host));
  const install = async (host: Machine, version: string): Promise<void> => {
    const { mainPid } = await host.unitState('trysail');
    await host.run(installation(host.name, version), { timeoutMs: 300_000 });
    await untilRuns(host);
    assert.notEqual((await host.unitState('trysail')).mainPid, mainPid);
    const installed = host === east ? 'dpkg -s trysail' : 'rpm --force-debian -qi trysail';
    assert.match(await host.run(installed), new RegExp(`^Version *: ${version}$`, 'm'));
  };

  await t.test('an upgrade with the same Envoy replaces the agent alone', async (t) => {
    const before = await Promise.all(both.map(untilOneEnvoy));
    const results = await underLoad(t, both, 'agents upgraded', async () => {
      await Promise.all(both.map(async (host) => install(host, SAME_ENVOY)));
    });
    assertNoneFailed(results);
    assert.deepEqual(await Promise.all(both.map(untilOneEnvoy)), before);
  });

  for (const [what, version] of [
    ['an upgrade', OTHER_ENVOY],
    ['a downgrade', FIRST],
  ] as const)
    await t.test(`${what} with another Envoy: the new agent hot-restarts it`, async (t) => {
      const before = await Promise.all(both.map(untilOneEnvoy));
      const results = await underLoad(t, both, what, async () => {
        await startStreams(east);
        await Promise.all(both.map(async (host) => install(host, version)));
        await Promise.all(both.map(untilOneEnvoy));
      });
      assertNoneFailed(results);
      for (const [i, host] of both.entries()) assert.notEqual(await envoyPid(host), before[i]);

      // What goes on for longer than the drain is ended then, not reset, and said.
      assert.deepEqual(await endsOfStreams(east), CLOSED);
      // The one whose Envoy ended first; the other's may have had nothing left. Its agent sees the end a moment after it.
      const saying = await eventually('it is said', async () => {
        const hosts = await filter(both, async (host) =>
          (await statusOf(host)).diagnostics.some(({ code }) => code === 'TRY0106'),
        );
        assert.notEqual(hosts.length, 0);
        return hosts;
      });
      for (const host of saying)
        assert.match(await host.journal('trysail'), /connections that outlived its drain were closed/);
    });

  await t.test('the agent restarted, killed, hung: Envoy serves on', async (t) => {
    const before = await Promise.all(both.map(untilOneEnvoy));
    const results = await underLoad(t, both, 'agent restarted, killed, hung', async () => {
      await east.run('systemctl restart trysail');
      await untilRuns(east);
      await east.run('systemctl kill --signal=KILL trysail');
      await eventually('systemd starts it again', async () => (await east.unitState('trysail')).restarts > 0);
      await untilRuns(east);
      await east.write(
        '/run/systemd/system/trysail.service.d/test.conf',
        '[Service]\nWatchdogSec=10\nTimeoutAbortSec=1\n',
      );
      await east.run('systemctl daemon-reload && systemctl restart trysail');
      await untilRuns(east);
      const { mainPid } = await east.unitState('trysail');
      await east.run(`kill -STOP ${mainPid}`);
      await eventually('the watchdog ends it', async () => (await east.unitState('trysail')).mainPid !== mainPid);
      await untilRuns(east);
    });
    assertNoneFailed(results);
    assert.deepEqual(await Promise.all(both.map(untilOneEnvoy)), before);
    await east.run('rm -r /run/systemd/system/trysail.service.d && systemctl daemon-reload');
  });

  await t.test('Envoy’s unit restarted: its host leaves, drains and comes back; others take over', async (t) => {
    const pid = await envoyPid(east);
    const results = await underLoad(t, [west], 'Envoy of east restarted', async () => {
      await east.run('systemctl restart trysail-envoy', { timeoutMs: 300_000 });
      await untilCalled(west, ['east', 'west']);
    });
    assertNoneFailed(results);
    assert.notEqual(await envoyPid(east), pid);
    await untilCalled(east, ['east', 'west']);
    const said = await east.journal('trysail-drain');
    for (const service of ['web', 'web2', 'echo']) assert.match(said, new RegExp(`${service}-east is out of Consul`));
    assert.match(said, /Envoy is drained/);
  });

  /** What somebody without a certificate gets of a service. */
  const plain = async (host: Machine): Promise<string> => {
    const { code, stdout } = await network.run('curl', '-sS', '-m', '5', `http://${host.address}:8080/`);
    return code === 0 ? stdout : `exit code ${code}`;
  };

  await t.test('bypass, with Consul, CA and agent dead and Envoy hung', async (t) => {
    assert.match(await plain(east), /^exit code/);
    // Written every five seconds at most: where the others are.
    for (const host of both)
      await eventually(`${host.name} has written down its peers`, async () => {
        const { services } = readCatalogueSnapshot(await host.run('cat /var/lib/trysail/catalogue.json'));
        const well = ['web', 'echo'].map((name) => services.get(name)?.filter(({ status }) => status === 'passing'));
        assert.deepEqual(
          well.map((instances) => instances?.length),
          [2, 2],
        );
      });
    await hub.run('systemctl kill -s KILL consul trysail-server; systemctl stop consul trysail-server');
    for (const host of both)
      await host.run(
        'systemctl kill -s KILL consul trysail; systemctl stop consul trysail; kill -STOP $(pgrep -x envoy)',
      );
    assert.match(await plain(east), /^exit code/);
    assert.notEqual((await east.try('curl -sS -m 2 http://127.0.0.1:9000/')).code, 0);

    const began = performance.now();
    const said = await east.run('trysail bypass web --for 20s');
    await eventually('the application answers', async () => (await plain(east)) === 'east');
    t.diagnostic(`past the proxy after ${Math.round(performance.now() - began)} ms`);
    assert.match(said, /PeerAuthentication default\/strict/);
    assert.match(await east.run('cat /var/lib/trysail/audit.log'), /"action":"bypass","names":\["web"\],"seconds":20/);
    assert.match(await east.run('journalctl --no-pager -t trysail'), /"action":"bypass"/);
    await eventually('it ends by itself', async () => (await plain(east)) !== 'east');

    for (const host of both) await host.run('trysail bypass --all');
    for (const host of both) {
      assert.equal(await plain(host), host.name);
      await untilCalled(host, ['east', 'west']);
    }
    for (const host of both) await host.run('trysail bypass --all --end');
    assert.match(await plain(east), /^exit code/);

    for (const host of both) await host.run('kill -CONT $(pgrep -x envoy)');
    await hub.run('systemctl start consul trysail-server');
    for (const host of both) await host.run('systemctl start consul trysail');
    for (const host of both) await untilCalled(host, ['east', 'west']);
    assert.match(await plain(east), /^exit code/);
    await envoyPid(east);
  });

  for (const host of both)
    await t.test(`leave and ${host === east ? 'dpkg --purge' : 'rpm --erase'}: nothing is left`, async () => {
      assert.ok(difference(before.get(host) ?? [], await wholeState(host)).length > 50);
      await host.run('trysail leave --yes', { timeoutMs: 300_000 });
      await host.run(`systemctl disable -q --now application
        rm /etc/systemd/system/application.service /root/load.json; rm -f /root/*.end; systemctl daemon-reload`);
      await host.run(host === east ? 'dpkg --purge trysail' : `${RPM} -e trysail`, { timeoutMs: 300_000 });
      const lists = difference(before.get(host) ?? [], await wholeState(host));
      assert.deepEqual(
        // The other host is in the catalogue until it leaves.
        lists.filter((line) => host === west || !line.includes('"consul":[]')),
        [],
      );
    });
});
