/** The archive with its install script, on a machine with systemd. */
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

test('the archive: install, run, upgrade, uninstall', { skip: reason ?? false }, async (t) => {
  const packages = await buildPackages(t, 'tarball', [VERSIONS[0]]);
  const network = await startNetwork(t);
  const machine = await network.machine({ name: 'tar', number: 2, diskMb: 2500, binds: { [packages]: '/packages' } });
  const folder = `/tmp/trysail-${VERSIONS[0]}-linux-amd64`;
  const before = await hostState(machine);

  await machine.run(`tar -xzf /packages/*.tar.gz -C /tmp && ${folder}/install.sh`);
  assert.equal((await machine.run("systemctl list-units --plain --no-legend --state=active 'trysail*'")).trim(), '');
  await startApplication(machine);
  assert.ok(await usesCompileCache(machine));
  await configure(machine);
  await machine.run('systemctl enable -q --now trysail');
  await untilReady(machine);
  await untilServed(machine);

  const requests = await startRequests(machine);
  await machine.run(`${folder}/install.sh`);
  await untilReady(machine);
  assert.deepEqual((await requests.stop()).failed, []);

  await machine.run(`echo damaged >> ${folder}/files/usr/lib/trysail/dns-link`);
  const refused = await machine.try(`${folder}/install.sh`);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /damaged/);

  await machine.run('/usr/lib/trysail/uninstall');
  assert.equal((await machine.try('pgrep -x envoy')).code, 1);
  assert.match(await machine.run('cat /etc/trysail/agent.yaml && getent passwd trysail'), /web-8080/);
  await machine.run('systemctl stop application; rm -rf /srv/index.html /root/stop /root/requests');
  await machine.run(`${folder}/uninstall.sh --purge`);
  assert.deepEqual(difference(before, await hostState(machine)), []);
});
