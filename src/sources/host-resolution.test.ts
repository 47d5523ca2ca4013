import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { hostResolver, renamedHosts } from './host-resolution.ts';
import { parseResources } from './resource-reader.ts';

const { serviceRecords, virtualServices } = parseResources([
  {
    file: 'a.yaml',
    text: `
apiVersion: trysail.dev/v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {consulName: legacy}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec: {hosts: [web], http: [{route: [{destination: {host: db}}]}]}
`,
  },
]);

const resolver = hostResolver(DEFAULT_MESH_CONFIG, renamedHosts(DEFAULT_MESH_CONFIG, serviceRecords));

const hosts: readonly (readonly [string, string])[] = [
  ['web', 'web.shop.mesh'],
  ['web.other.mesh', 'web.other.mesh'],
  ['web.other.svc.cluster.local', 'web.other.mesh'],
  ['other--web.service.consul', 'web.other.mesh'],
  ['web.service.consul', 'web.default.mesh'],
  ['legacy.service.consul', 'db.shop.mesh'],
  ['api.example.com', 'api.example.com'],
  ['web.other', 'web.other'],
  ['10.0.0.1', '10.0.0.1'],
  ['*.other.mesh', '*.other.mesh'],
  ['*.other.svc.cluster.local', '*.other.mesh'],
  ['*.service.consul', '*.service.consul'],
  ['*.example.com', '*.example.com'],
];

for (const [written, canonical] of hosts)
  test(`in namespace shop, ${written} is ${canonical}`, () => assert.equal(resolver.host(written, 'shop'), canonical));

test('a wildcard stays as it is where the canonical template does not begin with the service', () => {
  const config = {
    ...DEFAULT_MESH_CONFIG,
    serviceHosts: ['{namespace}.{service}.mesh', '{service}.{namespace}.local'],
  };
  assert.equal(hostResolver(config, new Map()).host('*.shop.local', 'shop'), '*.shop.local');
});

test('a resource is resolved once', () => {
  const [web] = virtualServices;
  assert.ok(web !== undefined);
  assert.equal(resolver.virtualService(web), resolver.virtualService(web));
});
