import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionPool } from '../../model/destination-rule.ts';
import type { InboundPort, Workload } from '../../model/host.ts';
import type { Mesh } from '../../model/mesh.ts';
import { DEFAULT_MESH_CONFIG } from '../../model/mesh-config.ts';
import type { SidecarIngress } from '../../model/sidecar.ts';
import { hostInboundPorts, inboundPorts } from './inbound-ports.ts';

const DECLARED: InboundPort = {
  listen: { address: '10.0.0.1', port: 9080 },
  protocol: 'AUTO',
  application: { address: '127.0.0.1', port: 8080 },
};

function workload(rest: Partial<Workload> = {}): Workload {
  return {
    namespace: 'default',
    service: 'web',
    serviceHost: 'web.default.mesh',
    identity: 'spiffe://cluster.local/ns/default/sa/web' as Workload['identity'],
    labels: { app: 'web' },
    inbound: DECLARED,
    ...rest,
  };
}

function ingress(number: number, rest: Partial<SidecarIngress> = {}): SidecarIngress {
  return {
    port: { number, name: 'p', protocol: 'HTTP' },
    bind: undefined,
    captureMode: 'DEFAULT',
    defaultEndpoint: undefined,
    tls: undefined,
    connectionPool: undefined,
    ...rest,
  };
}

const pool = (maxConnections: number) => ({ maxConnections }) as ConnectionPool;

function mesh(
  listeners: readonly SidecarIngress[],
  { sidecar, rule, port }: { sidecar?: ConnectionPool; rule?: ConnectionPool; port?: ConnectionPool } = {},
): Mesh {
  const meta = { namespace: 'default', name: 'x' };
  const trafficPolicy = {
    connectionPool: rule,
    portLevelSettings: port === undefined ? [] : [{ port: 80, connectionPool: port }],
  };
  return {
    config: DEFAULT_MESH_CONFIG,
    services: new Map([
      ['web.default.mesh', { host: 'web.default.mesh', namespace: 'default', aliases: [], ports: [{ number: 80 }] }],
    ]),
    peerAuthentications: [],
    sidecars: [{ meta, workloadSelector: undefined, ingress: listeners, inboundConnectionPool: sidecar }],
    destinationRules:
      rule === undefined && port === undefined
        ? []
        : [{ meta, host: 'web.default.mesh', trafficPolicy, subsets: [], exportTo: [] }],
  } as unknown as Mesh;
}

test('without ingress listeners the declared port stays the same object', () => {
  assert.equal(inboundPorts(mesh([]), workload())[0]?.taken, DECLARED);
});

test('an ingress listener of the declared port says its protocol, and where the application is if it does', () => {
  const [own] = inboundPorts(mesh([ingress(9080)]), workload());
  assert.deepEqual(own?.taken, { ...DECLARED, protocol: 'HTTP' });
  const [moved] = inboundPorts(mesh([ingress(9080, { defaultEndpoint: '0.0.0.0:7000' })]), workload());
  assert.deepEqual(moved?.taken.application, { address: '10.0.0.1', port: 7000 });
  const [bound] = inboundPorts(mesh([ingress(9080, { bind: '::1', defaultEndpoint: '[::1]:7000' })]), workload());
  assert.deepEqual(bound?.taken.listen, { address: '::1', port: 9080 });
  assert.deepEqual(bound?.taken.application, { address: '::1', port: 7000 });
});

test('what captures the declared port goes on to do so', () => {
  const captured = workload({ inbound: { ...DECLARED, capture: 'redirect' } });
  assert.equal(inboundPorts(mesh([ingress(9080)]), captured)[0]?.taken.capture, 'redirect');
});

test('further ports are at the address of the declared one, else everywhere', () => {
  const more = mesh([ingress(9443), ingress(9444, { defaultEndpoint: 'unix:///run/app.sock' })]);
  assert.deepEqual(
    inboundPorts(more, workload()).map(({ taken }) => [taken.listen, taken.application]),
    [
      [DECLARED.listen, DECLARED.application],
      [
        { address: '10.0.0.1', port: 9443 },
        { address: '127.0.0.1', port: 9443 },
      ],
      [{ address: '10.0.0.1', port: 9444 }, { path: '/run/app.sock' }],
    ],
  );
  const { inbound: _, ...caller } = workload();
  const [first] = inboundPorts(more, { ...caller, inbound: undefined });
  assert.deepEqual(first?.taken.listen, { address: '0.0.0.0', port: 9443 });
});

test('modes: nothing passes, or nothing but the declared port', () => {
  assert.deepEqual(inboundPorts(mesh([ingress(1)]), workload({ mode: 'outbound' })), []);
  const observed = inboundPorts(mesh([ingress(1), ingress(9080)], { sidecar: pool(1) }), workload({ mode: 'observe' }));
  assert.deepEqual(
    observed.map(({ taken, pool: limits }) => [taken, limits]),
    [[DECLARED, undefined]],
  );
});

test('pools: ingress before Sidecar before port of the rule before rule', () => {
  const all = { sidecar: pool(2), port: pool(3), rule: pool(4) };
  const most = (world: Mesh) => inboundPorts(world, workload())[0]?.pool?.maxConnections;
  assert.equal(most(mesh([ingress(9080, { connectionPool: pool(1) })], all)), 1);
  assert.equal(most(mesh([ingress(9080)], all)), 2);
  assert.equal(most(mesh([], { port: pool(3), rule: pool(4) })), 3);
  assert.equal(most(mesh([], { rule: pool(4) })), 4);
  assert.equal(most(mesh([])), undefined);
});

test('TLS of its own counts where the mesh’s is off, and says what it carries', () => {
  const tls = { mode: 'SIMPLE' } as NonNullable<SidecarIngress['tls']>;
  const listeners = (['HTTPS', 'TLS'] as const).map((protocol, i) =>
    ingress(9080 + i, { port: { number: 9080 + i, name: 'p', protocol }, tls }),
  );
  const world = mesh(listeners);
  const taken = (of: Mesh) => inboundPorts(of, workload()).map((one) => [one.taken.protocol, one.taken.tls]);
  assert.deepEqual(taken(world), [
    ['HTTPS', undefined],
    ['TLS', undefined],
  ]);
  const meta = { namespace: 'default', name: 'off' };
  const off = { meta, selector: undefined, mode: 'DISABLE', portModes: new Map() };
  assert.deepEqual(taken({ ...world, peerAuthentications: [off] } as unknown as Mesh), [
    ['HTTP', tls],
    ['TCP', tls],
  ]);
});

test('of two workloads at one address and port the first holds', () => {
  const other = workload({ service: 'other', serviceHost: 'other.default.mesh' });
  const all = hostInboundPorts(mesh([]), { workloads: [workload(), other] });
  assert.deepEqual(
    all.map(({ workload: { service } }) => service),
    ['web'],
  );
});

test('an ingress port of two workloads is whose it is declared, else the first’s of one identity', () => {
  const at = (port: number, rest: Partial<Workload> = {}): Workload =>
    workload({ inbound: { ...DECLARED, listen: { address: '10.0.0.1', port } }, ...rest });
  const sidecar = mesh([ingress(9080, { defaultEndpoint: '127.0.0.1:1' }), ingress(9081), ingress(9090)]);
  const portsOf = (...workloads: readonly Workload[]) =>
    workloads.map((one) => inboundPorts(sidecar, one, workloads).map(({ taken }) => taken.listen));
  const [port9080, port9081, port9090] = [9080, 9081, 9090].map((port) => ({ address: '10.0.0.1', port }));
  // One workload of two ports.
  assert.deepEqual(portsOf(at(9080), at(9081)), [[port9080, port9090], [port9081]]);
  // Two of two identities, which both would listen at the third port.
  const other = 'spiffe://cluster.local/ns/default/sa/other' as Workload['identity'];
  assert.deepEqual(portsOf(at(9080), at(9081, { identity: other })), [
    [port9080, port9090],
    [port9081, port9090],
  ]);
  // Elsewhere on the host the ports are free.
  const apart = at(9081, { inbound: { ...DECLARED, listen: { address: '10.0.0.2', port: 9081 } } });
  assert.deepEqual(
    portsOf(at(9080), apart).map((ports) => ports.map(({ address, port }) => `${address}:${port}`)),
    [
      ['10.0.0.1:9080', '10.0.0.1:9081', '10.0.0.1:9090'],
      ['10.0.0.2:9081', '10.0.0.2:9080', '10.0.0.2:9090'],
    ],
  );
});
