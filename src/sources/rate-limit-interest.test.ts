import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GatewayRole } from '../model/host.ts';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { interestOf } from './interest.ts';
import { parseResources } from './resource-reader.ts';

const GATEWAY = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {istio: edge}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]
---
`;

function role(rest: Partial<GatewayRole> = {}): GatewayRole {
  const of = { namespace: 'infra', name: 'edge', serviceHost: 'edge.infra.mesh', labels: { istio: 'edge' } };
  return { ...of, identity: undefined, address: '0.0.0.0', ...rest };
}

function interest(namespace: string, spec: string, gateways: readonly GatewayRole[] = []): readonly string[] {
  const text = `${GATEWAY}apiVersion: trysail.dev/v1\nkind: RateLimit\nmetadata: {name: web, namespace: ${namespace}}\nspec: ${spec}\n`;
  const resources = parseResources([{ file: 'a.yaml', text }]);
  assert.deepEqual(resources.diagnostics, []);
  const localServices = [{ namespace: 'shop', name: 'web' }];
  return [...interestOf({ config: DEFAULT_MESH_CONFIG, resources, upstreamHosts: [], localServices, gateways })];
}

const LIMITS = 'limits: [{name: a, requests: 1, per: 1h}]';

test('a limit of each instance needs to know nothing', () => {
  assert.deepEqual(interest('shop', `{host: web, ${LIMITS}}`), []);
});

test('a limit of the fleet needs the instances of the service', () => {
  const fleet = LIMITS.replace('1h', '1h, scope: fleet');
  assert.deepEqual(interest('shop', `{host: web, ${fleet}}`), ['shop--web']);
  assert.deepEqual(interest('istio-system', `{host: web.shop.mesh, ${fleet}}`), ['shop--web']);
  assert.deepEqual(interest('shop', `{host: other, ${fleet}}`), []);
  assert.deepEqual(interest('foreign', `{host: web.shop.mesh, ${fleet}}`), []);
});

test('ports are those of the service; a server is called', () => {
  assert.deepEqual(interest('shop', `{host: web, ports: [80], ${LIMITS}}`), ['shop--web']);
  assert.deepEqual(interest('shop', `{host: web, server: {host: limits.ops.mesh}, ${LIMITS}}`), ['ops--limits']);
});

test('at a gateway: the server that counts, and the other instances where the gateway is registered', () => {
  const server = `{gateway: edge, server: {host: limits.ops.mesh}, ${LIMITS}}`;
  assert.deepEqual(interest('shop', server, [role()]), ['ops--limits']);
  assert.deepEqual(interest('shop', server, [role({ labels: {} })]), []);
  assert.deepEqual(interest('foreign', server.replace('edge', 'shop/edge'), [role()]), []);
  assert.deepEqual(interest('istio-system', server.replace('edge', 'shop/edge'), [role()]), ['ops--limits']);
  const fleet = `{gateway: edge, ${LIMITS.replace('1h', '1h, scope: fleet')}}`;
  assert.deepEqual(interest('shop', fleet, [role()]), []);
  const registered = { address: '10.0.0.1', port: 80 };
  assert.deepEqual(interest('shop', fleet, [role({ registered })]), ['infra--edge']);
});
