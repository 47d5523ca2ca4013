/** Join, reboot, leave and purge on machines with systemd: in by one command, out by one, and nothing is left. */
import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { consulBinary } from '../support/tools.ts';
import { canBootMachines } from './capability.ts';
import { startNetwork } from './network.ts';
import { buildPackages, difference, hostState, VERSIONS } from './packages.ts';

const reason = await canBootMachines();

test('a host joins by one command, comes back after a reboot, and leaves without a trace', {
  skip: reason ?? false,
}, async (t) => {
  const packages = await buildPackages(t, 'deb', [VERSIONS[0]]);
  const network = await startNetwork(t);
  const binds = { [packages]: '/packages', [dirname(consulBinary())]: '/consul' };
  const [ca, vm] = await Promise.all([
    network.machine({ name: 'ca', number: 2, diskMb: 1200, binds }),
    network.machine({ name: 'vm1', number: 3, diskMb: 1200, binds }),
  ]);
  await ca.run('dpkg -i /packages/*.deb', { timeoutMs: 300_000 });
  await ca.run('trysail ca init --trust-domain prod.example');
  await ca.write('/etc/trysail/server.yaml', `ca: { dir: /var/lib/trysail-ca, names: [${ca.address}] }\n`);
  await ca.run('systemctl enable -q --now trysail-server');
  await eventually('the CA answers', async () => ca.run(`trysail ca status --address ${ca.address}:15012`));
  const newToken = async (): Promise<string> =>
    (await ca.run(`trysail token create --ca-address ${ca.address}:15012 --allow 'default/*'`)).trim();

  // What the host has already: an application, and Consul.
  const startConsul = async (): Promise<void> => {
    await vm.run('systemd-run -q --unit=consul /consul/consul agent -dev -bind=127.0.0.1');
    await eventually('Consul leads', async () => vm.run('curl -sSf http://127.0.0.1:8500/v1/status/leader | grep :'));
  };
  await startConsul();
  const before = await hostState(vm);
  await vm.run('dpkg -i /packages/*.deb', { timeoutMs: 300_000 });
  const installed = await hostState(vm);
  assert.equal((await vm.try('trysail join --check')).code, 9);

  const unused = await vm.try(`echo ${(await newToken()).slice(0, 50)} | trysail join --token-file -`);
  assert.match(unused.stderr, /not a join token/);
  const joined = await vm.try(
    `echo ${await newToken()} | trysail join --token-file - --service orders:8080=8000 --upstream payments=9001`,
    { timeoutMs: 300_000 },
  );
  assert.equal(joined.code, 0, `${joined.stdout}${joined.stderr}\n${await vm.journal('trysail*')}`);
  assert.match(joined.stdout, /vm1 \(10\.77\.0\.3\) is in the mesh prod\.example/);
  assert.match(joined.stdout, /spiffe:\/\/prod\.example\/ns\/default\/sa\/orders/);
  assert.equal((await vm.try('trysail join --check')).code, 0);
  assert.equal((await vm.try('ls /etc/trysail/join.token')).code, 2);
  assert.match(await vm.run('systemctl is-enabled trysail trysail-envoy'), /^enabled\nenabled$/m);
  assert.match(await vm.run('curl -s http://127.0.0.1:8500/v1/agent/services'), /orders-vm1/);

  // A reboot with the CA away: it comes back by itself.
  await ca.run('systemctl stop trysail-server');
  await vm.reboot();
  await startConsul();
  await eventually(
    'registered again',
    async () => vm.run('curl -s http://127.0.0.1:8500/v1/agent/services | grep orders-vm1'),
    60_000,
  );
  await ca.run('systemctl start trysail-server');

  // As where a service has capture: tproxy.
  await vm.write('/etc/systemd/system/trysail-envoy.service.d/50-trysail-tproxy.conf', '[Service]\n');
  const left = await vm.try('trysail leave --yes', { timeoutMs: 300_000 });
  assert.equal(left.code, 0, `${left.stdout}${left.stderr}`);
  assert.doesNotMatch(await vm.run('curl -s http://127.0.0.1:8500/v1/agent/services'), /orders/);
  assert.equal((await vm.try('pgrep -x envoy')).code, 1);
  assert.match(await ca.run('trysail ca hosts'), /^vm1 +left /m);
  const again = await vm.try('trysail leave --yes');
  assert.equal(again.code, 0, `${again.stdout}${again.stderr}`);
  assert.doesNotMatch(again.stdout, /^done/m);
  assert.deepEqual(difference(installed, await hostState(vm)), []);
  await vm.run('dpkg --purge trysail', { timeoutMs: 300_000 });
  assert.deepEqual(difference(before, await hostState(vm)), []);
});
