/** What `explain` says of TLS connections, held against where Envoy leads them by their server name. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { connect } from 'node:tls';
import { stringify } from 'yaml';
import { parseRequest } from '../../src/analysis/called-request.ts';
import { configurationOf } from '../../src/analysis/configuration.ts';
import { explain } from '../../src/analysis/explain.ts';
import { eventually } from '../support/eventually.ts';
import { freePort, freePorts } from '../support/ports.ts';
import { startEnvoy } from '../translate/envoy.ts';
import { host } from '../translate/mesh-literals.ts';

const VERSIONS = ['v1', 'v2', 'v3'] as const;
const HOST = 'db.example.com';

/** Servers that close each connection; `took` says whose the last one was. */
async function startServers(
  t: TestContext,
): Promise<{ readonly ports: readonly number[]; took(): string | undefined }> {
  const ports = await freePorts(VERSIONS.length);
  let last: string | undefined;
  for (const [i, port] of ports.entries()) {
    const server = createServer((socket) => {
      socket.once('error', () => socket.destroy());
      socket.once('data', () => {
        last = VERSIONS[i];
        socket.destroy();
      });
    });
    await new Promise<void>((resolve) => {
      server.listen(port, '127.0.0.1', resolve);
    });
    t.after(() => server.close());
  }
  return {
    ports,
    took: () => {
      const one = last;
      last = undefined;
      return one;
    },
  };
}

/** Begins a TLS connection, and waits until it is closed. */
function hello(port: number, servername: string | undefined): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, ...(servername !== undefined && { servername }) });
    socket.once('error', () => resolve());
    socket.once('close', () => resolve());
  });
}

test('explain and Envoy agree on TLS connections by their server names', async (t) => {
  const servers = await startServers(t);
  const resource = (kind: string, spec: unknown): string =>
    stringify({ apiVersion: 'networking.istio.io/v1', kind, metadata: { name: 'db' }, spec });
  const route = (sniHosts: readonly string[], subset: string): unknown => ({
    match: [{ sniHosts, port: 443 }],
    route: [{ destination: { host: HOST, subset } }],
  });
  const text = [
    resource('ServiceEntry', {
      hosts: [HOST],
      location: 'MESH_EXTERNAL',
      resolution: 'STATIC',
      ports: [{ number: 443, name: 'tls', protocol: 'TLS' }],
      endpoints: servers.ports.map((port, i) => ({
        address: '127.0.0.1',
        ports: { tls: port },
        labels: { version: VERSIONS[i] },
      })),
    }),
    resource('DestinationRule', {
      host: HOST,
      subsets: VERSIONS.map((version) => ({ name: version, labels: { version } })),
    }),
    resource('VirtualService', {
      hosts: [HOST, '*.db.example.com'],
      tls: [
        route(['*.db.example.com'], 'v1'),
        route(['x.db.example.com', HOST], 'v2'),
        route(['*.a.db.example.com'], 'v3'),
      ],
    }),
  ].join('---\n');
  const { mesh, diagnostics } = configurationOf([{ file: 'in.yaml', text }]);
  assert.deepEqual(diagnostics, []);
  const listen = { address: '127.0.0.1', port: await freePort() };
  const upstreams = [{ serviceHost: HOST, servicePort: 443, listen }];
  const envoy = await startEnvoy(t, mesh, host({ upstreams, callerIdentity: undefined }), []);
  await eventually('its listener is open', async () => {
    assert.equal(await envoy.stat('listener_manager.workers_started'), 1);
  });
  const caller = {
    namespace: 'default',
    name: 'caller',
    labels: {},
    identity: undefined,
    locality: { region: '', zone: '', subzone: '' },
  };
  const names = [HOST, 'x.db.example.com', 'y.db.example.com', 'b.a.db.example.com', 'a.db.example.com'];
  for (const name of names) {
    const {
      subset,
      route: named,
      considered,
    } = explain(mesh, caller, parseRequest({ to: `tls://${HOST}:443`, sni: name }));
    await hello(listen.port, name);
    assert.equal(servers.took(), subset, name);
    assert.equal(considered.find(({ result }) => result === 'taken')?.route, named, name);
    assert.ok(named !== undefined, name);
  }
  // Any endpoint of the service may take what no route is for.
  const other = explain(mesh, caller, parseRequest({ to: `tls://${HOST}:443`, sni: 'other.example' }));
  await hello(listen.port, 'other.example');
  assert.deepEqual([other.route, other.cluster], [undefined, `outbound|443||${HOST}`]);
  assert.ok(servers.took() !== undefined);
});
