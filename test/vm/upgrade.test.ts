/** What is replaced, ended or hung on a joined host under load from its peers and to them: no request may fail. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { canBootMachines } from './capability.ts';
import type { LoadResult } from './fixtures/load.ts';
import type { Machine } from './machine.ts';
import { buildPackages, envoyPid, untilReady } from './packages.ts';
import { loadText, startLoad, startPair } from './pair.ts';

const reason = await canBootMachines();
/** The second brings the same Envoy as the first, the third another one. */
const [FIRST, SAME_ENVOY, OTHER_ENVOY] = ['0.1.0', '0.1.1', '0.1.2'] as const;

test('upgrades, restarts and hangs under load', { skip: reason ?? false }, async (t) => {
  const packages = await buildPackages(t, 'deb', [FIRST, SAME_ENVOY, OTHER_ENVOY], {
    [OTHER_ENVOY]: 1_700_000_000,
  });
  const { east, west } = await startPair(t, { packages, install: `dpkg -i /packages/trysail_${FIRST}_amd64.deb` });
  const both = [east, west];

  /** Load on both hosts, to both hosts, while `change` happens. */
  const underLoad = async (
    t: TestContext,
    what: string,
    change: () => Promise<void>,
  ): Promise<readonly LoadResult[]> => {
    const loads = await Promise.all(both.map(startLoad));
    await change();
    const results = await Promise.all(loads.map(async (load) => load.stop()));
    for (const [i, result] of results.entries()) {
      t.diagnostic(`${what}, load on ${both[i]?.name}: ${loadText(result)}`);
      for (const kind of ['http', 'http2', 'tcp']) assert.ok((result.done[kind] ?? 0) > 100, loadText(result));
    }
    return results;
  };
  const noneFailed = (results: readonly LoadResult[]): void =>
    assert.deepEqual(
      results.flatMap(({ failures }) => failures),
      [],
    );
  /** Until a hot restart, if any, has ended the Envoy of before. */
  const untilOneEnvoy = async (host: Machine): Promise<number> =>
    eventually('one Envoy is left', async () => envoyPid(host), 20_000);
  const install = async (host: Machine, version: string): Promise<void> => {
    const { mainPid } = await host.unitState('trysail');
    await host.run(`dpkg -i /packages/trysail_${version}_amd64.deb`, { timeoutMs: 120_000 });
    await untilReady(host);
    assert.notEqual((await host.unitState('trysail')).mainPid, mainPid);
    assert.match(await host.run('dpkg -s trysail'), new RegExp(`^Version: ${version}$`, 'm'));
  };

  await t.test('an upgrade with the same Envoy replaces the agent alone', async (t) => {
    const before = await Promise.all(both.map(envoyPid));
    const results = await underLoad(t, 'agent upgraded', async () => {
      for (const host of both) await install(host, SAME_ENVOY);
    });
    noneFailed(results);
    assert.deepEqual(await Promise.all(both.map(envoyPid)), before);
  });

  for (const [what, version] of [
    ['an upgrade', OTHER_ENVOY],
    ['a downgrade', FIRST],
  ] as const)
    await t.test(`${what} with another Envoy: the new agent hot-restarts it`, async (t) => {
      const before = await Promise.all(both.map(envoyPid));
      const results = await underLoad(t, what, async () => {
        for (const host of both) {
          await install(host, version);
          await untilOneEnvoy(host);
        }
      });
      noneFailed(results);
      for (const [i, host] of both.entries()) {
        assert.notEqual(await envoyPid(host), before[i]);
        assert.match(await host.run('trysail status -o json'), /"state": ?"ready"|"ready": ?true/);
      }
    });

  await t.test('the agent restarted, killed, hung: Envoy serves on', async (t) => {
    const before = await Promise.all(both.map(envoyPid));
    const results = await underLoad(t, 'agent restarted, killed, hung', async () => {
      await east.run('systemctl restart trysail');
      await untilReady(east);
      await east.run('systemctl kill --signal=KILL trysail');
      await eventually('systemd starts it again', async () => (await east.unitState('trysail')).restarts > 0);
      await untilReady(east);
      await east.write(
        '/run/systemd/system/trysail.service.d/test.conf',
        '[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n',
      );
      await east.run('systemctl daemon-reload && systemctl restart trysail');
      await untilReady(east);
      const { mainPid } = await east.unitState('trysail');
      await east.run(`kill -STOP ${mainPid}`);
      await eventually(
        'the watchdog ends it',
        async () => (await east.unitState('trysail')).mainPid !== mainPid,
        20_000,
      );
      await untilReady(east);
    });
    noneFailed(results);
    assert.deepEqual(await Promise.all(both.map(envoyPid)), before);
    await east.run('rm -r /run/systemd/system/trysail.service.d && systemctl daemon-reload');
  });
});
