import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChangedWorkload } from '../analysis/envoy-changes.ts';
import { envoyChangeLines } from './envoy-changes-text.ts';

function workload(name: string, labels: Readonly<Record<string, string>>, hosts: number): ChangedWorkload {
  const change = { type: 'routes', name: 'reviews.default.mesh:9080', change: 'changed' } as const;
  const changes = [{ ...change, before: {}, after: {} }];
  return { namespace: 'default', name, labels, mode: 'loopback', hosts, changes };
}

test('workloads of one name are told apart by the labels in which they differ', async () => {
  const workloads = [
    workload('reviews', { app: 'reviews', version: 'v1' }, 1),
    workload('reviews', { app: 'reviews', version: 'v2' }, 3),
    workload('web', { app: 'web' }, 2),
  ];
  const lines = await envoyChangeLines({ workloads, unchanged: 0, left: [] }, false);
  assert.deepEqual(lines, [
    'Envoy:',
    '  reviews.default (version=v1, 1 host): routes reviews.default.mesh:9080 changed',
    '  reviews.default (version=v2, 3 hosts): routes reviews.default.mesh:9080 changed',
    '  web.default (2 hosts): routes reviews.default.mesh:9080 changed',
  ]);
});
