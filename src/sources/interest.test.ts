import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { interestOf } from './interest.ts';
import { parseResources } from './resource-reader.ts';

const YAML = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web]
  http:
  - route: [{destination: {host: web}}, {destination: {host: canary.shop.mesh}, weight: 1}]
  - route: [{destination: {host: api.example.com}}, {destination: {host: legacy}, weight: 1}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec: {hosts: ['*.shop.svc.cluster.local'], http: [{route: [{destination: {host: fallback}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: delegating}
spec:
  hosts: [root]
  http:
  - delegate: {name: delegated}
  - mirror: {host: copies}
    route: [{destination: {host: root}}]
  tcp: [{route: [{destination: {host: bytes}}]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: delegated}
spec: {http: [{match: [{uri: {prefix: /x}}], route: [{destination: {host: leaf}}]}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: described}
spec: {hosts: [described], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 80}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: evil, namespace: evil}
spec: {hosts: [plain.default.mesh], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 80}]}
---
apiVersion: trysail.dev/v1
kind: Service
metadata: {name: legacy}
spec: {consulName: old-name}
`;

const resources = parseResources([{ file: 'a.yaml', text: YAML }]);

const cases: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['nothing is called', [], []],
  [
    'an upstream, with the destinations of its VirtualService',
    ['web.default.mesh'],
    ['old-name', 'shop--canary', 'web'],
  ],
  ['an upstream under another of its names', ['web.default.svc.cluster.local'], ['old-name', 'shop--canary', 'web']],
  [
    'a wildcard VirtualService covers the upstream; it is not followed further',
    ['x.shop.mesh'],
    ['fallback', 'shop--x'],
  ],
  ['a VirtualService delegates, copies, and routes bytes', ['root.default.mesh'], ['bytes', 'copies', 'leaf', 'root']],
  ['a record gives the Consul name', ['legacy.default.mesh'], ['old-name']],
  ['the Consul name of a record stands for its service', ['old-name.service.consul'], ['old-name']],
  ['configuration describes it, whatever is registered', ['described.default.mesh'], []],
  ['an entry that may not claim the host hides nothing', ['plain.default.mesh'], ['plain']],
  ['a host outside of the mesh', ['api.example.com'], []],
];

for (const [what, upstreamHosts, expected] of cases)
  test(`followed where ${what}`, () => {
    assert.deepEqual([...interestOf({ config: DEFAULT_MESH_CONFIG, resources, upstreamHosts })], expected);
  });

test('a gateway follows what the VirtualServices on it lead to, and what passes it by name', () => {
  const text = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}
  - {port: {number: 15443, name: tls, protocol: TLS}, hosts: [default/east.default.mesh, '*.mesh'], tls: {mode: AUTO_PASSTHROUGH}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: site}
spec:
  hosts: [www.example.com]
  gateways: [public]
  http: [{route: [{destination: {host: site}}]}]
  tcp: [{route: [{destination: {host: database.shop.mesh}}]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: inner}
spec: {hosts: [www.example.com], gateways: [other], http: [{route: [{destination: {host: inner}}]}]}
`;
  const set = parseResources([{ file: 'a.yaml', text }]);
  assert.deepEqual(set.diagnostics, []);
  const role = {
    namespace: 'default',
    name: 'ingress',
    serviceHost: 'ingress.default.mesh',
    labels: { istio: 'ingressgateway' },
    identity: undefined,
    address: '0.0.0.0',
  };
  const follow = (gateways: readonly (typeof role)[]): readonly string[] => [
    ...interestOf({ config: DEFAULT_MESH_CONFIG, resources: set, upstreamHosts: [], gateways }),
  ];
  assert.deepEqual(follow([role]), ['east', 'shop--database', 'site']);
  assert.deepEqual(follow([{ ...role, labels: { istio: 'another' } }]), []);
});
