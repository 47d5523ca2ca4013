import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diagnose } from '../../src/translate/diagnose.ts';
import { endpoint, host, mesh, service, upstream, workload } from './mesh-literals.ts';

const REVIEWS = service('reviews', 'HTTP');
const codes = (...args: Parameters<typeof diagnose>): readonly string[] => diagnose(...args).map(({ code }) => code);

test('nothing to say of a host whose calls will work', () => {
  assert.deepEqual(
    codes(mesh([[REVIEWS, [endpoint('10.0.0.1', 9080)]]]), host({ upstreams: [upstream('reviews', 9081)] })),
    [],
  );
});

test('a service or port that nobody knows', () => {
  const known = mesh([[REVIEWS, []]]);
  assert.deepEqual(codes(known, host({ upstreams: [upstream('gone', 9081)] })), ['TRY0401']);
  assert.deepEqual(codes(known, host({ upstreams: [upstream('reviews', 9081, { servicePort: 1 })] })), ['TRY0401']);
});

test('several ports and none named', () => {
  const [port] = REVIEWS.ports;
  assert.ok(port);
  const two = { ...REVIEWS, ports: [port, { ...port, number: 9090 }] };
  assert.deepEqual(codes(mesh([[two, []]]), host({ upstreams: [upstream('reviews', 9081)] })), ['TRY0402']);
});

test('mutual TLS is required and there is nothing to do it with', () => {
  const upstreams = [upstream('reviews', 9081)];
  assert.deepEqual(codes(mesh([[REVIEWS, []]]), host({ upstreams, callerIdentity: undefined })), ['TRY0403']);
  assert.deepEqual(codes(mesh([[{ ...REVIEWS, identities: [] }, []]]), host({ upstreams })), ['TRY0403']);
});

test('two listeners at one address', () => {
  const upstreams = [upstream('reviews', 9081)];
  const workloads = [workload('web', 'HTTP', 9081, 8080)];
  assert.deepEqual(codes(mesh([[REVIEWS, []]]), host({ upstreams, workloads })), ['TRY0404']);
});
