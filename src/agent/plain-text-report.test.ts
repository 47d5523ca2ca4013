import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Host } from '../model/host.ts';
import { workloadSpiffeId } from '../model/spiffe-id.ts';
import { build, catalogue, instance, istio, MTLS, record, resources } from '../sources/mesh-fixture.ts';
import { reportPlainText } from './plain-text-report.ts';

const IDENTITY = workloadSpiffeId({ trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'web' });

function host(upstreams: readonly string[] = []): Host {
  assert.ok(IDENTITY !== undefined);
  const workload = { namespace: 'default', identity: IDENTITY, labels: { app: 'web' } };
  return {
    nodeId: 'vm-1',
    nodeCluster: 'web.default',
    locality: { region: '', zone: '', subzone: '' },
    workloads: [
      {
        ...workload,
        service: 'web',
        serviceHost: 'web.default.mesh',
        inbound: {
          listen: { address: '10.0.0.5', port: 9080 },
          protocol: 'HTTP',
          application: { address: '127.0.0.1', port: 8080 },
        },
      },
      { ...workload, service: 'caller', serviceHost: 'caller.default.mesh', inbound: undefined },
    ],
    upstreams: upstreams.map((serviceHost, i) => ({
      serviceHost,
      servicePort: undefined,
      listen: { address: '127.0.0.1', port: 20_000 + i },
    })),
    callerIdentity: IDENTITY,
    healthListener: { address: '10.0.0.5', port: 15_021 },
  };
}

const policy = (mode: string, ports = ''): string =>
  `---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: istio-system}\nspec: {mtls: {mode: ${mode}}${ports}}\n`;
const own = (mode: string, port: number): string =>
  `---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: web, namespace: default}\nspec: {selector: {matchLabels: {app: web}}, portLevelMtls: {${port}: {mode: ${mode}}}}\n`;

const inbound = (why: string) => [{ direction: 'inbound', what: 'port 9080 of default/web', why }];

test('an inbound port that takes plain text says why; a strict one says nothing', () => {
  const of = (text: string, hasIdentity = true) =>
    reportPlainText(host(), build({ resources: resources(text) }), hasIdentity);
  assert.deepEqual(of(''), inbound('PERMISSIVE by default'));
  assert.deepEqual(of(policy('DISABLE')), inbound('its PeerAuthentication says DISABLE'));
  assert.deepEqual(of(policy('STRICT')), []);
  assert.deepEqual(of(policy('STRICT') + own('PERMISSIVE', 9080)), inbound('its PeerAuthentication says PERMISSIVE'));
  assert.deepEqual(of(policy('STRICT'), false), inbound('this host has no identity provider'));
});

test('a policy that does not concern the port does not count as the reason', () => {
  const text = own('STRICT', 9999);
  assert.deepEqual(
    reportPlainText(host(), build({ resources: resources(text) }), true),
    inbound('PERMISSIVE by default'),
  );
});

test('an upstream that is called in plain text says why', () => {
  const plain = instance('n/plain');
  const meshed = instance('n/meshed', { address: '10.0.0.2', meta: MTLS });
  const mesh = build({
    catalogue: catalogue({ legacy: [plain], meshed: [meshed], moving: [meshed, plain], moved: [meshed] }),
    resources: resources(
      record('moving', '{ports: [{number: 80}], tls: migrating}') +
        record('moved', '{ports: [{number: 80}], tls: migrating}') +
        istio(
          'ServiceEntry',
          'api',
          '{hosts: [api.example.com], location: MESH_EXTERNAL, resolution: DNS, ports: [{number: 443, name: tls, protocol: TLS}]}',
        ) +
        policy('STRICT'),
    ),
  });
  const upstreams = ['legacy', 'meshed', 'moving', 'moved', 'nobody'].map((name) => `${name}.default.mesh`);
  assert.deepEqual(reportPlainText(host([...upstreams, 'api.example.com']), mesh, true), [
    { direction: 'outbound', what: 'legacy.default.mesh', why: 'nothing says that it is meshed' },
    { direction: 'outbound', what: 'moving.default.mesh: 1 of 2 endpoints', why: 'its Service record says migrating' },
    { direction: 'outbound', what: 'api.example.com', why: 'it lies outside of the mesh' },
  ]);
});
