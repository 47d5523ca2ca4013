/** What a change costs on a host of several callers whose calls are captured. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DestinationRule } from '../../src/model/destination-rule.ts';
import type { Host } from '../../src/model/host.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import type { Protocol } from '../../src/model/service.ts';
import type { VirtualService } from '../../src/model/virtual-service.ts';
import { Translator } from '../../src/translate/translator.ts';
import { type Resources, TYPE_URL } from '../../src/xds/resource.ts';
import { endpoint, host, mesh, pool, service, spiffe } from './mesh-literals.ts';

const SERVICES = 50;
const CALLERS = [
  { identity: spiffe('anna'), namespace: 'default', capturePort: 15001 },
  { identity: spiffe('bert', 'payments'), namespace: 'payments', capturePort: 15101 },
] as const;
const LISTENERS = ['virtualOutbound_15001', 'virtualOutbound_15101'];

const HOST: Host = host({
  callerIdentity: undefined,
  callers: CALLERS,
  namedUpstreams: Array.from({ length: SERVICES }, (_, i) => ({
    serviceHost: `s${i}.default.mesh`,
    addresses: [`240.240.0.${i}`],
  })),
});

function fleet(protocols: Readonly<Record<string, Protocol>> = {}): Mesh {
  return mesh(
    Array.from({ length: SERVICES }, (_, i) => {
      const name = `s${i}`;
      return [service(name, protocols[name] ?? 'HTTP'), [endpoint(`10.0.${i}.1`, 80)]] as const;
    }),
  );
}

function meta(kind: string, namespace: string) {
  return { kind, namespace, name: 'x', labels: {}, source: { file: 'x.yaml', line: 1 }, age: 0 };
}

/** A rule for calls of `payments` alone. */
const RULE: DestinationRule = {
  meta: meta('DestinationRule', 'payments'),
  host: 's3.default.mesh',
  trafficPolicy: {
    loadBalancer: { kind: 'simple', simple: 'RANDOM' },
    connectionPool: undefined,
    outlierDetection: undefined,
    portLevelSettings: [],
  },
  subsets: [],
  exportTo: ['.'],
};

const ROUTE: VirtualService = {
  meta: meta('VirtualService', 'payments'),
  hosts: ['s3.default.mesh'],
  http: [
    {
      name: undefined,
      match: [],
      destinations: [{ host: 's3.default.mesh', subset: undefined, port: undefined, weight: 1 }],
      timeoutMs: 3000,
      retries: undefined,
    },
  ],
  exportTo: ['.'],
};

/** Names of resources that are others, or not there any more. */
function changed(before: Resources, after: Resources): readonly string[] {
  return [...after].flatMap(([type, byName]) => {
    const last = before.get(type);
    const kind = type.slice(type.lastIndexOf('.') + 1);
    return [
      ...[...byName].filter(([name, resource]) => last?.get(name) !== resource).map(([name]) => `${kind} ${name}`),
      ...[...(last?.keys() ?? [])].filter((name) => !byName.has(name)).map((name) => `no ${kind} ${name}`),
    ];
  });
}

test('an endpoint changes: one load assignment, whoever calls', () => {
  const translator = new Translator();
  const first = fleet();
  const before = translator.translate(first, HOST);
  const endpoints = new Map(first.endpoints).set('s3.default.mesh', [endpoint('10.0.3.2', 80)]);
  const after = translator.translate({ ...first, endpoints }, HOST);
  assert.deepEqual(changed(before, after), ['ClusterLoadAssignment outbound|9080||s3.default.mesh']);
});

test('a service changes its protocol: its cluster, and a chain of each caller’s listener', () => {
  const translator = new Translator();
  const first = fleet();
  const before = translator.translate(first, HOST);
  const { services } = fleet({ s3: 'TCP' });
  const s3 = services.get('s3.default.mesh');
  assert.ok(s3);
  const after = translator.translate({ ...first, services: new Map(first.services).set(s3.host, s3) }, HOST);
  assert.deepEqual(changed(before, after), [
    'Cluster outbound|9080||s3.default.mesh',
    ...LISTENERS.map((name) => `Listener ${name}`),
    'no RouteConfiguration s3.default.mesh:9080',
    'no RouteConfiguration s3.default.mesh:9080~payments',
  ]);
});

test('a VirtualService for one namespace: the routes of its callers', () => {
  const translator = new Translator();
  const first = fleet();
  const before = translator.translate(first, HOST);
  const after = translator.translate({ ...first, virtualServices: [ROUTE] }, HOST);
  assert.deepEqual(changed(before, after), ['RouteConfiguration s3.default.mesh:9080~payments']);
});

test('a DestinationRule for one namespace: a cluster for its callers, which goes again with it', () => {
  const translator = new Translator();
  const first = fleet();
  const before = translator.translate(first, HOST);
  const with1 = translator.translate({ ...first, destinationRules: [RULE] }, HOST);
  assert.deepEqual(changed(before, with1), [
    'Cluster outbound|9080||s3.default.mesh~payments',
    'ClusterLoadAssignment outbound|9080||s3.default.mesh~payments',
    'RouteConfiguration s3.default.mesh:9080~payments',
  ]);
  const without = translator.translate(first, HOST);
  assert.deepEqual(
    [...without].map(([type, byName]) => [type, [...byName.keys()]]),
    [...before].map(([type, byName]) => [type, [...byName.keys()]]),
  );
});

test('one caller: no marks, names and clusters as with listeners of its own', () => {
  const one = { ...HOST, callers: CALLERS.slice(1) };
  const resources = new Translator().translate(fleet(), one);
  const names = [...resources.values()].flatMap((byName) => [...byName.keys()]);
  assert.deepEqual(
    names.filter((name) => name.includes('~')),
    [],
  );
  const listener = resources.get(TYPE_URL.listener)?.get('virtualOutbound_15101');
  assert.ok(listener);
  assert.doesNotMatch(Buffer.from(listener.value).toString('latin1'), /trysail\.caller/);
});

test('calls of one service that cannot be encoded keep their last good version and take nothing with them', () => {
  const translator = new Translator();
  const first = fleet({ s3: 'TCP', s4: 'TCP' });
  const before = translator.translate(first, HOST);
  const broken: DestinationRule = {
    ...RULE,
    meta: meta('DestinationRule', 'default'),
    exportTo: [],
    trafficPolicy: {
      loadBalancer: undefined,
      connectionPool: pool({ tcpIdleTimeoutMs: Number.NaN }),
      outlierDetection: undefined,
      portLevelSettings: [],
    },
  };
  const { services } = fleet({ s3: 'TCP', s4: 'HTTP' });
  const after = translator.translate({ ...first, services, destinationRules: [broken] }, HOST);
  const failed = translator.failures.map(({ code, object }) => `${code} ${object}`);
  assert.deepEqual(
    failed.filter((each) => each.includes('calls to')),
    CALLERS.map(({ capturePort }) => `TRY0405 calls to 240.240.0.3_9080 of captured port ${capturePort}`),
  );
  // The other change has come through, and what failed is as it was.
  for (const name of LISTENERS) {
    const text = (resources: Resources): string =>
      Buffer.from(resources.get(TYPE_URL.listener)?.get(name)?.value ?? []).toString('latin1');
    assert.match(text(before), /240\.240\.0\.4_9080-tcp/);
    assert.match(text(after), /240\.240\.0\.4_9080-http/);
    assert.match(text(after), /240\.240\.0\.3_9080-tcp/);
  }
});

test('a VirtualService for a name that no service bears: routes on port 80 for its callers, which go again with it', () => {
  const translator = new Translator();
  const first = fleet();
  const before = translator.translate(first, HOST);
  const other = { ...ROUTE, hosts: ['shop.example.com'] };
  const with1 = translator.translate({ ...first, virtualServices: [other] }, HOST);
  assert.deepEqual(changed(before, with1), ['Listener virtualOutbound_15101', 'RouteConfiguration 80~payments']);
  // A service of the mesh that is not known yet is none.
  const unknown = { ...ROUTE, hosts: ['unknown.default.mesh'] };
  const without = translator.translate({ ...first, virtualServices: [unknown] }, HOST);
  const content = (resources: Resources): unknown =>
    [...resources].map(([type, byName]) => [type, [...byName].map(([name, { value }]) => [name, value])]);
  assert.deepEqual(content(without), content(before));
});
