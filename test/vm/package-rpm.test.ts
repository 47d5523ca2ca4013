/** The RPM through its life, on a machine with systemd (a Debian one, whose own packages RPM does not know). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canBootMachines } from './capability.ts';
import { startNetwork } from './network.ts';
import {
  buildPackages,
  configure,
  difference,
  hostState,
  startApplication,
  startRequests,
  untilReady,
  untilServed,
  usesCompileCache,
  VERSIONS,
} from './packages.ts';

const reason = await canBootMachines();

test('the RPM: install, run, upgrade, erase', { skip: reason ?? false }, async (t) => {
  const packages = await buildPackages(t, 'rpm');
  const network = await startNetwork(t);
  const machine = await network.machine({ name: 'rpm', number: 2, diskMb: 2500, binds: { [packages]: '/packages' } });
  const rpm = async (...args: readonly string[]): Promise<string> =>
    machine.run(`rpm --force-debian --nodeps --nosignature ${args.join(' ')} 2>&1`, { timeoutMs: 300_000 });
  const file = (version: string): string => `/packages/trysail-${version}-1.x86_64.rpm`;
  const before = await hostState(machine);

  await rpm('-i', file(VERSIONS[0]));
  assert.equal((await machine.run("systemctl list-units --plain --no-legend --state=active 'trysail*'")).trim(), '');
  await startApplication(machine);
  assert.ok(await usesCompileCache(machine));
  await configure(machine);
  await machine.run('systemctl enable -q --now trysail');
  await untilReady(machine);
  await untilServed(machine);

  const requests = await startRequests(machine);
  await rpm('-U', file(VERSIONS[1]));
  await untilReady(machine);
  assert.deepEqual((await requests.stop()).failed, []);
  assert.match(await machine.run('rpm --force-debian -q trysail'), /0\.1\.1/);

  await rpm('-e', 'trysail');
  assert.equal((await machine.try('pgrep -x envoy')).code, 1);
  assert.match(await machine.run('cat /etc/trysail/agent.yaml && getent passwd trysail'), /web-8080/);

  await rpm('-i', file(VERSIONS[0]));
  await machine.run('systemctl stop application; rm -rf /srv/index.html /root/stop /root/requests');
  await machine.run('rm -rf /etc/trysail /var/lib/trysail');
  await rpm('-e', 'trysail');
  assert.deepEqual(difference(before, await hostState(machine)), []);
});
