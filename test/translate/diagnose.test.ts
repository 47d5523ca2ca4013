import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Host } from '../../src/model/host.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import { NO_BLOCKS } from '../../src/translate/clusters/traffic-policy.ts';
import { diagnose } from '../../src/translate/diagnose.ts';
import { Translator } from '../../src/translate/translator.ts';
import { TYPE_URL } from '../../src/xds/resource.ts';
import { endpoint, host, mesh, service, spiffe, upstream, workload } from './mesh-literals.ts';

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

test('a service by half of its name', () => {
  const half = { ...upstream('reviews', 9081), serviceHost: 'reviews.default' };
  const [told] = diagnose(mesh([[REVIEWS, []]]), host({ upstreams: [half] }));
  assert.match(told?.remedy ?? '', /or write reviews\.default\.mesh, if that is meant\.$/);
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

test('a rule that says how to connect decides whether a service can be called', () => {
  const upstreams = [upstream('reviews', 9081)];
  const rule = (mode: 'DISABLE' | 'ISTIO_MUTUAL'): Mesh['destinationRules'] => {
    const source = { file: 'a.yaml', line: 1 };
    const meta = { kind: 'DestinationRule', namespace: 'default', name: 'a', labels: {}, source, age: 0 };
    const tls = { mode, subjectAltNames: [], insecureSkipVerify: false };
    const trafficPolicy = { ...NO_BLOCKS, tls, portLevelSettings: [] };
    return [{ meta, host: REVIEWS.host, trafficPolicy, subsets: [], exportTo: [] }];
  };
  const called = (mode: 'DISABLE' | 'ISTIO_MUTUAL', tls: 'required' | 'plain'): readonly string[] =>
    codes(
      mesh([[{ ...REVIEWS, tls }, []]], { destinationRules: rule(mode) }),
      host({ upstreams, callerIdentity: undefined }),
    );
  assert.deepEqual(called('DISABLE', 'required'), []);
  assert.deepEqual(called('ISTIO_MUTUAL', 'plain'), ['TRY0403']);
});

test('a name that no service bears and of which a VirtualService speaks', () => {
  const source = { file: 'a.yaml', line: 1 };
  const route = {
    name: undefined,
    match: [],
    destinations: [],
    directResponse: { status: 404, body: undefined },
    timeoutMs: undefined,
    retries: undefined,
  };
  const spoken = {
    meta: { kind: 'VirtualService', namespace: 'default', name: 'a', labels: {}, source, age: 0 },
    hosts: ['books.default.mesh'],
    exportTo: [],
    http: [route],
  };
  const of = (virtualService: typeof spoken & { readonly gateways?: readonly string[] }) =>
    codes(mesh([], { virtualServices: [virtualService] }), host({ upstreams: [upstream('books', 9081)] }));
  assert.deepEqual(of(spoken), []);
  assert.deepEqual(of({ ...spoken, gateways: ['default/ingress'] }), ['TRY0401']);
});

test('two listeners at one address', () => {
  const upstreams = [upstream('reviews', 9081)];
  const workloads = [workload('web', 'HTTP', 9081, 8080)];
  assert.deepEqual(codes(mesh([[REVIEWS, []]]), host({ upstreams, workloads })), ['TRY0404']);
});

const CALLER = { identity: spiffe('anna'), namespace: 'default', capturePort: 15001 };

test('a service by name: unknown, without ports, or with addresses that reach nobody', () => {
  const known = mesh([
    [REVIEWS, []],
    [{ ...REVIEWS, host: 'bare.default.mesh', ports: [] }, []],
  ]);
  const named = (serviceHost: string, ...addresses: readonly string[]) => [{ serviceHost, addresses }];
  const of = (rest: Partial<Host>) => codes(known, host(rest));
  assert.deepEqual(of({ namedUpstreams: named(REVIEWS.host, '127.240.0.1') }), []);
  assert.deepEqual(of({ namedUpstreams: named('gone.default.mesh', '127.240.0.1') }), ['TRY0401']);
  assert.deepEqual(of({ namedUpstreams: named('bare.default.mesh', '127.240.0.1') }), ['TRY0401']);
  assert.deepEqual(of({ namedUpstreams: named(REVIEWS.host, '240.240.0.1') }), ['TRY0407']);
  assert.deepEqual(of({ namedUpstreams: named(REVIEWS.host) }), ['TRY0407']);
  assert.deepEqual(of({ namedUpstreams: named(REVIEWS.host, '240.240.0.1'), callers: [CALLER] }), []);
  const twice = [...named(REVIEWS.host, '240.240.0.1'), ...named(REVIEWS.host, '240.240.0.1')];
  assert.deepEqual(of({ namedUpstreams: twice, callers: [CALLER] }), ['TRY0404']);
  // It could be anybody of two.
  const upstreams = [upstream('reviews', 0, { listen: { path: '/run/x.sock' }, caller: spiffe('anna') })];
  assert.deepEqual(of({ namedUpstreams: named(REVIEWS.host, '127.240.0.1'), upstreams }), ['TRY0406']);
});

test('a captured caller without an identity, before a service that requires one', () => {
  const namedUpstreams = [{ serviceHost: REVIEWS.host, addresses: ['240.240.0.1'] }];
  const callers = [CALLER, { ...CALLER, identity: undefined, capturePort: 15101 }];
  assert.deepEqual(codes(mesh([[REVIEWS, []]]), host({ namedUpstreams, callers })), ['TRY0403']);
});

test('callers at one port have no listener at all', () => {
  const callers = [CALLER, { ...CALLER, identity: spiffe('bert') }];
  const self = host({ callers });
  assert.deepEqual(codes(mesh([]), self), ['TRY0408']);
  const resources = new Translator().translate(mesh([]), self);
  assert.deepEqual([...(resources.get(TYPE_URL.listener)?.keys() ?? [])], []);
});

test('capture ports and what listens there', () => {
  const known = mesh([[REVIEWS, []]]);
  assert.deepEqual(
    codes(known, host({ callerIdentity: spiffe('anna'), callers: [CALLER], upstreams: [upstream('reviews', 15001)] })),
    ['TRY0404'],
  );
  const inbound = { address: '10.0.0.5', port: 8080 };
  const captured = {
    ...workload('web', 'HTTP', 8080, 8080),
    inbound: { listen: inbound, application: inbound, protocol: 'HTTP', capture: 'redirect' },
  } as const;
  const self = { workloads: [captured], inboundCapturePort: 15006 };
  assert.deepEqual(codes(known, host(self)), []);
  assert.deepEqual(codes(known, host({ ...self, upstreams: [upstream('reviews', 15006)] })), ['TRY0404']);
});
