/** What is replaced, ended or hung on a joined host under load from its peers and to them: no request may fail. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { canBootMachines } from './capability.ts';
import type { Machine } from './machine.ts';
import { buildPackages, envoyPid, untilReady } from './packages.ts';
import { assertNoneFailed, CALL_PORT, startPair, statusOf, underLoad, untilCalled } from './pair.ts';

const reason = await canBootMachines();
/** The second brings the same Envoy as the first, the third another one. */
const [FIRST, SAME_ENVOY, OTHER_ENVOY] = ['0.1.0', '0.1.1', '0.1.2'] as const;

/** Two that never end by themselves: one of HTTP, one of TCP. */
async function startStreams(host: Machine): Promise<void> {
  await host.run(`rm -f /root/*.end
    systemd-run -q --unit=http-stream --collect sh -c 'curl -sN -o /dev/null http://127.0.0.1:${CALL_PORT}/stream; echo $? >/root/http.end'
    systemd-run -q --unit=tcp-stream --collect bash -c 'exec 3<>/dev/tcp/127.0.0.1/${CALL_PORT + 2}; cat <&3; echo $? >/root/tcp.end'
    sleep 1; systemctl is-active http-stream tcp-stream`);
}

/** Exit codes: of curl, whose code 18 is a response that is not complete, and of cat, which fails when a connection is reset. */
const STREAMS_END = '18 0';

async function endsOfStreams(host: Machine): Promise<string> {
  return eventually(
    'the streams end',
    async () => (await host.run('cat /root/http.end /root/tcp.end')).trim().replace('\n', ' '),
    20_000,
  );
}

test('upgrades, restarts and hangs under load', { skip: reason ?? false }, async (t) => {
  const packages = await buildPackages(t, 'deb', [FIRST, SAME_ENVOY, OTHER_ENVOY], {
    [OTHER_ENVOY]: 1_700_000_000,
  });
  const { east, west } = await startPair(t, {
    packages,
    install: () => `dpkg -i /packages/trysail_${FIRST}_amd64.deb`,
  });
  const both = [east, west];

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
      const before = await Promise.all(both.map(envoyPid));
      const results = await underLoad(t, both, what, async () => {
        await startStreams(east);
        await Promise.all(both.map(async (host) => install(host, version)));
        await Promise.all(both.map(untilOneEnvoy));
      });
      assertNoneFailed(results);
      for (const [i, host] of both.entries()) assert.notEqual(await envoyPid(host), before[i]);

      // What goes on for longer than the drain is ended then, not reset, and said.
      assert.deepEqual(await endsOfStreams(east), STREAMS_END);
      assert.match(await east.journal('trysail'), /connections that outlived its drain were closed/);
      const { diagnostics } = await statusOf(east);
      assert.ok(
        diagnostics.some(({ code }) => code === 'TRY0106'),
        JSON.stringify(diagnostics),
      );
    });

  await t.test('the agent restarted, killed, hung: Envoy serves on', async (t) => {
    const before = await Promise.all(both.map(envoyPid));
    const results = await underLoad(t, both, 'agent restarted, killed, hung', async () => {
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
    assertNoneFailed(results);
    assert.deepEqual(await Promise.all(both.map(untilOneEnvoy)), before);
    await east.run('rm -r /run/systemd/system/trysail.service.d && systemctl daemon-reload');
  });

  await t.test('Envoy’s unit restarted: its host leaves, drains and comes back; others take over', async (t) => {
    const pid = await envoyPid(east);
    const results = await underLoad(t, [west], 'Envoy of east restarted', async () => {
      await east.run('systemctl restart trysail-envoy', { timeoutMs: 120_000 });
      await untilCalled(west, ['east', 'west']);
    });
    assertNoneFailed(results);
    assert.notEqual(await envoyPid(east), pid);
    await untilCalled(east, ['east', 'west']);
    t.diagnostic(await east.journal('trysail-drain'));
  });
});
