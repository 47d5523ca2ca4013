/** What dies around a joined host under load: its disk, Consul, the CA, its clock. Traffic goes on, and `status` says it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { canBootMachines } from './capability.ts';
import type { Machine } from './machine.ts';
import { statusOf, untilConsulLeads } from './mesh-machines.ts';
import { giveClocks, setClock } from './own-clock.ts';
import { buildPackages } from './packages.ts';
import { assertNoneFailed, startPair, underLoad, untilCalled, untilRuns } from './pair.ts';

const reason = await canBootMachines();
const VERSION = '0.1.0';
const DAY_S = 86_400;
/** An instance of a service that is never well: something new for the catalogue. */
const SPARE = JSON.stringify({ Name: 'web', ID: 'spare', Port: 8080, Check: { TTL: '1h', Status: 'critical' } });

/** Waits until `trysail status` shows a diagnostic, or shows it no more. */
async function untilSaid(host: Machine, code: string, isSaid = true): Promise<void> {
  await eventually(
    `${host.name} ${isSaid ? 'says' : 'no longer says'} ${code}`,
    async () => {
      await host.run('sleep 0.3');
      const { diagnostics } = await statusOf(host);
      if (diagnostics.some((each) => each.code === code) !== isSaid)
        throw new Error(diagnostics.map((each) => `${each.code} ${each.message}`).join('\n'));
    },
    180_000,
  );
}

test('disk, Consul, CA and clock of a host fail and come back', {
  skip: reason ?? false,
  timeout: 1_200_000,
}, async (t) => {
  const packages = await buildPackages(t, 'deb', [VERSION]);
  const { hub, east, west } = await startPair(t, {
    packages,
    install: () => `dpkg -i /packages/trysail_${VERSION}_amd64.deb`,
    // Short: half of it goes by soon.
    caYaml: '  workloadCertificateLifetime: 2m\n',
    beforeInstall: async (host) => {
      await host.run('mkdir /var/lib/trysail && mount -t tmpfs -o size=4m tmpfs /var/lib/trysail');
    },
  });
  const both = [east, west];
  const serials = async (host: Machine): Promise<readonly (string | undefined)[]> =>
    (await statusOf(host)).certificates.workloads.map(({ serial }) => serial);

  await t.test('the disk with its state is full, and Consul’s server is lost meanwhile', async (t) => {
    const results = await underLoad(t, both, 'disk full, Consul lost', async () => {
      assert.notEqual((await east.try('cat /dev/zero > /var/lib/trysail/full')).code, 0);
      await hub.write('/root/spare.json', SPARE);
      await hub.run('curl -sSf -X PUT -d @/root/spare.json http://127.0.0.1:8500/v1/agent/service/register');
      await untilSaid(east, 'TRY0102');

      await hub.run('systemctl kill --signal=KILL consul; systemctl stop consul');
      await untilSaid(east, 'TRY0604');
      await east.run('systemctl restart trysail');
      await untilRuns(east);
      await hub.run('systemctl start consul');
      await untilConsulLeads(hub);
      await untilSaid(east, 'TRY0604', false);

      await untilSaid(east, 'TRY0802');
      await east.run('rm /var/lib/trysail/full');
      await untilSaid(east, 'TRY0802', false);
      await untilSaid(east, 'TRY0102', false);
    });
    assertNoneFailed(results);
  });

  await t.test('the CA is away past half of a certificate’s life', async (t) => {
    const results = await underLoad(t, both, 'CA away', async () => {
      await hub.run('systemctl kill --signal=KILL trysail-server; systemctl stop trysail-server');
      const before = await serials(east);
      assert.equal(before.length, 3);
      await untilSaid(east, 'TRY0801');
      await hub.run('systemctl start trysail-server');
      await untilSaid(east, 'TRY0801', false);
      // Each identity renews at its own time: those that were not at half of their lives yet are new later.
      await eventually(
        'each certificate is a new one',
        async () => {
          const now = await serials(east);
          assert.deepEqual(
            now.map((serial, i) => serial === before[i]),
            [false, false, false],
          );
        },
        180_000,
      );
    });
    assertNoneFailed(results);
  });

  await t.test('clocks jump by a day', async (t) => {
    await hub.run(`sed -i 's/Lifetime: 2m/Lifetime: 24h/' /etc/trysail/server.yaml; systemctl restart trysail-server`);
    for (const host of [east, west]) await eventually('certificates of a day', async () => host.run('trysail rotate'));
    const units = ['trysail-envoy', 'trysail'];
    await giveClocks(east, units);
    await untilRuns(east);
    await untilCalled(east, ['east', 'west']);
    await untilCalled(west, ['east', 'west']);

    await t.test('the agent’s alone, forwards and backwards: no request fails', async (t) => {
      const results = await underLoad(t, both, 'clock of the agent', async () => {
        for (const [aheadS, code] of [
          [DAY_S + 3600, 'TRY0801'],
          [-DAY_S, 'TRY0803'],
        ] as const) {
          await setClock(east, ['trysail'], aheadS);
          await untilSaid(east, code);
          await setClock(east, ['trysail'], 0);
          await untilSaid(east, code, false);
        }
      });
      assertNoneFailed(results);
    });

    for (const aheadS of [DAY_S + 3600, -DAY_S])
      await t.test(
        `Envoy’s too, ${aheadS > 0 ? 'forwards' : 'backwards'}: open connections serve, until it is right`,
        async (t) => {
          const results = await underLoad(t, both, `clock of Envoy ${aheadS > 0 ? 'ahead' : 'behind'}`, async () => {
            await setClock(east, units, aheadS);
            await east.run('sleep 4');
            assert.notEqual(
              (
                await east.run('curl -si --unix-socket /run/trysail-envoy/admin.sock http://x/ready | grep -i ^date')
              ).slice(6, 22),
              new Date().toUTCString().slice(0, 16),
            );
          });
          for (const { done, failures } of results) {
            assert.ok((done['http'] ?? 0) > 10 && (done['http2'] ?? 0) > 10);
            const kinds = Map.groupBy(failures, (failure) => failure.slice(25).slice(0, 80));
            for (const [kind, all] of kinds) t.diagnostic(`${all.length} × ${kind}`);
            // A host that cannot tell whether a certificate holds takes no new connection, nor makes one.
            assert.ok(failures.some((failure) => failure.includes('tcp')));
          }
          await setClock(east, units, 0);
          for (const host of [east, west]) await untilCalled(host, ['east', 'west']);
          assertNoneFailed(await underLoad(t, both, 'clock right again', async () => void (await east.run('sleep 2'))));
        },
      );
  });
});
