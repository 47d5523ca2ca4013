/** The test machines themselves: what the tests on them rely on. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { canBootMachines } from './capability.ts';
import { cgroupRoots, startNetwork } from './network.ts';

const reason = await canBootMachines();

test('machines boot, see each other, keep their disk over reboot and power cut', {
  skip: reason ?? false,
}, async (t) => {
  const mountsBefore = await readFile('/proc/self/mounts', 'utf8');
  const network = await startNetwork(t);
  const [a, b] = await Promise.all([
    network.machine({ name: 'a', number: 2 }),
    network.machine({ name: 'b', number: 3 }),
  ]);
  assert.match(await a.run('findmnt -n -o FSTYPE /sys/fs/cgroup'), /cgroup2/);
  assert.equal((await a.run('systemctl list-units --failed --plain --no-legend')).trim(), '');
  await b.run('systemd-run --unit=web python3 -m http.server 80');
  await a.run(`curl -sf --retry 20 --retry-connrefused --retry-delay 1 http://${b.address}/ -o /dev/null`);
  assert.equal((await network.run('curl', '-sf', `http://${b.address}/`)).code, 0);
  assert.equal((await b.unitState('web')).active, 'active');
  await a.write('/root/kept', 'yes');
  await a.reboot();
  assert.equal(await a.run('cat /root/kept'), 'yes');
  await b.kill();
  assert.notEqual((await a.try(`curl -sf -m 2 http://${b.address}/`)).code, 0);
  await b.boot();
  assert.equal((await b.unitState('web')).active, 'inactive');
  await b.run(
    'nft add table inet t && nft list tables | grep -q "inet t" && ip link add v9 type veth peer name v8 && ip link del v9',
  );
  await a.powerOff();
  assert.equal(await readFile('/proc/self/mounts', 'utf8'), mountsBefore);
});

test('nothing is left of machines', { skip: reason ?? false }, async () => {
  for (const root of await cgroupRoots())
    assert.deepEqual(
      (await readdir(root)).filter((name) => name.startsWith(`trysail-vm-${process.pid}-`)),
      [],
    );
});
