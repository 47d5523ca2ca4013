import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { availableMemoryMb, CAPACITY_CHECK, descriptorLimit } from '../../src/platform/vm/checks/capacity.ts';
import { CLOCK_CHECK } from '../../src/platform/vm/checks/clock.ts';
import { envoyProgramCheck } from '../../src/platform/vm/checks/envoy-program.ts';
import { FILES_CHECK } from '../../src/platform/vm/checks/files.ts';
import type { FileFacts } from '../../src/platform/vm/checks/host-check.ts';
import { realHost } from '../../src/platform/vm/checks/real-host.ts';
import { SECURITY_MODULES_CHECK } from '../../src/platform/vm/checks/security-modules.ts';
import { SYSTEMD_CHECK } from '../../src/platform/vm/checks/systemd.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary } from '../support/tools.ts';
import { brief, judge, needsWith } from './fake-host.ts';

const ALL = { redirect: true, cgroup: true, tproxy: true };

test('clock: synchronised, not, and nobody who knows', async () => {
  const chrony = (leap: string): string =>
    `C0A80101,192.168.1.1,3,1767225600.1,-0.000123,0.0001,0.0002,1.2,0.0,0.1,0.01,0.02,64.2,${leap}\n`;
  const by = async (programs: Readonly<Record<string, string>>) => judge(CLOCK_CHECK, { programs });
  assert.deepEqual((await by({ chronyc: chrony('Normal') })).facts, ['synchronised (chrony, 0.1 ms off)']);
  assert.deepEqual(brief(await by({ chronyc: chrony('Not synchronised') })), ['warning TRY1111 clock']);
  assert.deepEqual((await by({ timedatectl: 'NTP=yes\nNTPSynchronized=yes\n' })).findings, []);
  const off = await by({ timedatectl: 'NTP=no\nNTPSynchronized=no\n' });
  assert.match(off.findings[0]?.message ?? '', /no time service is switched on/);
  assert.match((await by({})).skipped ?? '', /neither timedatectl nor chronyc/);
});

const SHOW = `Id=trysail.service
LoadState=loaded
ActiveState=active
UnitFileState=disabled
User=trysail
NeedDaemonReload=yes

Id=trysail-envoy.service
LoadState=loaded
ActiveState=failed
Result=exit-code
User=trysail-envoy

Id=trysail-dns.service
LoadState=not-found
`;

test('systemd: failed, disabled and changed units, users that are missing', async () => {
  const files = {
    '/run/systemd/system': '',
    '/etc/passwd': 'root:x:0:0::/root:/bin/sh\ntrysail:x:990:990::/:/bin/false\n',
  };
  const programs = {
    'systemctl --version': 'systemd 252 (252.36-1~deb12u1)\n+PAM\n',
    systemctl: SHOW,
    getent: { code: 2 },
  };
  const outcome = await judge(SYSTEMD_CHECK, { files, programs }, { users: ['orders', 'root'] });
  assert.deepEqual(brief(outcome), [
    'warning TRY1170 trysail.service',
    'warning TRY1170 trysail.service',
    'error TRY1170 trysail-envoy.service',
    'error TRY1173 user orders',
    'error TRY1173 user trysail-envoy',
  ]);
  assert.deepEqual(outcome.facts, ['version 252', 'trysail active', 'trysail-envoy failed']);
});

test('systemd: units that capture and names need', async () => {
  const show = (agent: string, helper: string, file = 'disabled', wants = ''): string =>
    [
      `Id=trysail.service\nLoadState=loaded\nActiveState=${agent}\nUnitFileState=enabled\nWants=${wants}`,
      `Id=trysail-capture.service\nLoadState=loaded\nActiveState=${helper}\nUnitFileState=${file}`,
      `Id=trysail-dns.path\nLoadState=loaded\nActiveState=${helper}\nUnitFileState=${file}`,
    ].join('\n\n');
  const found = async (text: string): Promise<readonly string[]> =>
    brief(
      await judge(
        SYSTEMD_CHECK,
        {
          files: { '/run/systemd/system': '' },
          programs: { 'systemctl --version': 'systemd 252\n', systemctl: text },
        },
        { capture: ALL, dns: { address: '127.0.0.1', port: 15_053, domains: ['mesh'] } },
      ),
    );
  assert.deepEqual(await found(show('active', 'inactive')), [
    'error TRY1170 trysail-capture.service',
    'error TRY1170 trysail-dns.path',
  ]);
  assert.deepEqual(await found(show('inactive', 'inactive')), [
    'warning TRY1170 trysail-capture.service',
    'warning TRY1170 trysail-dns.path',
  ]);
  assert.deepEqual(await found(show('inactive', 'inactive', 'disabled', 'x trysail-dns.path')), [
    'warning TRY1170 trysail-capture.service',
  ]);
  assert.deepEqual(await found(show('inactive', 'inactive', 'enabled')), []);
  assert.deepEqual(await found(show('active', 'active')), []);
});

test('systemd: units that agent.yaml names and nobody knows', async () => {
  const show = 'Id=orders.service\nLoadState=not-found\n\nId=web.service\nLoadState=loaded\nActiveState=active\n';
  const host = {
    files: { '/run/systemd/system': '' },
    programs: { 'systemctl --version': 'systemd 200\n', systemctl: show },
  };
  const outcome = await judge(SYSTEMD_CHECK, host, { units: ['orders.service', 'web.service'] });
  assert.deepEqual(brief(outcome), ['error TRY1124 unit orders.service', 'warning TRY1173 systemd']);
  assert.deepEqual(brief(await judge(SYSTEMD_CHECK, {}, { units: ['a.service'] })), ['error TRY1173 unit a.service']);
  assert.match((await judge(SYSTEMD_CHECK, {})).skipped ?? '', /does not run systemd/);
});

test('files: modes and owners', async () => {
  const modes = {
    '/var/lib/trysail': { mode: 0o755, uid: 990 },
    '/run/trysail': { mode: 0o711, uid: 990 },
    '/var/lib/trysail/identity': { mode: 0o700, uid: 990 },
    '/var/lib/trysail/identity/host.json': { mode: 0o644, uid: 0 },
    '/etc/trysail/consul.token': { mode: 0o640 },
    '/etc/trysail/agent.yaml': { mode: 0o664 },
  };
  const folders = { '/var/lib/trysail/identity': ['host.json'] };
  const outcome = await judge(FILES_CHECK, { modes, folders }, { secrets: ['/etc/trysail/consul.token'] });
  assert.deepEqual(brief(outcome), [
    'error TRY1171 /var/lib/trysail',
    'error TRY1171 /var/lib/trysail/identity/host.json',
    'error TRY1171 /etc/trysail/agent.yaml',
    'error TRY1171 /var/lib/trysail/identity/host.json',
  ]);
  assert.match(outcome.findings[0]?.message ?? '', /mode 0755/);
  assert.match(outcome.findings[3]?.message ?? '', /belongs to user 0, and \/var\/lib\/trysail to user 990/);
  const hidden = await judge(FILES_CHECK, { modes: { '/var/lib/trysail': { mode: 0o700, uid: 990 } }, uid: 1000 });
  assert.deepEqual(brief(hidden), ['info TRY1100 /var/lib/trysail']);
});

test('files: what the user of the unit may not read', async () => {
  const host = (token: Partial<FileFacts>): Parameters<typeof judge>[1] => ({
    files: {
      '/run/systemd/system': '',
      '/etc/passwd': 'trysail:x:990:991::/:/bin/false\n',
      '/etc/group': 'trysail:x:991:\nconsul-readers:x:44:other,trysail\n',
    },
    modes: { '/etc/trysail/consul.token': token },
    programs: { systemctl: 'Id=trysail.service\nLoadState=loaded\nUser=trysail\n' },
  });
  const found = async (token: Partial<FileFacts>): Promise<readonly string[]> =>
    brief(await judge(FILES_CHECK, host(token), { secrets: ['/etc/trysail/consul.token'] }));
  assert.deepEqual(await found({ mode: 0o600, uid: 0, gid: 0 }), ['error TRY1171 /etc/trysail/consul.token']);
  assert.deepEqual(await found({ mode: 0o640, uid: 0, gid: 44 }), []);
  assert.deepEqual(await found({ mode: 0o640, uid: 0, gid: 991 }), []);
  assert.deepEqual(await found({ mode: 0o600, uid: 990, gid: 0 }), []);
});

test('files of this machine', async (t) => {
  const dir = await tempDir(t);
  const secret = join(dir, 'token');
  await writeFile(secret, 'x');
  await chmod(secret, 0o666);
  const io = realHost(() => Promise.resolve([]));
  const paths = { config: join(dir, 'none.yaml'), state: dir, run: dir };
  const run = async () =>
    FILES_CHECK.run({ io, needs: needsWith({ secrets: [secret], paths }), signal: new AbortController().signal });
  assert.deepEqual(brief(await run()), [`error TRY1171 ${secret}`]);
  await chmod(secret, 0o600);
  assert.deepEqual((await run()).findings, []);
});

test('capacity: descriptors, memory, disk, inodes, connections', async () => {
  const limits = (hard: number): string =>
    `Max open files            1024                 ${hard}                files     \n`;
  const files = {
    '/proc/self/limits': limits(65_536),
    '/proc/meminfo': 'MemTotal: 1000000 kB\nMemAvailable:   512000 kB\n',
    '/proc/sys/net/netfilter/nf_conntrack_count': '10\n',
    '/proc/sys/net/netfilter/nf_conntrack_max': '100\n',
  };
  assert.deepEqual((await judge(CAPACITY_CHECK, { files })).findings, []);
  const small = {
    '/proc/self/limits': limits(1024),
    '/proc/meminfo': 'MemAvailable:   102400 kB\n',
    '/proc/sys/net/netfilter/nf_conntrack_count': '95\n',
    '/proc/sys/net/netfilter/nf_conntrack_max': '100\n',
  };
  assert.deepEqual(brief(await judge(CAPACITY_CHECK, { files: small })), [
    'warning TRY1172 conntrack',
    'warning TRY1172 file descriptors',
    'warning TRY1172 memory',
  ]);
  const disk = async (host: { freeMb?: number; freeFiles?: number }) =>
    brief(await judge(CAPACITY_CHECK, { files, ...host }));
  assert.deepEqual(await disk({ freeMb: 50 }), ['warning TRY1172 /var/lib/trysail', 'warning TRY1172 /run/trysail']);
  assert.deepEqual((await disk({ freeMb: 1 }))[0], 'error TRY1172 /var/lib/trysail');
  assert.deepEqual((await disk({ freeFiles: 0 }))[0], 'error TRY1172 /var/lib/trysail');
  const running = { files: { ...files, '/proc/7/limits': limits(4096) } };
  assert.deepEqual(brief(await judge(CAPACITY_CHECK, running, { envoyPids: [7] })), [
    'warning TRY1172 file descriptors',
  ]);
  assert.equal(descriptorLimit('Max open files  1024  unlimited  files'), Number.POSITIVE_INFINITY);
  assert.equal(availableMemoryMb(''), undefined);
});

test('security modules: enforcing ones are named, and what they denied', async () => {
  const selinux = { '/sys/fs/selinux/enforce': '1' };
  const denied = 'type=AVC msg=audit(1): avc:  denied  { name_bind } for pid=1 comm="envoy" src=9080\n';
  assert.deepEqual((await judge(SECURITY_MODULES_CHECK, { files: selinux })).facts, ['SELinux is enforcing']);
  const outcome = await judge(SECURITY_MODULES_CHECK, { files: selinux, programs: { ausearch: denied } });
  assert.deepEqual(brief(outcome), ['warning TRY1181 SELinux']);
  const armor = { '/sys/kernel/security/apparmor/profiles': 'man (enforce)\n/usr/lib/trysail/envoy (enforce)\n' };
  assert.deepEqual(brief(await judge(SECURITY_MODULES_CHECK, { files: armor })), ['info TRY1181 AppArmor']);
});

test('envoy: its version and hash, one that is missing, one that is not what runs', async (t) => {
  const dir = await tempDir(t);
  const found = await judge(envoyProgramCheck({ configured: envoyBinary(), programDir: dir }), {});
  assert.deepEqual(found.findings, []);
  assert.match(found.facts.join(), /^Envoy 1\.\d+\.\d+,.*sha256 [0-9a-f]{12}…,Node \d+/);
  const missing = await judge(envoyProgramCheck({ configured: join(dir, 'none'), programDir: dir }), {});
  assert.deepEqual(brief(missing), ['error TRY0104 Envoy']);
  const links = { '/proc/7/exe': '/opt/envoy', [envoyBinary()]: envoyBinary() };
  const other = await judge(
    envoyProgramCheck({ configured: envoyBinary(), programDir: dir }),
    { links },
    { envoyPids: [7] },
  );
  assert.deepEqual(brief(other), ['info TRY1180 Envoy (pid 7)']);
});

test('systemd: what tproxy needs of Envoy, missing, there, there for nothing', async () => {
  const dropIn = '/etc/systemd/system/trysail-envoy.service.d/50-trysail-tproxy.conf';
  const found = async (
    given: string,
    { kernel = '6.1.0', tproxy = true, running = 'ffff' }: { kernel?: string; tproxy?: boolean; running?: string } = {},
  ) =>
    judge(
      SYSTEMD_CHECK,
      {
        files: {
          '/run/systemd/system': '',
          '/etc/passwd': 'trysail-envoy:x:990:990::/:/bin/false\n',
          '/proc/sys/kernel/osrelease': `${kernel}\n`,
          '/proc/77/status': `CapEff:\t${running}\n`,
        },
        programs: {
          'systemctl --version': 'systemd 252\n',
          systemctl: `Id=trysail-envoy.service\nLoadState=loaded\nActiveState=active\nUser=trysail-envoy\nAmbientCapabilities=cap_net_bind_service${given}\nDropInPaths=/x.conf ${given === '' ? '' : dropIn}\n`,
        },
      },
      { capture: { redirect: false, cgroup: false, tproxy }, envoyPids: [77] },
    );
  const missing = await found('');
  assert.deepEqual(brief(missing), ['error TRY1174 trysail-envoy.service']);
  assert.match(missing.findings[0]?.message ?? '', /Envoy lacks CAP_NET_RAW/);
  assert.deepEqual(brief(await found(' cap_net_raw')), []);
  assert.deepEqual(brief(await found(' cap_net_raw', { kernel: '5.15.0', running: '0' })), [
    'error TRY1174 trysail-envoy.service',
  ]);
  assert.deepEqual(brief(await found(' cap_net_raw', { running: '400' })), ['error TRY1174 Envoy (pid 77)']);
  assert.deepEqual(brief(await found(' cap_net_raw', { tproxy: false })), ['info TRY1174 trysail-envoy.service']);
  assert.deepEqual(brief(await found('', { tproxy: false })), []);
});
