import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeLabelKey } from '../model/registration.ts';
import { registrationOf, registrationsOf } from './definition.ts';
import type { CheckSpec, LocalInstance } from './instance.ts';

function instance(change: Partial<LocalInstance> = {}): LocalInstance {
  return {
    name: 'web',
    namespace: 'default',
    address: '10.0.0.5',
    port: 80,
    tags: [],
    version: undefined,
    labels: {},
    weights: { passing: 1, warning: 1 },
    protocol: undefined,
    locality: undefined,
    offersMtls: false,
    check: undefined,
    proxyHealth: undefined,
    deregisterAfterMs: undefined,
    ...change,
  };
}

test('names and ids', () => {
  const ids = (...list: LocalInstance[]) =>
    [...registrationsOf(list, 'vm-1').values()].map((r) => [r.definition.Name, r.definition.ID]);
  assert.deepEqual(
    ids(
      instance(),
      instance({ port: 81 }),
      instance({ namespace: 'payments' }),
      instance({ namespace: 'payments', consulName: 'legacy' }),
      instance({ id: 'mine' }),
    ),
    [
      ['web', 'web-vm-1'],
      ['web', 'web-vm-1-81'],
      ['payments--web', 'payments--web-vm-1'],
      ['legacy', 'legacy-vm-1'],
      ['web', 'mine'],
    ],
  );
});

test('labels can be read back; the version is a plain key', () => {
  const labels = { 'example.com/team': 'books', a_b: 'c', version: 'v3' };
  const { Meta } = registrationOf(instance({ labels }), 'vm-1').definition;
  const decoded = Object.entries(Meta).flatMap(([key, value]) => {
    const label = decodeLabelKey(key);
    return label === undefined ? [] : [[label, value]];
  });
  assert.deepEqual(Object.fromEntries(decoded), { 'example.com/team': 'books', a_b: 'c' });
  assert.deepEqual({ ...Meta }['version'], 'v3');
  for (const key of Object.keys(Meta)) assert.match(key, /^[A-Za-z0-9_-]+$/);
});

test('what Consul would refuse is left out and said', () => {
  const labels = { long: 'x'.repeat(513), ['k'.repeat(200)]: 'v', ok: 'v' };
  const { definition, warnings } = registrationOf(instance({ labels, weights: { passing: 0, warning: 0 } }), 'vm-1');
  assert.equal(definition.Meta['label_ok'], 'v');
  assert.equal(Object.keys(definition.Meta).length, 2);
  assert.equal(warnings.length, 3);
  assert.deepEqual(definition.Weights, { Passing: 1, Warning: 0 });
  const many = Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`l${i}`, 'v']));
  const full = registrationOf(instance({ labels: many }), 'vm-1');
  assert.equal(Object.keys(full.definition.Meta).length, 64);
  assert.equal(full.warnings.length, 7);
});

test('the two checks', () => {
  const times = { intervalMs: 10_000, timeoutMs: 2000 };
  const fields = (check: CheckSpec) => {
    const { definition } = registrationOf(
      instance({ check, proxyHealth: { kind: 'http', url: 'http://10.0.0.5:15021/healthz' }, deregisterAfterMs: 1000 }),
      'vm-1',
    );
    const [application, proxy] = definition.Checks;
    assert.equal(definition.EnableTagOverride, false);
    assert.equal(application?.CheckID, 'web-vm-1:application');
    assert.equal(application.DeregisterCriticalServiceAfter, '60000ms');
    assert.equal(proxy?.CheckID, 'web-vm-1:proxy');
    assert.equal(proxy.HTTP, 'http://10.0.0.5:15021/healthz');
    assert.equal(proxy.OutputMaxSize, 1);
    const { HTTP, TCP, GRPC, TTL, Interval } = application;
    return { HTTP, TCP, GRPC, TTL, Interval };
  };
  const none = { HTTP: undefined, TCP: undefined, GRPC: undefined, TTL: undefined, Interval: '10000ms' };
  assert.deepEqual(fields({ kind: 'http', url: 'http://x/', ...times }), { ...none, HTTP: 'http://x/' });
  assert.deepEqual(fields({ kind: 'tcp', address: 'x:1', ...times }), { ...none, TCP: 'x:1' });
  assert.deepEqual(fields({ kind: 'grpc', address: 'x:1', service: '', ...times }), { ...none, GRPC: 'x:1' });
  assert.deepEqual(fields({ kind: 'grpc', address: 'x:1', service: 's', ...times }), { ...none, GRPC: 'x:1/s' });
  const ttl = { ...none, Interval: undefined };
  assert.deepEqual(fields({ kind: 'command', command: ['true'], ...times }), { ...ttl, TTL: '32000ms' });
  assert.deepEqual(fields({ kind: 'ttl', ttlMs: 30_000 }), { ...ttl, TTL: '30000ms' });
});
