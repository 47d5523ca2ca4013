import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { formatDiagnostic } from '../model/diagnostic.ts';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { meshedServices } from './configuration.ts';
import { localInstances } from './local-instances.ts';
import { neededIdentities, toHost } from './settings-host.ts';
import { loadAgentSettings } from './settings-load.ts';

function load(t: TestContext, yaml: string): ReturnType<typeof loadAgentSettings> {
  const dir = mkdtempSync(join(tmpdir(), 'trysail-settings-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const file = join(dir, 'agent.yaml');
  writeFileSync(file, yaml);
  return loadAgentSettings({
    file,
    flags: {},
    env: {},
    machine: { hostName: 'edge-1', address: '10.0.0.9', cores: 2 },
  });
}

test('a gateway has an identity, labels and addresses of its own, and is registered where it says so', (t) => {
  const loaded = load(
    t,
    `
gateways:
  - name: ingress
    labels: {tier: public, istio: ingressgateway}
    ports: {80: 8080, 443: 8443}
    trustedProxies: 1
  - {name: egress, namespace: infra, serviceAccount: out, address: 10.0.0.9, proxyProtocol: true, ports: {443: 9443}, register: {port: 443}}
`,
  );
  assert.ok('settings' in loaded, JSON.stringify(loaded));
  const { settings } = loaded;
  const host = toHost(settings, DEFAULT_MESH_CONFIG);
  assert.deepEqual(host.gateways, [
    {
      namespace: 'default',
      name: 'ingress',
      serviceHost: 'ingress.default.mesh',
      labels: { app: 'ingress', istio: 'ingressgateway', tier: 'public' },
      identity: 'spiffe://cluster.local/ns/default/sa/ingress',
      address: '0.0.0.0',
      ports: { 80: 8080, 443: 8443 },
      trustedHops: 1,
    },
    {
      namespace: 'infra',
      name: 'egress',
      serviceHost: 'egress.infra.mesh',
      labels: { app: 'egress', istio: 'egress' },
      identity: 'spiffe://cluster.local/ns/infra/sa/out',
      address: '10.0.0.9',
      ports: { 443: 9443 },
      proxyProtocol: true,
      registered: { address: '10.0.0.9', port: 9443 },
    },
  ]);
  assert.equal(host.nodeCluster, 'ingress.default');
  assert.deepEqual(neededIdentities(host), [
    'spiffe://cluster.local/ns/default/sa/ingress',
    'spiffe://cluster.local/ns/infra/sa/out',
  ]);
  const [instance, ...others] = localInstances(settings, new Map());
  assert.deepEqual(others, []);
  assert.deepEqual(
    {
      name: instance?.consulName,
      at: `${instance?.address}:${instance?.port}`,
      service: instance?.servicePort,
      mtls: instance?.offersMtls,
    },
    { name: 'infra--egress', at: '10.0.0.9:9443', service: 443, mtls: true },
  );
  assert.deepEqual(meshedServices({ settings, config: DEFAULT_MESH_CONFIG, host }), [
    { namespace: 'infra', name: 'egress' },
  ]);
});

const BAD: Readonly<Record<string, readonly [yaml: string, expected: RegExp]>> = {
  'the name of a service': [
    'services: [{name: a}]\ngateways: [{name: a}]',
    /gateways\[0\]\.name: default\/a stands here and at services\[0\]/,
  ],
  'two that would serve the same': [
    'gateways: [{name: a, labels: {app: x, istio: y}}, {name: b, labels: {app: x, istio: y}}]',
    /gateways\[1\]\.labels: it has the address and the labels of gateways\[0\]/,
  ],
  'a port that is none': ['gateways: [{name: a, ports: {http: 8080}}]', /"http" is not a port/],
  'two ports at one': [
    'gateways: [{name: a, ports: {80: 8080, 81: 8080}}]',
    /port 8080 is for port 80 of Gateways already/,
  ],
  'a name for an address': ['gateways: [{name: a, address: eth0}]', /"eth0" is not an IP address of this host/],
  'registration without a port': ['gateways: [{name: a, register: {}}]', /register\.port: "port" is missing/],
};

for (const [name, [yaml, expected]] of Object.entries(BAD))
  test(`refused: ${name}`, (t) => {
    const loaded = load(t, yaml);
    assert.ok('issues' in loaded);
    assert.match(loaded.issues.map((issue) => formatDiagnostic(issue)).join('\n'), expected);
  });
