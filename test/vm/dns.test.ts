/** Names of the mesh on a machine with systemd-resolved: what unmodified applications see, and what nobody must notice. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { dnsDomains, dnsDomainsText } from '../../src/platform/vm/dns-domains.ts';
import { dnsTable } from '../../src/translate/dns/dns-names.ts';
import { Translator } from '../../src/translate/translator.ts';
import { eventually } from '../support/eventually.ts';
import { envoyBinary } from '../support/tools.ts';
import { endpoint, host, mesh, service } from '../translate/mesh-literals.ts';
import { staticBootstrap } from '../translate/static-bootstrap.ts';
import { canBootMachines } from './capability.ts';
import type { Machine } from './machine.ts';
import { startNetwork } from './network.ts';

const PACKAGING = join(import.meta.dirname, '../../packaging');
const LISTEN = { address: '127.0.0.1', port: 15_053 };
const NAMED = [
  { serviceHost: 'reviews.default.mesh', addresses: ['127.240.0.1'] },
  { serviceHost: 'api.example.com', addresses: ['127.240.0.2'] },
];
const APPLICATION_PORT = 8000;

/** The network's DNS server: every name has the address 192.0.2.9 and the text "network". */
const NETWORK_DNS = `
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('127.0.0.9', 53))
while True:
    m, a = s.recvfrom(4096)
    end = m.index(b'\\0', 12) + 1
    kind = struct.unpack('>H', m[end:end + 2])[0]
    data = {1: bytes([192, 0, 2, 9]), 16: b'\\x07network'}.get(kind)
    answer = b'' if data is None else b'\\xc0\\x0c' + struct.pack('>HHIH', kind, 1, 5, len(data)) + data
    s.sendto(m[:2] + b'\\x81\\x80' + struct.pack('>HHHH', 1, 1 if answer else 0, 0, 0) + m[12:end + 4] + answer, a)
`;

/** Asks the stub over TCP for an address. */
const ASK_BY_TCP = `
import socket, struct, sys
m = struct.pack('>HHHHHH', 7, 0x100, 1, 0, 0, 0) + b''.join(bytes([len(l)]) + l.encode() for l in sys.argv[1].split('.')) + b'\\0\\0\\1\\0\\1'
s = socket.create_connection(('127.0.0.53', 53), 5)
s.sendall(struct.pack('>H', len(m)) + m)
print('.'.join(str(b) for b in s.recv(500)[-4:]))
`;

const FETCH =
  'import urllib.request; print(urllib.request.urlopen("http://reviews.mesh:9080/who", timeout=10).read().decode())';

/** As an application does that knows nothing but IPv6. */
const SIXTH = `
import socket, urllib.request
at = socket.getaddrinfo("reviews.mesh", 9080, socket.AF_INET6, socket.SOCK_STREAM)[0][4]
s = socket.socket(socket.AF_INET6)
s.connect(at)
s.sendall(b"GET /who HTTP/1.1\\r\\nHost: reviews.mesh\\r\\nConnection: close\\r\\n\\r\\n")
print(at[0], s.makefile().read()[-7:])
`;

async function prepare(machine: Machine): Promise<void> {
  const reviews = service('reviews', 'HTTP', { tls: 'plain' });
  const api = service('api', 'HTTP', { tls: 'plain', host: 'api.example.com', aliases: [], external: true });
  const self = host({ callerIdentity: undefined, namedUpstreams: NAMED, dns: { listen: LISTEN } });
  const all = mesh([
    [reviews, [endpoint('127.0.0.1', APPLICATION_PORT)]],
    [api, []],
  ]);
  const bootstrap = await staticBootstrap(new Translator().translate(all, self), { nodeId: 'd', secrets: [] });
  await machine.run('useradd -r -M trysail-envoy && useradd -r -M -g trysail-envoy trysail');
  await machine.run(
    'install -d -m 0750 -o trysail -g trysail-envoy /run/trysail && mkdir -p /etc/trysail && touch /etc/trysail/agent.yaml',
  );
  await machine.run('install -d -m 0750 -o trysail-envoy -g trysail-envoy /run/trysail-envoy');
  await machine.write('/etc/envoy.json', JSON.stringify(bootstrap), 0o644);
  await machine.write('/root/dns.py', NETWORK_DNS);
  await machine.write('/root/tcp.py', ASK_BY_TCP);
  await machine.write('/srv/who', 'reviews');
  await machine.copyIn(join(PACKAGING, 'dns-link'), '/usr/lib/trysail/dns-link');
  await machine.run('chmod 755 /usr/lib/trysail/dns-link');
  for (const unit of ['trysail-dns.service', 'trysail-dns.path'])
    await machine.copyIn(join(PACKAGING, 'systemd', unit), `/etc/systemd/system/${unit}`);
  await machine.write('/etc/systemd/resolved.conf.d/network.conf', '[Resolve]\nDNS=127.0.0.9\nDNSSEC=no\n');
  await machine.run('systemd-run --unit=network-dns python3 /root/dns.py');
  await machine.run(`systemd-run --unit=web -p WorkingDirectory=/srv python3 -m http.server ${APPLICATION_PORT}`);
  await machine.run(
    'systemctl daemon-reload && systemctl restart systemd-resolved && systemctl start trysail-dns.path',
  );
  await machine.run('ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf');
}

const startEnvoy = (machine: Machine): Promise<string> =>
  machine.run(
    'systemd-run --unit=envoy -p User=trysail-envoy -p Group=trysail-envoy /usr/lib/trysail/envoy -c /etc/envoy.json --disable-hot-restart --concurrency 1 && install -o trysail-envoy -g trysail-envoy -m 0640 /dev/null /run/trysail-envoy/launcher.pid',
  );

/** As the agent does it. */
async function say(machine: Machine, text: string): Promise<void> {
  const path = '/run/trysail/dns-domains';
  await machine.write(`${path}.new`, text, 0o640);
  await machine.run(`chown trysail:trysail-envoy ${path}.new && mv ${path}.new ${path}`);
}

const addressOf = async (machine: Machine, name: string): Promise<string> =>
  (await machine.try(`getent ahostsv4 ${name} | awk '{print $1; exit}'`)).stdout.trim();

const NETWORK = '192.0.2.9';
const OTHERS = ['example.com', 'www.example.com', 'other.service.consul', 'consul.service.consul', 'reviews.corp'];

const reason = await canBootMachines();

test('mesh names resolve for unmodified applications, and no other name is touched', {
  skip: reason ?? false,
}, async (t) => {
  const network = await startNetwork(t);
  const machine = await network.machine({ name: 'd', number: 2, binds: { [envoyBinary()]: '/usr/lib/trysail/envoy' } });
  await prepare(machine);
  const table = dnsTable(
    new Map(),
    { serviceHosts: ['{service}.{namespace}.mesh', '{consulName}.service.consul'] },
    { namedUpstreams: NAMED },
  );
  const { routed, left } = dnsDomains(table.keys());
  assert.deepEqual([routed, left], [['api.example.com', 'mesh', 'reviews.service.consul'], []]);
  const domains = dnsDomainsText(LISTEN, routed);

  await t.test('without the file all names are the network’s', async () => {
    for (const name of [...OTHERS, 'reviews.mesh', 'api.example.com'])
      assert.equal(await addressOf(machine, name), NETWORK, name);
  });

  await t.test('with it, names of the mesh are Envoy’s, and others the network’s still', async () => {
    await startEnvoy(machine);
    await say(machine, domains);
    await eventually('the name resolves', async () => (await addressOf(machine, 'reviews.mesh')) === '127.240.0.1');
    for (const name of ['reviews.mesh', 'reviews.default.mesh', 'reviews.service.consul'])
      assert.equal(await addressOf(machine, name), '127.240.0.1', name);
    assert.equal(await addressOf(machine, 'api.example.com'), '127.240.0.2');
    for (const name of OTHERS) assert.equal(await addressOf(machine, name), NETWORK, name);
    assert.match(await machine.run('resolvectl query -t TXT example.com'), /"network"/);
    assert.equal((await machine.run(`python3 -c '${SIXTH}'`)).trim(), '::ffff:127.240.0.1 reviews');
    assert.equal((await machine.run('python3 /root/tcp.py reviews.mesh')).trim(), '127.240.0.1');
    assert.equal((await machine.run(`python3 -c '${FETCH}'`)).trim(), 'reviews');
    assert.equal(await addressOf(machine, 'nobody.mesh'), '');
  });

  await t.test('a restart of the resolver changes nothing', async () => {
    await machine.run('systemctl restart systemd-resolved');
    await eventually('the name resolves', async () => (await addressOf(machine, 'reviews.mesh')) === '127.240.0.1');
    assert.equal(await addressOf(machine, 'example.com'), NETWORK);
  });

  await t.test('a change of the file is a change of the domains, and nothing of the old stays', async () => {
    await say(machine, dnsDomainsText(LISTEN, ['mesh']));
    await eventually(
      'the name is the network’s',
      async () => (await addressOf(machine, 'api.example.com')) === NETWORK,
    );
    assert.equal(await addressOf(machine, 'reviews.mesh'), '127.240.0.1');
  });

  await t.test('what a stranger might write has no effect', async () => {
    const before = await machine.run('resolvectl domain trysail0; resolvectl dns trysail0');
    for (const text of [
      'listen 127.0.0.1:15053\ncom\n',
      'example.com\n',
      '.\n',
      'listen 192.0.2.1:53\nmesh\n',
      'mesh;reboot\n',
      '$(reboot).a.b\n',
      '-x.a.b\n',
      '*.a.b\n',
    ]) {
      await say(machine, text);
      assert.notEqual((await machine.try('systemctl start trysail-dns.service')).code, 0, text);
      assert.equal(await machine.run('resolvectl domain trysail0; resolvectl dns trysail0'), before, text);
      await machine.run(
        'systemctl reset-failed trysail-dns.service trysail-dns.path; systemctl start trysail-dns.path',
      );
    }
    for (const name of OTHERS) assert.equal(await addressOf(machine, name), NETWORK, name);
  });

  await t.test('Envoy dead: names of the mesh fail at once, others are the network’s', async () => {
    await machine.run('systemctl kill -s KILL envoy');
    await eventually('it is gone', async () => (await machine.unitState('envoy')).active !== 'active');
    assert.equal((await machine.try('timeout 30 getent ahostsv4 reviews.mesh')).code, 2);
    for (const name of OTHERS) assert.equal(await addressOf(machine, name), NETWORK, name);
  });

  await t.test('the file gone, nothing is left', async () => {
    await machine.run('rm /run/trysail/dns-domains; systemctl start trysail-dns.service');
    assert.notEqual((await machine.try('ip link show trysail0')).code, 0);
    assert.equal(await addressOf(machine, 'reviews.mesh'), NETWORK);
  });
});
