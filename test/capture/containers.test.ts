import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { CapturePlan } from '../../src/platform/vm/capture-plan.ts';
import { eventually } from '../support/eventually.ts';
import { program } from '../support/local-mesh.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary } from '../support/tools.ts';
import { testAuthority } from '../translate/certificates.ts';
import { cannotCapture, type Hosts, type Namespace, namespace, twoNamespaces } from './netns.ts';
import { EMPTY_PLAN, load } from './plans.ts';
import { startProxy } from './proxy.ts';
import { call, serve } from './traffic.ts';

const skip = cannotCapture();
const ENVOY = 1800;

/** What an engine of containers sets: a bridge, translation of published ports before anybody else's, masquerading. */
const ENGINE = `
table ip nat {
  chain PREROUTING { type nat hook prerouting priority dstnat; policy accept; fib daddr type local jump DOCKER; }
  chain POSTROUTING { type nat hook postrouting priority srcnat; policy accept; ip saddr 172.17.0.0/16 oifname != "docker0" masquerade; }
  chain DOCKER { iifname != "docker0" tcp dport { 8080, 8081 } dnat to 172.17.0.2:80; }
}
`;

interface ContainerHost extends Hosts {
  readonly container: Namespace;
  readonly neighbour: Namespace;
}

/** A host with two containers behind docker0: 172.17.0.2, which is published at 8080 and 8081, and 172.17.0.3. */
async function containerHost(t: TestContext): Promise<ContainerHost> {
  const hosts = await twoNamespaces(t);
  const { host, other } = hosts;
  const ip = async (where: Namespace, command: string): Promise<string> => where.run('ip', ...command.split(' '));
  await ip(host, 'link add docker0 type bridge');
  await ip(host, 'address add 172.17.0.1/16 dev docker0');
  await ip(host, 'link set docker0 up');
  const containers: Namespace[] = [];
  for (const last of [2, 3]) {
    const container = await namespace(t);
    await ip(host, `link add c${last} type veth peer name eth0 netns ${container.pid}`);
    await ip(host, `link set c${last} master docker0 up`);
    await ip(container, `address add 172.17.0.${last}/16 dev eth0`);
    await ip(container, 'link set eth0 up');
    await ip(container, 'route add default via 172.17.0.1');
    containers.push(container);
  }
  await host.run('sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward');
  const file = join(await tempDir(t), 'engine.nft');
  await writeFile(file, ENGINE);
  await host.run('nft', '-f', file);
  const [container, neighbour] = containers;
  assert.ok(container !== undefined && neighbour !== undefined);
  await serve(container, 'container', '::|80');
  await serve(neighbour, 'neighbour', '::|81');
  await serve(other, 'direct', '::|81', '::|22', '::|8500');
  return { ...hosts, container, neighbour };
}

const PLAN: CapturePlan = {
  ...EMPTY_PLAN,
  envoyUid: ENVOY,
  containers: { interfaces: ['docker0'], port: 15001 },
  inbound: [{ port: 8080, how: 'redirect', onProxyFailure: 'deny' }],
  outboundOnFailure: 'deny',
};

test('calls of containers are captured, and ports that are published arrive at Envoy first', { skip }, async (t) => {
  const { host, other, container } = await containerHost(t);
  assert.equal(await call(other, '10.9.0.1', 8080), 'container 10.9.0.2 -> 172.17.0.2:80', 'without capture');
  await startProxy(t, host, [
    { address: '172.17.0.1', port: 15001, to: 'answer' },
    { address: '0.0.0.0', port: 15006, to: 'answer' },
  ]);
  await load(t, host, PLAN);
  assert.equal(await call(container, '10.9.0.2', 81), 'proxy 15001');
  assert.equal(await call(other, '10.9.0.1', 8080), 'proxy 15006');
  await t.test('ssh, Consul, other containers of the bridge and other published ports are left alone', async () => {
    assert.match(await call(container, '10.9.0.2', 22), /^direct /);
    assert.match(await call(container, '10.9.0.2', 8500), /^direct /);
    assert.equal(await call(container, '172.17.0.3', 81), 'neighbour 172.17.0.2 -> 172.17.0.3:81');
    assert.match(await call(other, '10.9.0.1', 8081), /^container /);
  });
  await t.test('nobody in a container reaches a capture port by itself', async () => {
    assert.equal(await call(container, '172.17.0.1', 15001), 'ECONNREFUSED');
    assert.equal(await call(container, '10.9.0.1', 15006), 'ECONNREFUSED');
  });
  await t.test('deny: with the proxy dead both ways are closed, and the others open', async () => {
    await host.run('nft', 'delete', 'table', 'inet', 'trysail');
    assert.match(await call(container, '10.9.0.2', 81), /^E(?:HOSTUNREACH|CONNREFUSED|ACCES)$/);
    assert.equal(await call(other, '10.9.0.1', 8080), 'ECONNREFUSED');
    assert.match(await call(container, '10.9.0.2', 22), /^direct /);
    assert.match(await call(other, '10.9.0.1', 8081), /^container /);
  });
});

/** Answers who called, by the certificate. */
const TLS_SERVER = `
const { createServer } = require('node:tls');
const { readFileSync } = require('node:fs');
const [dir] = process.argv.slice(1);
const file = (name) => readFileSync(dir + '/' + name);
const options = { cert: file('ledger.pem'), key: file('ledger.key'), ca: file('root.pem'), requestCert: true, ALPNProtocols: ['istio'] };
createServer(options, (socket) => {
  socket.on('error', () => undefined);
  socket.end('ledger for ' + socket.getPeerCertificate().subjectaltname + '\\n');
}).listen(9443, '10.9.0.2', () => console.log('listening'));`;

test('with an agent: containers call by the identity of callAs, and their published port is the mesh’s', {
  skip,
}, async (t) => {
  const { host, other, container } = await containerHost(t);
  const dir = await tempDir(t);
  const resources = join(dir, 'resources');
  await mkdir(resources);
  const authority = await testAuthority();
  await writeFile(join(dir, 'root.pem'), authority.rootPem);
  const spiffe = (name: string): string => `spiffe://cluster.local/ns/default/sa/${name}`;
  for (const name of ['web', 'ledger']) {
    const { certificateChainPem, privateKeyPem } = await authority.issue(spiffe(name));
    await writeFile(join(dir, `${name}.pem`), certificateChainPem);
    await writeFile(join(dir, `${name}.key`), privateKeyPem, { mode: 0o600 });
  }
  const ledger = other.start(process.execPath, '-e', TLS_SERVER, dir);
  await eventually('the ledger listens', () => assert.match(ledger.output(), /^listening/));
  const entry = (kind: string, name: string, spec: object): string =>
    `${JSON.stringify({ apiVersion: 'networking.istio.io/v1', kind, metadata: { name }, spec })}\n---\n`;
  await writeFile(
    join(resources, 'ledger.yaml'),
    entry('ServiceEntry', 'ledger', {
      hosts: ['ledger.default.mesh'],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports: [{ number: 7000, name: 'tcp', protocol: 'TCP' }],
      workloadSelector: { labels: { app: 'ledger' } },
    }) +
      entry('WorkloadEntry', 'ledger-1', {
        address: '10.9.0.2',
        ports: { tcp: 9443 },
        labels: { app: 'ledger' },
        serviceAccount: 'ledger',
      }) +
      // Its callers here speak no TLS, and wait for the server to speak first.
      entry('PeerAuthentication', 'plain', {
        selector: { matchLabels: { app: 'web' } },
        mtls: { mode: 'DISABLE' },
      }).replace('networking.istio.io/v1', 'security.istio.io/v1'),
  );
  const settings = {
    host: { name: 'vm-1', address: '10.9.0.1' },
    registry: 'files',
    mesh: { resources },
    identity: {
      provider: 'files',
      files: {
        certificateFile: join(dir, 'web.pem'),
        keyFile: join(dir, 'web.key'),
        rootFile: join(dir, 'root.pem'),
      },
    },
    services: [
      {
        name: 'web',
        labels: { app: 'web' },
        port: 8080,
        protocol: 'TCP',
        capture: 'redirect',
        application: '127.0.0.1:8080',
      },
    ],
    upstreams: [{ service: 'ledger' }],
    capture: { outbound: 'host', interfaces: ['docker0'] },
    dns: { addresses: ['240.240.0.0/16'] },
    envoy: { binary: envoyBinary(), concurrency: 1 },
    paths: { state: join(dir, 'state'), run: join(dir, 'run') },
  };
  await writeFile(join(dir, 'agent.yaml'), JSON.stringify(settings));
  // What an engine runs on the host for a published port.
  await serve(host, 'published', '127.0.0.1|8080');
  const agent = host.start(program(), 'agent', '--config', join(dir, 'agent.yaml'));
  const socket = join(dir, 'run/api.sock');
  await eventually('the rules are applied', async () =>
    host.run(program(), 'capture', 'apply', '--confirmed', '--socket', socket),
  ).catch((error: unknown) => {
    throw new Error(agent.output(), { cause: error });
  });
  const stored = JSON.parse(await readFile(join(dir, 'state/addresses.json'), 'utf8')) as {
    readonly services: readonly { readonly addresses: readonly string[] }[];
  };
  const address = stored.services[0]?.addresses[0] ?? '';
  assert.match(address, /^240\.240\./);
  await eventually('called by name', async () =>
    assert.equal(await call(container, address, 7000), `ledger for URI:${spiffe('web')}`),
  );
  assert.match(await call(container, '10.9.0.2', 81), /^direct 10\.9\.0\.1 /);
  assert.match(await call(other, '10.9.0.1', 8080), /^published 127\.0\.0\./);
});
