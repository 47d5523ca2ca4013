import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { type TestContext, test } from 'node:test';
import type { DnsAnswer, HostNeeds } from '../../src/platform/vm/checks/host-check.ts';
import { realHost } from '../../src/platform/vm/checks/real-host.ts';
import { RESOLVER_CHECK } from '../../src/platform/vm/checks/resolver.ts';
import { findLoop, parseDnsmasq, parseResolvConf } from '../../src/platform/vm/checks/resolver-files.ts';
import { brief, type FakeHost, judge } from './fake-host.ts';

/** As systemd-resolved writes it. */
const STUB = 'nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch corp.example\n';
const UPLINKS = '/run/systemd/resolve/resolv.conf';
const DNS: Partial<HostNeeds> = { dns: { address: '127.0.0.1', port: 15_053, domains: ['mesh'] } };
const DNSMASQ = { address: '127.0.0.1', port: 53, program: '/usr/sbin/dnsmasq' };

const withFiles = (files: Readonly<Record<string, string>>, more: FakeHost = {}): FakeHost => ({ files, ...more });

test('the files of resolvers', () => {
  const conf =
    '; c\nnameserver 10.0.0.2 # first\nnameserver fe80::1%eth0\nsearch a.example b.example\noptions ndots:5 rotate\n';
  assert.deepEqual(parseResolvConf(conf), {
    nameservers: ['10.0.0.2', 'fe80::1'],
    search: ['a.example', 'b.example'],
    ndots: 5,
  });
  const masq = parseDnsmasq('# server=1.1.1.1\nserver=10.0.0.2\nserver=/mesh/consul/127.0.0.1#15053\nno-resolv\n');
  assert.deepEqual(
    [masq.servers, [...masq.byDomain], masq.resolvFile],
    [
      ['10.0.0.2'],
      [
        ['mesh', '127.0.0.1#15053'],
        ['consul', '127.0.0.1#15053'],
      ],
      undefined,
    ],
  );
  assert.equal(parseDnsmasq('').resolvFile, '/etc/resolv.conf');
  assert.deepEqual(
    findLoop(
      new Map([
        ['a', ['b']],
        ['b', ['c', 'a']],
      ]),
    ),
    ['a', 'b', 'a'],
  );
  assert.equal(
    findLoop(
      new Map([
        ['a', ['b']],
        ['b', ['c']],
      ]),
    ),
    undefined,
  );
});

test('systemd-resolved behind its stub is what mesh names need', async () => {
  const outcome = await judge(
    RESOLVER_CHECK,
    withFiles(
      { '/etc/resolv.conf': STUB, [UPLINKS]: 'nameserver 10.0.0.2\n' },
      {
        links: { '/etc/resolv.conf': '/run/systemd/resolve/stub-resolv.conf' },
      },
    ),
    DNS,
  );
  assert.deepEqual(outcome.findings, []);
  assert.deepEqual(outcome.facts, [
    'resolv.conf asks 127.0.0.53 (/run/systemd/resolve/stub-resolv.conf)',
    'systemd-resolved asks 10.0.0.2',
    'no loop',
  ]);
});

test('without systemd-resolved, or past it, mesh names do not reach Envoy', async () => {
  const plain = { '/etc/resolv.conf': 'nameserver 10.0.0.2\n' };
  assert.deepEqual(brief(await judge(RESOLVER_CHECK, withFiles(plain), DNS)), ['error TRY1131 DNS']);
  assert.deepEqual((await judge(RESOLVER_CHECK, withFiles(plain))).findings, []);
  const beside = { ...plain, [UPLINKS]: 'nameserver 10.0.0.2\n' };
  const past = await judge(RESOLVER_CHECK, withFiles(beside), DNS);
  assert.deepEqual(brief(past), ['warning TRY1131 /etc/resolv.conf']);
  assert.match(past.findings[0]?.remedy ?? '', /stub-resolv\.conf/);
  const nss = { ...beside, '/etc/nsswitch.conf': 'hosts: files resolve [!UNAVAIL=return] dns\n' };
  assert.deepEqual((await judge(RESOLVER_CHECK, withFiles(nss), DNS)).findings, []);
});

test('dnsmasq has to forward the domain', async () => {
  const files = { '/etc/resolv.conf': 'nameserver 127.0.0.1\n', '/etc/dnsmasq.conf': 'no-resolv\nserver=10.0.0.2\n' };
  const host = withFiles(files, { udp: [DNSMASQ] });
  const outcome = await judge(RESOLVER_CHECK, host, DNS);
  assert.deepEqual(brief(outcome), ['error TRY1131 dnsmasq']);
  assert.match(outcome.findings[0]?.remedy ?? '', /server=\/mesh\/127\.0\.0\.1#15053/);
  const forwarding = {
    files: { ...files, '/etc/dnsmasq.d/mesh.conf': 'server=/mesh/127.0.0.1#15053\n' },
    folders: { '/etc/dnsmasq.d': ['mesh.conf'] },
    udp: [DNSMASQ],
  };
  assert.deepEqual((await judge(RESOLVER_CHECK, forwarding, DNS)).findings, []);
});

test('circles of resolvers are found', async () => {
  const self = withFiles({ '/etc/resolv.conf': STUB, [UPLINKS]: 'nameserver 127.0.0.53\n' });
  const [first] = (await judge(RESOLVER_CHECK, self)).findings;
  assert.deepEqual(
    [first?.code, first?.message],
    ['TRY1130', 'queries go in circles: systemd-resolved → systemd-resolved'],
  );
  const both = withFiles(
    {
      '/etc/resolv.conf': STUB,
      [UPLINKS]: 'nameserver 127.0.0.1\n',
      '/etc/dnsmasq.conf': 'server=127.0.0.53\nno-resolv\n',
    },
    { udp: [DNSMASQ, { address: '127.0.0.53', port: 53, program: 'systemd-resolve' }] },
  );
  assert.match(
    (await judge(RESOLVER_CHECK, both)).findings[0]?.message ?? '',
    /systemd-resolved → dnsmasq → systemd-resolved/,
  );
  const ownResolvConf = withFiles(
    { '/etc/resolv.conf': 'nameserver 10.0.0.5\n' },
    { udp: [{ ...DNSMASQ, address: '0.0.0.0' }] },
  );
  assert.match((await judge(RESOLVER_CHECK, ownResolvConf)).findings[0]?.message ?? '', /dnsmasq → dnsmasq/);
});

test('a link that the agent has asked for and nobody made', async () => {
  const files = { '/etc/resolv.conf': STUB, [UPLINKS]: 'nameserver 10.0.0.2\n', '/run/trysail/dns-domains': 'mesh\n' };
  assert.deepEqual(brief(await judge(RESOLVER_CHECK, withFiles(files), DNS)), ['error TRY1131 link trysail0']);
  const made = { ...files, '/sys/class/net/trysail0': '' };
  assert.deepEqual((await judge(RESOLVER_CHECK, withFiles(made), DNS)).findings, []);
});

test('ndots makes mesh names slow', async () => {
  const files = { '/etc/resolv.conf': `${STUB}options ndots:5\n`, [UPLINKS]: 'nameserver 10.0.0.2\n' };
  assert.deepEqual(brief(await judge(RESOLVER_CHECK, withFiles(files), DNS)), ['warning TRY1133 /etc/resolv.conf']);
});

/** A DNS server on loopback: answers every A question with 192.0.2.1 under .mesh, and that there is no such name elsewhere. */
async function nameServer(t: TestContext, answer: boolean): Promise<string> {
  const socket = createSocket('udp4');
  socket.on('message', (query, from) => {
    if (!answer) return;
    const reply = Buffer.concat([query, Buffer.from('c00c00010001000000050004c0000201', 'hex')]);
    reply.writeUInt16BE(0x8180, 2);
    reply.writeUInt16BE(1, 6);
    // What the question carries beyond itself (EDNS) is cut off.
    const end = query.indexOf(0, 12) + 5;
    reply.copy(reply, end, query.length);
    reply.writeUInt16BE(0, 10);
    socket.send(reply.subarray(0, end + 16), from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  t.after(() => socket.close());
  return `127.0.0.1:${socket.address().port}`;
}

test('a real server that answers any name of the mesh is told, and one that is silent', async (t) => {
  const real = realHost(() => Promise.resolve([]));
  const answers: DnsAnswer[] = [];
  for (const answer of [true, false]) answers.push(await real.ask(await nameServer(t, answer), 'nobody.mesh'));
  assert.deepEqual(answers, [{ addresses: ['192.0.2.1'] }, { error: 'ETIMEOUT' }]);
  const files = { '/etc/resolv.conf': 'nameserver 10.0.0.2\nnameserver 10.0.0.3\n' };
  const asked: string[] = [];
  const dns = (server: string, name: string): DnsAnswer => {
    asked.push(name);
    return answers[server === '10.0.0.2' ? 0 : 1] ?? { error: 'ENOTFOUND' };
  };
  assert.deepEqual(brief(await judge(RESOLVER_CHECK, withFiles(files, { dns }))), [
    'warning TRY1132 DNS server 10.0.0.2',
    'warning TRY1134 DNS server 10.0.0.3',
  ]);
  assert.match(asked[0] ?? '', /^trysail-check-[0-9a-f]{12}\.mesh$/);
});
