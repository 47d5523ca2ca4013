/** The Debian package through its whole life on a machine with systemd. */
import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { testAuthority } from '../translate/certificates.ts';
import { canBootMachines } from './capability.ts';
import { startNetwork } from './network.ts';
import {
  buildPackages,
  configure,
  difference,
  envoyPid,
  hostState,
  startApplication,
  startRequests,
  untilReady,
  untilServed,
  usesCompileCache,
  VERSIONS,
} from './packages.ts';

const reason = await canBootMachines();
const UNITS = ['trysail', 'trysail-envoy', 'trysail-drain', 'trysail-server', 'trysail-capture', 'trysail-dns'];
const MOST_EXPOSURE = 2;

const GATEWAY = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: application }
spec:
  hosts: [application.test]
  ports: [{ number: 8000, name: http, protocol: HTTP }]
  resolution: STATIC
  endpoints: [{ address: 127.0.0.1 }]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: public }
spec:
  selector: { istio: edge }
  servers:
  - port: { number: 80, name: http, protocol: HTTP }
    hosts: [www.test]
    tls: { httpsRedirect: true }
  - port: { number: 443, name: https, protocol: HTTPS }
    hosts: [www.test]
    tls: { mode: SIMPLE, credentialName: www }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: www }
spec:
  hosts: [www.test]
  gateways: [public]
  http:
  - route: [{ destination: { host: application.test } }]
`;

test('the Debian package: install, run, upgrade, downgrade, remove, purge', { skip: reason ?? false }, async (t) => {
  const packages = await buildPackages(t, 'deb');
  const network = await startNetwork(t);
  const machine = await network.machine({ name: 'deb', number: 2, diskMb: 2500, binds: { [packages]: '/packages' } });
  const install = async (version: string): Promise<string> =>
    machine.run(`dpkg -i /packages/trysail_${version}_amd64.deb 2>&1`);
  const before = await hostState(machine);

  await t.test('nothing starts before it is configured', async () => {
    await install(VERSIONS[0]);
    assert.equal((await machine.run("systemctl list-units --plain --no-legend --state=active 'trysail*'")).trim(), '');
    await machine.run('systemctl start trysail');
    assert.equal((await machine.unitState('trysail')).active, 'inactive');
    assert.equal((await machine.try('pgrep -f /usr/lib/trysail')).code, 1);
    assert.match(await machine.run('trysail version'), /trysail \d/);
    assert.ok(await usesCompileCache(machine));
  });

  await t.test('the units are sound, and may do little', async () => {
    const { stderr } = await machine.try('systemd-analyze verify /lib/systemd/system/trysail*');
    assert.deepEqual(
      stderr.split('\n').filter((line) => line !== '' && !line.includes("Command 'man ")),
      [],
    );
    for (const unit of UNITS) {
      const text = await machine.run(`systemd-analyze security --no-pager ${unit}.service | tail -n 1`);
      const exposure = Number(/: ([\d.]+) /.exec(text)?.[1] ?? Number.NaN);
      assert.ok(exposure <= MOST_EXPOSURE, text);
      t.diagnostic(`${unit}: exposure ${exposure}`);
    }
  });

  await t.test('configured, it starts, and says how it is', async () => {
    await startApplication(machine);
    await configure(machine);
    await machine.run('systemctl enable -q --now trysail');
    await untilReady(machine);
    await untilServed(machine);
    assert.match(await machine.run('systemctl status trysail --no-pager'), /Status: "running"/);
    await machine.run('trysail status');
    assert.equal((await machine.run('stat -c %U /proc/$(pgrep -x envoy)')).trim(), 'trysail-envoy');
    assert.equal(
      (await machine.run('stat -c %U /proc/$(systemctl show -p MainPID --value trysail)')).trim(),
      'trysail',
    );
  });

  await t.test(
    'a Unix socket of an upstream is for those who may enter its folder, those of ours for nobody else',
    async () => {
      const file = '/etc/trysail/agent.yaml';
      const yaml = await machine.run(`cat ${file}`);
      const socket = '/run/trysail-upstreams/games/web.sock';
      await machine.run(`install -d -m 0750 -o trysail-envoy -g games ${dirname(socket)}`);
      await machine.write(file, `${yaml}upstreams: [{ service: web-8080, listen: 'unix:${socket}' }]\n`);
      await machine.run('trysail reload');
      const callAs = async (user: string, at = socket): Promise<number> =>
        (await machine.try(`runuser -u ${user} -- curl -s -m 2 -o /dev/null --unix-socket ${at} http://web/`)).code;
      await eventually('its caller connects', async () => assert.equal(await callAs('games'), 0));
      assert.equal(await callAs('nobody'), 7);
      for (const ours of ['/run/trysail/api.sock', '/run/trysail/xds.sock', '/run/trysail-envoy/admin.sock']) {
        await machine.run(`test -S ${ours}`);
        assert.equal(await callAs('games', ours), 7, ours);
      }
      await machine.write(file, yaml);
      await machine.run(`trysail reload; rm -r ${dirname(socket)}`);
    },
  );

  await t.test('the journal knows the level of each line', async () => {
    await machine.write('/etc/trysail/resources.d/wrong.yaml', 'kind: Nonsense\n');
    await eventually('a warning', async () => {
      const journal = async (priority: string) => machine.run(`journalctl -u trysail -o cat -p ${priority}`);
      const all = await journal('debug');
      const warnings = await journal('warning');
      assert.match(all, /"level":"info"/);
      assert.doesNotMatch(all, /^<\d>/m);
      assert.match(warnings, /"level":"(warn|error)"/);
      assert.doesNotMatch(warnings, /"level":"info"/);
    });
    await machine.run('rm /etc/trysail/resources.d/wrong.yaml');
  });

  await t.test('a reload takes new settings up, and touches no process', async () => {
    const [agent, envoy] = [(await machine.unitState('trysail')).mainPid, await envoyPid(machine)];
    await configure(machine, [8080, 8090]);
    await machine.run('systemctl reload trysail');
    await untilServed(machine, 8090);
    assert.equal((await machine.unitState('trysail')).mainPid, agent);
    assert.equal(await envoyPid(machine), envoy);
  });

  await t.test('a gateway serves ports 80 and 443, with a certificate of the folder that is there for it', async () => {
    const [file, resources] = ['/etc/trysail/agent.yaml', '/etc/trysail/resources.d/gateway.yaml'];
    assert.equal((await machine.run('stat -c "%U %G %a" /etc/trysail/credentials')).trim(), 'root trysail 750');
    const authority = await testAuthority();
    const pair = await authority.issue('www.test');
    await machine.run('install -d -m 0750 -g trysail /etc/trysail/credentials/www');
    for (const [name, text] of [
      ['tls.crt', pair.certificateChainPem],
      ['tls.key', pair.privateKeyPem],
    ] as const) {
      await machine.write(`/etc/trysail/credentials/www/${name}`, text, 0o640);
      await machine.run(`chgrp trysail /etc/trysail/credentials/www/${name}`);
    }
    await machine.write('/root/root.pem', authority.rootPem);
    await machine.write(resources, GATEWAY);
    const yaml = await machine.run(`cat ${file}`);
    await machine.write(file, `${yaml}gateways: [{ name: edge }]\n`);
    await machine.run('trysail reload');
    const get = 'curl -sSf -m 2 -o /dev/null -w "%{http_code} %{redirect_url}" --cacert /root/root.pem';
    const at = `--resolve www.test:443:${machine.address} --resolve www.test:80:${machine.address}`;
    await eventually('HTTPS is served', async () =>
      assert.equal((await machine.run(`${get} ${at} https://www.test/`)).trim(), '200'),
    );
    assert.equal(await machine.run(`${get} ${at} http://www.test/`), '301 https://www.test/');
    await machine.write(file, yaml);
    await machine.run(`rm -r ${resources} /etc/trysail/credentials/www /root/root.pem; trysail reload`);
  });

  await t.test('Envoy serves while the agent is stopped, killed, hung', async () => {
    const envoy = await envoyPid(machine);
    const requests = await startRequests(machine);
    await machine.run('systemctl stop trysail');
    await untilServed(machine);
    await machine.run('systemctl start trysail');
    await untilReady(machine);
    await machine.run('systemctl kill --signal=KILL trysail');
    await eventually('systemd starts it again', async () => (await machine.unitState('trysail')).restarts === 1);
    await untilReady(machine);
    await machine.write(
      '/run/systemd/system/trysail.service.d/test.conf',
      '[Service]\nWatchdogSec=10\nTimeoutAbortSec=1\n',
    );
    await machine.run('systemctl daemon-reload && systemctl restart trysail');
    await untilReady(machine);
    const { mainPid } = await machine.unitState('trysail');
    // Longer than the limit: it tells systemd that it lives.
    await machine.run('sleep 12');
    assert.equal((await machine.unitState('trysail')).mainPid, mainPid);
    await machine.run(`kill -STOP ${mainPid}`);
    await eventually('the watchdog ends it', async () => (await machine.unitState('trysail')).mainPid !== mainPid);
    await untilReady(machine);
    assert.match(await machine.journal('trysail'), /watchdog/i);
    await machine.run('rm -r /run/systemd/system/trysail.service.d && systemctl daemon-reload');
    const { done, failed } = await requests.stop();
    assert.deepEqual(failed, []);
    t.diagnostic(`${done} requests while the agent was away`);
    assert.equal(await envoyPid(machine), envoy);
  });

  for (const version of [VERSIONS[1], VERSIONS[0]])
    await t.test(`${version} over the other version: a new agent, and no request fails`, async () => {
      const agent = (await machine.unitState('trysail')).mainPid;
      const requests = await startRequests(machine);
      await install(version);
      await untilReady(machine);
      // The new agent hot-restarts Envoy into the program that came with it.
      await machine.run('sleep 2');
      assert.notEqual((await machine.unitState('trysail')).mainPid, agent);
      const { done, failed } = await requests.stop();
      t.diagnostic(`${done} requests during the installation`);
      assert.deepEqual(failed, []);
      assert.match(await machine.run('cat /etc/trysail/agent.yaml'), /web-8090/);
    });

  await t.test('it comes back with the machine', async () => {
    await machine.reboot();
    await startApplication(machine);
    await untilReady(machine);
    await untilServed(machine);
  });

  await t.test('Envoy ends drained and after the agent, whatever has become of agent.yaml', async () => {
    await machine.run(
      'cp -p /etc/trysail/agent.yaml /root/agent.yaml && echo "colour: green" >> /etc/trysail/agent.yaml',
    );
    await machine.run('systemctl stop trysail-envoy');
    await machine.run('mv /root/agent.yaml /etc/trysail/agent.yaml');
    const said = await machine.journal('trysail-drain');
    assert.match(said, /agent\.yaml has errors: the settings that the last agent had are used/);
    assert.match(said, /Envoy is drained/);
    const ends = await machine.run(
      'systemctl show -p InactiveEnterTimestampMonotonic --value trysail trysail-drain trysail-envoy | grep .',
    );
    const times = ends.trim().split('\n').map(Number);
    assert.equal(times.length, 3);
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
    assert.equal((await machine.try('pgrep -x envoy')).code, 1);
    await machine.run('systemctl start trysail');
    await untilReady(machine);
  });

  await t.test('removed, it keeps configuration and users; installed again, it goes on', async () => {
    await machine.run('dpkg -r trysail');
    assert.equal((await machine.try('pgrep -x envoy')).code, 1);
    assert.match(await machine.run('cat /etc/trysail/agent.yaml && getent passwd trysail'), /web-8080/);
    await install(VERSIONS[0]);
    await machine.run('systemctl start trysail');
    await untilReady(machine);
  });

  await t.test('purged, it leaves nothing', async () => {
    await machine.run('systemctl stop application; rm -rf /srv/index.html /root/stop /root/requests');
    await machine.run('dpkg --purge trysail');
    assert.deepEqual(difference(before, await hostState(machine)), []);
  });
});
