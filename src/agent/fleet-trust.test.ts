import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { parseResources } from '../sources/resource-reader.ts';
import { trustedResources } from './fleet-trust.ts';

const TEXT = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: called}
spec: {hosts: [api.example.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: own, namespace: called}
spec: {hosts: [legacy.called.mesh], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: socket, namespace: called}
spec:
  hosts: [admin.called.mesh]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 'unix:///run/trysail/admin.sock'}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: socket-entry, namespace: called}
spec: {address: 'unix:///run/trysail/admin.sock'}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: called}
spec: {selector: {app: edge}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: at-gateway, namespace: called}
spec: {hosts: [www.example.com], gateways: [shop/edge], http: [{directResponse: {status: 418}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: both, namespace: called}
spec: {hosts: [reviews, payments.shop.mesh, '*.a.called.mesh'], gateways: [shop/edge, mesh], http: [{directResponse: {status: 418}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: calls, namespace: called}
spec: {hosts: [reviews], http: [{directResponse: {status: 418}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: foreign, namespace: called}
spec: {hosts: [payments.shop.mesh, '*.example.com'], http: [{directResponse: {status: 418}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: all, namespace: called}
spec: {hosts: ['*.called.mesh'], http: [{directResponse: {status: 418}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: delegate, namespace: called}
spec: {http: [{directResponse: {status: 418}}]}
`;

const RESOURCES = parseResources([{ file: 'in.yaml', text: TEXT }]);
const SEEN = ['serviceEntries', 'workloadEntries', 'gateways', 'virtualServices'] as const;

function names(trusted: readonly string[]): readonly string[] {
  const counting = trustedResources(RESOURCES, new Set(trusted), DEFAULT_MESH_CONFIG);
  return SEEN.flatMap((list) => counting[list].map(({ meta }) => meta.name)).toSorted();
}

test('of a namespace that is followed because it is called only its own names and calls within the mesh count', () => {
  assert.deepEqual(RESOURCES.diagnostics, []);
  assert.deepEqual(names(['shop']), ['all', 'both', 'calls', 'delegate', 'own']);
  const { virtualServices } = trustedResources(RESOURCES, new Set(['shop']), DEFAULT_MESH_CONFIG);
  assert.deepEqual(
    virtualServices.map(({ hosts, gateways }) => [hosts, gateways]),
    [
      [['reviews'], ['mesh']],
      [['reviews'], undefined],
      [['*.called.mesh'], undefined],
      [[], undefined],
    ],
  );
});

test('of a trusted namespace everything counts, and lists stay the same', () => {
  assert.deepEqual(names(['called']), [
    'all',
    'at-gateway',
    'both',
    'calls',
    'delegate',
    'edge',
    'foreign',
    'outside',
    'own',
    'socket',
    'socket-entry',
  ]);
  const counting = trustedResources(RESOURCES, new Set(['called']), DEFAULT_MESH_CONFIG);
  for (const list of SEEN) assert.equal(counting[list], RESOURCES[list]);
});

test('the same rule without its gateways is the same object again', () => {
  const of = () => trustedResources(RESOURCES, new Set(['shop']), DEFAULT_MESH_CONFIG).virtualServices[0];
  assert.equal(of(), of());
});

const KEYS = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: keys, namespace: called}
spec:
  host: reviews
  trafficPolicy:
    tls: {mode: MUTUAL, clientCertificate: /etc/shop/tls.crt, privateKey: /etc/shop/tls.key, caCertificates: /etc/ca.crt}
    portLevelSettings: [{port: {number: 80}, tls: {mode: MUTUAL, credentialName: shop}}]
  subsets: [{name: a, labels: {a: b}, trafficPolicy: {tls: {mode: MUTUAL, credentialName: shop}}}]
`;

test('a certificate of this host is shown by the word of trusted namespaces alone', () => {
  const resources = parseResources([{ file: 'in.yaml', text: KEYS }]);
  const { destinationRules, diagnostics } = trustedResources(resources, new Set(['shop']), DEFAULT_MESH_CONFIG);
  const [rule] = destinationRules;
  const written = JSON.stringify(rule);
  assert.deepEqual(
    [...written.matchAll(/"mode":"(\w+)"/g)].map(([, mode]) => mode),
    ['SIMPLE', 'SIMPLE', 'SIMPLE'],
  );
  assert.doesNotMatch(written, /tls\.key/);
  assert.equal(rule?.trafficPolicy?.tls?.caCertificates, '/etc/ca.crt', 'servers are verified as before');
  assert.deepEqual(
    diagnostics.map(({ code, object }) => `${code} ${object ?? ''}`),
    ['TRY0713 DestinationRule called/keys'],
  );
  const trusted = trustedResources(resources, new Set(['called']), DEFAULT_MESH_CONFIG);
  assert.equal(trusted.destinationRules, resources.destinationRules);
  assert.equal(trusted.diagnostics, resources.diagnostics);
});

test("a record for a name in Consul that is not its namespace's counts nowhere, by whomever the namespace is trusted", () => {
  const text = ['shop', 'default', 'istio-system']
    .map(
      (namespace) => `apiVersion: trysail.dev/v1
kind: Service
metadata: {name: billing, namespace: ${namespace}}
spec: {consulName: billing}
`,
    )
    .join('---\n');
  const resources = parseResources([{ file: 'in.yaml', text }]);
  for (const trusted of [['shop'], ['other']]) {
    const { serviceRecords, diagnostics } = trustedResources(resources, new Set(trusted), DEFAULT_MESH_CONFIG);
    assert.deepEqual(
      serviceRecords.map(({ meta }) => meta.namespace),
      ['default', 'istio-system'],
    );
    assert.deepEqual(
      diagnostics.map(({ code, object }) => `${code} ${object ?? ''}`),
      ['TRY0715 Service shop/billing'],
    );
  }
});
