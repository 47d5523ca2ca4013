import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { interestOf } from './interest.ts';
import { parseResources } from './resource-reader.ts';

function interest(namespace: string, spec: string): readonly string[] {
  const text = `apiVersion: trysail.dev/v1\nkind: RateLimit\nmetadata: {name: web, namespace: ${namespace}}\nspec: ${spec}\n`;
  const resources = parseResources([{ file: 'a.yaml', text }]);
  assert.deepEqual(resources.diagnostics, []);
  const localServices = [{ namespace: 'shop', name: 'web' }];
  return [...interestOf({ config: DEFAULT_MESH_CONFIG, resources, upstreamHosts: [], localServices })];
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
