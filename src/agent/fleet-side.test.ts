import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Host, Upstream } from '../model/host.ts';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { EMPTY_RESOURCES } from '../sources/resource-set.ts';
import type { Configuration } from './configuration.ts';
import { namespacesOf } from './fleet-side.ts';

function followed(host: Partial<Host>): readonly string[] {
  const settings = { services: [], mesh: { fleet: { trustFile: '/root.pem', namespaces: ['teams'] } } };
  const whole = { workloads: [], upstreams: [], callers: [], gateways: [], ...host };
  const configuration = { settings, config: DEFAULT_MESH_CONFIG, host: whole } as unknown as Configuration;
  return [...namespacesOf(configuration, EMPTY_RESOURCES)].toSorted((a, b) => (a < b ? -1 : 1));
}

test('a host follows its own namespaces, those that it calls, and that in whose name it calls', () => {
  const upstream = { serviceHost: 'reviews.shop.mesh' } as Upstream;
  assert.deepEqual(followed({}), ['istio-system', 'teams']);
  assert.deepEqual(followed({ upstreams: [upstream] }), ['default', 'istio-system', 'shop', 'teams']);
});
