/** A host whose calls are captured, beside another one with servers that the mesh does not run. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Host } from '../../src/model/host.ts';
import { DEFAULT_MESH_CONFIG, type MeshConfig } from '../../src/model/mesh-config.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { parseResources } from '../../src/sources/resource-reader.ts';
import { type Namespace, twoNamespaces } from '../capture/netns.ts';
import { eventually } from '../support/eventually.ts';
import { tempDir } from '../support/temp-dir.ts';
import { type Agentlet, startAgentlet } from '../translate/agentlet.ts';
import { testAuthority } from '../translate/certificates.ts';
import { host } from '../translate/mesh-literals.ts';

const CALLER_UID = 1001;
/** Envoy's own connections, which are root's, go on; so do calls of what listens here. */
const RULES = `
table inet test {
  chain output {
    type nat hook output priority -100; policy accept;
    meta skuid ${CALLER_UID} ip daddr != 127.0.0.0/8 tcp dport != 15001 redirect to :15001
  }
}
`;

const HTTP_SERVER = `
const { createServer } = require('node:http');
const addresses = process.argv.slice(1);
let left = addresses.length;
for (const each of addresses) {
  const [host, port] = each.split('|');
  createServer({ keepAliveTimeout: 0 }, (incoming, outgoing) => outgoing.end(each + ' got ' + incoming.headers.host + incoming.url))
    .listen({ host, port: Number(port) }, () => { if (--left === 0) console.log('listening'); });
}`;

const TLS_SERVER = `
const { createServer } = require('node:tls');
const [key, cert, ...addresses] = process.argv.slice(1);
let left = addresses.length;
for (const each of addresses) {
  const [host, port] = each.split('|');
  createServer({ key, cert }, (socket) => {
    socket.on('error', () => undefined);
    socket.end(each + ' asked for ' + socket.servername);
  }).listen({ host, port: Number(port) }, () => { if (--left === 0) console.log('listening'); });
}`;

const TCP_SERVER = `
const { createServer } = require('node:net');
const addresses = process.argv.slice(1);
let left = addresses.length;
for (const each of addresses) {
  const [host, port] = each.split('|');
  createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(each);
  }).listen({ host, port: Number(port) }, () => { if (--left === 0) console.log('listening'); });
}`;

const CALLS = `
process.setuid(${CALLER_UID});
const [kind, address, port, name, count] = process.argv.slice(1);
const to = { host: address, port: Number(port), timeout: 30_000 };
const text = (stream, done, before = '') => {
  let all = before;
  stream.on('data', (chunk) => { all += chunk; });
  stream.on('end', () => done(all || 'closed'));
};
const once = () => new Promise((done) => {
  const failed = (error) => done(error.code ?? error.message);
  if (kind === 'http')
    require('node:http').get({ ...to, path: '/x', headers: { host: name }, agent: false }, (incoming) =>
      text(incoming, done, incoming.statusCode + ' ')).on('error', failed).on('timeout', () => failed({ code: 'timeout' }));
  else {
    const socket = kind === 'tls'
      ? require('node:tls').connect({ ...to, ...(name !== '' && { servername: name }), rejectUnauthorized: false })
      : require('node:net').connect(to);
    text(socket, done);
    socket.on('error', failed).on('timeout', () => failed({ code: 'timeout' }));
  }
});
(async () => { for (let i = 0; i < Number(count); i++) console.log(await once()); process.exit(); })();`;

export type Kind = 'http' | 'tls' | 'tcp';

export interface EgressScene {
  readonly client: Agentlet;
  /** Tells Envoy of these resources. */
  readonly tell: (yaml: string, config?: Partial<MeshConfig>, now?: Host) => void;
  /** What a captured program hears: the answer, `closed`, or an error's code. */
  readonly call: (kind: Kind, address: string, port: number, name?: string) => Promise<string>;
  readonly calls: (kind: Kind, address: string, port: number, name: string, count: number) => Promise<string[]>;
}

async function start(where: Namespace, program: string, ...args: readonly string[]): Promise<void> {
  const child = where.start(process.execPath, '-e', program, '--', ...args);
  await eventually('the server listens', () => {
    if (child.process.exitCode !== null) throw new Error(child.output());
    return child.output().includes('listening');
  });
}

/**
 * The other host has 10.9.0.2 to 10.9.0.5: requests at ports 80 and 8080, TLS at 443, bytes at 5432 and 7000. Each server
 * says at which `address|port` it was reached.
 * @param names lines of /etc/hosts
 */
export async function egressScene(
  t: TestContext,
  names: readonly string[],
  rest: Partial<Host> = {},
): Promise<EgressScene> {
  const { host: here, other } = await twoNamespaces(t);
  const addresses = ['10.9.0.2', '10.9.0.3', '10.9.0.4', '10.9.0.5'];
  for (const address of addresses.slice(1)) await other.run('ip', 'address', 'add', `${address}/24`, 'dev', 'v0');
  const on = (...ports: readonly number[]): readonly string[] =>
    addresses.flatMap((address) => ports.map((port) => `${address}|${port}`));
  const { certificateChainPem, privateKeyPem } = await (await testAuthority()).issue('any.example.com');
  await Promise.all([
    start(other, HTTP_SERVER, ...on(80, 8080)),
    start(other, TLS_SERVER, privateKeyPem, certificateChainPem, ...on(443)),
    start(other, TCP_SERVER, ...on(5432, 7000)),
  ]);
  const dir = await tempDir(t);
  const hosts = join(dir, 'hosts');
  await writeFile(hosts, ['127.0.0.1 localhost', ...names, ''].join('\n'));
  await here.run('mount', '--bind', hosts, '/etc/hosts');
  const rules = join(dir, 'rules.nft');
  await writeFile(rules, RULES);
  await here.run('nft', '-f', rules);
  const caller = { identity: undefined, namespace: 'default', capturePort: 15001 } as const;
  const self = host({ nodeId: 'client', callerIdentity: undefined, callers: [caller], ...rest });
  const client = await startAgentlet(t, self, here);
  const calls: EgressScene['calls'] = async (kind, address, port, name, count) =>
    (await here.run(process.execPath, '-e', CALLS, kind, address, String(port), name, String(count)))
      .trimEnd()
      .split('\n');
  return {
    client,
    tell: (yaml, config = {}, now = self) => {
      const resources = parseResources([{ file: 'r.yaml', text: yaml }]);
      const mesh = buildMesh(undefined, {
        config: { ...DEFAULT_MESH_CONFIG, ...config },
        resources,
        catalogue: undefined,
        localServices: [],
      });
      const [first] = mesh.diagnostics;
      if (first !== undefined) throw new Error(`${first.code} ${first.message}`);
      client.serve(mesh, [], now);
    },
    calls,
    call: async (kind, address, port, name = '') => (await calls(kind, address, port, name, 1))[0] ?? '',
  };
}
