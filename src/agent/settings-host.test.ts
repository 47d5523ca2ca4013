import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { systemRootsFile } from '../platform/vm/system-roots.ts';
import type { AgentSettings } from './settings.ts';
import { completeSettings } from './settings-complete.ts';
import { neededIdentities, toHost } from './settings-host.ts';
import { SETTINGS_SCHEMA } from './settings-schema.ts';

function settings(written: unknown): AgentSettings {
  const completed = completeSettings(SETTINGS_SCHEMA.parse(written), {
    file: undefined,
    base: { directory: '/', credentials: undefined },
    machine: { hostName: 'vm-1', address: '10.0.0.5', cores: 2 },
    exists: () => false,
  });
  assert.ok('settings' in completed);
  return completed.settings;
}

test('toHost() gives canonical hosts and SPIFFE ids', () => {
  const host = toHost(
    settings({
      host: { locality: 'eu-1/a/rack-7' },
      services: [
        { name: 'reviews', version: 'v2', port: 9080, protocol: 'HTTP', application: '127.0.0.1:8080' },
        { name: 'audit', namespace: 'payments', serviceAccount: 'bank', labels: { app: 'ledger' } },
      ],
      upstreams: [
        { service: 'ratings', listen: '127.0.0.1:1' },
        { service: { name: 'ratings', namespace: 'books' }, listen: '127.0.0.1:2' },
        { service: 'ratings.books.svc.cluster.local', port: 9080, listen: '127.0.0.1:3' },
        { service: 'payments--ledger.service.consul', listen: '127.0.0.1:4' },
        { service: 'api.example.com', listen: '127.0.0.1:5' },
      ],
      callAs: 'payments/bank',
    }),
    { ...DEFAULT_MESH_CONFIG, trustDomain: 'mesh.example' },
  );
  assert.deepEqual(host, {
    nodeId: 'vm-1',
    nodeCluster: 'reviews.default',
    locality: { region: 'eu-1', zone: 'a', subzone: 'rack-7' },
    workloads: [
      {
        namespace: 'default',
        service: 'reviews',
        serviceHost: 'reviews.default.mesh',
        identity: 'spiffe://mesh.example/ns/default/sa/reviews',
        // What selectors go by in Istio's examples is there unless it is written.
        labels: { app: 'reviews', version: 'v2' },
        inbound: {
          listen: { address: '10.0.0.5', port: 9080 },
          protocol: 'HTTP',
          application: { address: '127.0.0.1', port: 8080 },
        },
      },
      {
        namespace: 'payments',
        service: 'audit',
        serviceHost: 'audit.payments.mesh',
        identity: 'spiffe://mesh.example/ns/payments/sa/bank',
        labels: { app: 'ledger' },
        inbound: undefined,
      },
    ],
    // Of several accounts `callAs` names one for all loopback addresses.
    upstreams: [
      { serviceHost: 'ratings.payments.mesh', servicePort: undefined, listen: { address: '127.0.0.1', port: 1 } },
      { serviceHost: 'ratings.books.mesh', servicePort: undefined, listen: { address: '127.0.0.1', port: 2 } },
      { serviceHost: 'ratings.books.mesh', servicePort: 9080, listen: { address: '127.0.0.1', port: 3 } },
      { serviceHost: 'ledger.payments.mesh', servicePort: undefined, listen: { address: '127.0.0.1', port: 4 } },
      { serviceHost: 'api.example.com', servicePort: undefined, listen: { address: '127.0.0.1', port: 5 } },
    ].map((upstream) => ({ ...upstream, caller: 'spiffe://mesh.example/ns/payments/sa/bank' })),
    callerIdentity: 'spiffe://mesh.example/ns/payments/sa/bank',
    credentialsFolder: '/etc/trysail/credentials',
    systemRootsFile: systemRootsFile(),
    healthListener: { address: '10.0.0.5', port: 15_021 },
  });
});

test('toHost() without certificates calls as nobody', () => {
  const host = toHost(
    settings({
      identity: { provider: 'none' },
      services: [{ name: 'a' }],
      upstreams: [{ service: 'b', listen: '127.0.0.1:1' }],
    }),
    DEFAULT_MESH_CONFIG,
  );
  assert.equal(host.callerIdentity, undefined);
  assert.equal(host.upstreams[0]?.serviceHost, 'b.default.mesh');
});

test('toHost() refuses a trust domain that no SPIFFE id can hold', () => {
  assert.throws(
    () => toHost(settings({ services: [{ name: 'a' }] }), { ...DEFAULT_MESH_CONFIG, trustDomain: 'Mesh' }),
    {
      code: 'IDENTITY_INVALID',
      message: 'trust domain "Mesh" with account default/a makes no valid SPIFFE id',
    },
  );
});

test('toHost() leaves services in modes off and outbound without an inbound port of Envoy', () => {
  const host = toHost(
    settings({
      mode: 'observe',
      services: [
        { name: 'a', port: 1, mode: 'off' },
        { name: 'b', port: 2, mode: 'outbound' },
        { name: 'c', port: 3 },
        { name: 'd', port: 4, mode: 'full', capture: 'tproxy' },
      ],
    }),
    DEFAULT_MESH_CONFIG,
  );
  assert.deepEqual(
    host.workloads.map(({ mode, inbound }) => [mode, inbound]),
    [
      ['off', undefined],
      ['outbound', undefined],
      [
        'observe',
        { listen: { address: '10.0.0.5', port: 3 }, protocol: 'AUTO', application: { address: '127.0.0.1', port: 3 } },
      ],
      [
        undefined,
        {
          listen: { address: '10.0.0.5', port: 4 },
          protocol: 'AUTO',
          application: { address: '10.0.0.5', port: 4 },
          capture: 'tproxy',
        },
      ],
    ],
  );
  assert.equal(host.inboundCapturePort, 15_006);
  assert.deepEqual(neededIdentities(host), [
    'spiffe://cluster.local/ns/default/sa/b',
    'spiffe://cluster.local/ns/default/sa/c',
    'spiffe://cluster.local/ns/default/sa/d',
  ]);
});

test('toHost() has calls of containers arrive at every address, and of a kernel without IPv6 by IPv4 alone', () => {
  const written = settings({
    services: [{ name: 'a', user: 'a' }],
    callAs: 'default/a',
    capture: { outbound: 'listed', interfaces: ['docker0'] },
  });
  const identity = 'spiffe://cluster.local/ns/default/sa/a';
  const host = toHost(written, DEFAULT_MESH_CONFIG);
  assert.deepEqual(host.callers, [
    { identity, namespace: 'default', capturePort: 15_001 },
    { identity, namespace: 'default', capturePort: 15_101, everywhere: true },
  ]);
  assert.equal(host.withoutIpv6, undefined);
  const allocations = { serviceAddresses: () => [], capturePorts: new Map(), withoutIpv6: true };
  assert.equal(toHost(written, DEFAULT_MESH_CONFIG, allocations).withoutIpv6, true);
});

test('toHost() gives every caller its port and identity, and services by name their addresses', () => {
  const written = settings({
    services: [
      { name: 'a', unit: 'a.service' },
      { name: 'b', user: 'b', mode: 'observe' },
      { name: 'c', unit: 'c.service', mode: 'off' },
      { name: 'd', unit: 'a.service', serviceAccount: 'a' },
    ],
    upstreams: [{ service: 'x' }, { service: 'y', listen: 'unix:/run/y.sock', callAs: 'default/b' }],
    callAs: 'default/c',
    capture: { outbound: 'host' },
  });
  const host = toHost(written, DEFAULT_MESH_CONFIG, {
    serviceAddresses: (serviceHost) => (serviceHost === 'x.default.mesh' ? ['127.240.0.1'] : []),
    capturePorts: new Map([
      ['unit:a.service', 15_102],
      ['user:b', 15_001],
      ['rest', 15_101],
    ]),
  });
  assert.deepEqual(host.callers, [
    { identity: 'spiffe://cluster.local/ns/default/sa/a', namespace: 'default', capturePort: 15_102 },
    { identity: 'spiffe://cluster.local/ns/default/sa/b', namespace: 'default', capturePort: 15_001, mode: 'observe' },
    { identity: 'spiffe://cluster.local/ns/default/sa/c', namespace: 'default', capturePort: 15_101 },
  ]);
  assert.deepEqual(host.namedUpstreams, [{ serviceHost: 'x.default.mesh', addresses: ['127.240.0.1'] }]);
  assert.deepEqual(host.upstreams, [
    {
      serviceHost: 'y.default.mesh',
      servicePort: undefined,
      listen: { path: '/run/y.sock' },
      caller: 'spiffe://cluster.local/ns/default/sa/b',
    },
  ]);
  const learner = { address: '127.0.0.1', port: 15_054 };
  assert.deepEqual(host.dns, { listen: { address: '127.0.0.1', port: 15_053 }, learner });
  assert.deepEqual(neededIdentities(host), [
    'spiffe://cluster.local/ns/default/sa/a',
    'spiffe://cluster.local/ns/default/sa/b',
    'spiffe://cluster.local/ns/default/sa/c',
  ]);
});
