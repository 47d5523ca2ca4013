import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { encodeLabelKey } from '../model/registration.ts';
import type { CatalogueInstance } from './catalogue-state.ts';
import type { ServiceRecord } from './kinds/service-record.ts';
import { buildRegisteredService, type RegisteredInputs, type RegisteredService } from './registered-service.ts';

function instance(id: string, fields: Partial<CatalogueInstance> = {}): CatalogueInstance {
  return {
    id,
    node: 'n',
    address: '10.0.0.1',
    port: 9080,
    status: 'passing',
    tags: [],
    meta: {},
    weights: { passing: 1, warning: 1 },
    datacenter: 'dc1',
    ...fields,
  };
}

const mtls = { 'trysail-tls': 'mtls' };

function record(fields: Partial<ServiceRecord> = {}): ServiceRecord {
  const source = { file: 'r.yaml', line: 1 };
  return {
    meta: { kind: 'Service', namespace: 'default', name: 'web', labels: {}, source, age: 1 },
    consulName: 'web',
    ports: [],
    accounts: [{ namespace: 'default', serviceAccount: 'web' }],
    tls: undefined,
    ...fields,
  };
}

function build(fields: Partial<RegisteredInputs>, previous?: RegisteredService): RegisteredService {
  const base = { config: DEFAULT_MESH_CONFIG, consulName: 'web', record: undefined, knownMeshed: false };
  return buildRegisteredService({ ...base, instances: [], ...fields }, previous);
}

const codes = ({ diagnostics }: RegisteredService): readonly string[] => diagnostics.map(({ code }) => code);

const ID = 'spiffe://cluster.local/ns/default/sa/web';

test('a plain Consul service, as others register it', () => {
  const { service, endpoints, diagnostics } = build({ consulName: 'shop--web', instances: [instance('n/1')] });
  assert.deepEqual(service, {
    host: 'web.shop.mesh',
    namespace: 'shop',
    name: 'web',
    consulName: 'shop--web',
    aliases: ['shop--web.service.consul', 'web.shop.svc.cluster.local'],
    ports: [{ number: 9080, name: 'port-9080', protocol: 'AUTO' }],
    tls: 'plain',
    identities: [],
    resolution: 'EDS',
    external: false,
  });
  assert.deepEqual(endpoints, [
    {
      id: 'n/1',
      address: '10.0.0.1',
      ports: { 9080: 9080 },
      health: 'HEALTHY',
      weight: 1,
      locality: { region: '', zone: '', subzone: '' },
      labels: { app: 'web' },
      offersMtls: false,
    },
  ]);
  assert.deepEqual(diagnostics, []);
});

test('Meta gives port, protocol, locality and labels; the status gives health and weight', () => {
  const meta = {
    ...mtls,
    'service-port': '80',
    'trysail-protocol': 'grpc',
    'trysail-locality': 'eu/a/rack-7',
    version: 'v2',
    [encodeLabelKey('app.kubernetes.io/name')]: 'web',
    team: 'not a label',
  };
  const weights = { passing: 10, warning: 2 };
  const { service, endpoints } = build({
    instances: [
      instance('n/1', { meta, weights }),
      instance('n/2', { meta, weights, status: 'warning' }),
      instance('n/3', { meta, weights, status: 'critical' }),
      instance('n/4', { meta, weights: { passing: 1, warning: 0 }, status: 'warning' }),
      instance('n/5', { meta: { ...meta, [encodeLabelKey('app')]: 'old' }, weights: { passing: 1e9, warning: 0 } }),
    ],
  });
  assert.deepEqual(service.ports, [{ number: 80, name: 'port-80', protocol: 'GRPC' }]);
  assert.deepEqual(
    endpoints.map(({ health, weight }) => [health, weight]),
    [
      ['HEALTHY', 10],
      ['HEALTHY', 2],
      ['UNHEALTHY', 10],
      ['UNHEALTHY', 1],
      ['HEALTHY', 65_535],
    ],
  );
  assert.deepEqual(endpoints[0]?.ports, { 80: 9080 });
  assert.deepEqual(endpoints[0].locality, { region: 'eu', zone: 'a', subzone: 'rack-7' });
  assert.deepEqual(endpoints[0].labels, { app: 'web', version: 'v2', 'app.kubernetes.io/name': 'web' });
  assert.equal(endpoints[4]?.labels['app'], 'old');
});

interface TlsCase {
  readonly what: string;
  readonly given: Partial<RegisteredInputs>;
  readonly tls: string;
  readonly endpoints: readonly string[];
  readonly codes?: readonly string[];
}

const plain = instance('n/plain');
const meshed = instance('n/meshed', { meta: mtls });
const both = [meshed, plain];
const noAuto = { ...DEFAULT_MESH_CONFIG, enableAutoMtls: false };

const tlsCases: readonly TlsCase[] = [
  { what: 'nothing says it is meshed', given: { instances: [plain] }, tls: 'plain', endpoints: ['n/plain'] },
  {
    what: 'one instance claims it',
    given: { instances: both },
    tls: 'required',
    endpoints: ['n/meshed'],
    codes: ['TRY0303'],
  },
  {
    what: 'this host runs it, or it was seen meshed',
    given: { instances: [plain], knownMeshed: true },
    tls: 'required',
    endpoints: [],
    codes: ['TRY0303'],
  },
  {
    what: 'its record requires it',
    given: { instances: both, record: record({ tls: 'required' }) },
    tls: 'required',
    endpoints: ['n/meshed'],
    codes: ['TRY0303'],
  },
  {
    what: 'its record says that it is migrating',
    given: { instances: both, record: record({ tls: 'migrating' }), knownMeshed: true },
    tls: 'migrating',
    endpoints: ['n/meshed', 'n/plain'],
  },
  {
    what: 'its record says nothing of TLS',
    given: { instances: both, record: record() },
    tls: 'required',
    endpoints: ['n/meshed'],
    codes: ['TRY0303'],
  },
  {
    what: 'mutual TLS is off in the mesh',
    given: { instances: both, config: noAuto, knownMeshed: true },
    tls: 'plain',
    endpoints: ['n/meshed', 'n/plain'],
  },
  {
    what: 'mutual TLS is off in the mesh, yet its record requires it',
    given: { instances: both, config: noAuto, record: record({ tls: 'required' }) },
    tls: 'required',
    endpoints: ['n/meshed'],
    codes: ['TRY0303'],
  },
];

for (const { what, given, tls, endpoints, codes: expected = [] } of tlsCases)
  test(`the service is ${tls} where ${what}`, () => {
    const built = build(given);
    assert.equal(built.service.tls, tls);
    assert.deepEqual(
      built.endpoints.map(({ id }) => id),
      endpoints,
    );
    assert.deepEqual(codes(built), expected);
    assert.deepEqual(built.service.identities, tls === 'plain' ? [] : [ID]);
  });

test('who may serve comes from the record, over all trust domains, and never from an instance', () => {
  const config = { ...DEFAULT_MESH_CONFIG, trustDomain: 'new', trustDomainAliases: ['old'] };
  const lying = instance('n/1', {
    meta: { ...mtls, 'service-account': 'admin', identity: 'spiffe://new/ns/x/sa/admin' },
  });
  const accounts = [
    { namespace: 'default', serviceAccount: 'web' },
    { namespace: 'ops', serviceAccount: 'deploy' },
  ];
  assert.deepEqual(build({ config, instances: [lying], record: record({ accounts }) }).service.identities, [
    'spiffe://new/ns/default/sa/web',
    'spiffe://new/ns/ops/sa/deploy',
    'spiffe://old/ns/default/sa/web',
    'spiffe://old/ns/ops/sa/deploy',
  ]);
  assert.deepEqual(build({ config, instances: [lying] }).service.identities, [
    'spiffe://new/ns/default/sa/web',
    'spiffe://old/ns/default/sa/web',
  ]);
});

test('a name that makes no identity fails closed', () => {
  const built = build({ consulName: 'we b', instances: [instance('n/1', { meta: mtls })] });
  assert.deepEqual(built.endpoints, []);
  assert.deepEqual(codes(built), ['TRY0305']);
});

interface PortCase {
  readonly what: string;
  readonly instances: readonly CatalogueInstance[];
  readonly record?: ServiceRecord;
  readonly ports: readonly number[];
  readonly dialled?: readonly Readonly<Record<number, number>>[];
  readonly codes?: readonly string[];
}

const portCases: readonly PortCase[] = [
  {
    what: 'dynamic ports without a word on the service',
    instances: [instance('1', { port: 31_001 }), instance('2', { port: 31_002 })],
    ports: [80],
    dialled: [{ 80: 31_001 }, { 80: 31_002 }],
    codes: ['TRY0301'],
  },
  {
    what: 'dynamic ports with a service port',
    instances: [instance('1', { port: 31_001, meta: { 'service-port': '8080' } }), instance('2', { port: 31_002 })],
    ports: [8080],
    dialled: [{ 8080: 31_001 }, { 8080: 31_002 }],
  },
  {
    what: 'service ports that differ: that of most',
    instances: ['80', '81', '81'].map((port, i) => instance(String(i), { meta: { 'service-port': port } })),
    ports: [81],
    codes: ['TRY0301'],
  },
  {
    what: 'a service port that is none',
    instances: [instance('1', { meta: { 'service-port': '99999' } })],
    ports: [9080],
  },
  { what: 'no port at all', instances: [instance('1', { port: 0 })], ports: [80], dialled: [{ 80: 80 }] },
  {
    what: 'several ports in the record',
    instances: [
      instance('1', { port: 31_001, meta: { 'service-port': '81' } }),
      instance('2', { port: 80 }),
      instance('3', { port: 5 }),
    ],
    record: record({
      ports: [
        { number: 80, name: 'http', protocol: 'HTTP' },
        { number: 81, name: 'admin', protocol: 'TCP' },
      ],
    }),
    ports: [80, 81],
    dialled: [
      { 80: 80, 81: 31_001 },
      { 80: 80, 81: 81 },
      { 80: 5, 81: 81 },
    ],
  },
];

for (const { what, instances, record: given, ports, dialled, codes: expected = [] } of portCases)
  test(`ports: ${what}`, () => {
    const built = build({ instances, record: given });
    assert.deepEqual(
      built.service.ports.map(({ number }) => number),
      ports,
    );
    if (dialled !== undefined)
      assert.deepEqual(
        built.endpoints.map((endpoint) => endpoint.ports),
        dialled,
      );
    assert.deepEqual(codes(built), expected);
  });

test('protocols that differ: that of most, with a diagnostic', () => {
  const instances = ['http', 'tcp', 'TCP', 'nonsense'].map((p, i) =>
    instance(String(i), { meta: { 'trysail-protocol': p } }),
  );
  const built = build({ instances });
  assert.equal(built.service.ports[0]?.protocol, 'TCP');
  assert.deepEqual(codes(built), ['TRY0301']);
});

test('a registration that is not believed has no word on port and protocol', () => {
  const rogue = instance('n/0', { port: 666, meta: { 'service-port': '666', 'trysail-protocol': 'TCP' } });
  const { service } = build({ instances: [rogue, instance('n/0b', { port: 666 }), meshed] });
  assert.deepEqual(service.ports, [{ number: 9080, name: 'port-9080', protocol: 'AUTO' }]);
});

test('in a tie the port from before stays', () => {
  const claims = (port: string): CatalogueInstance => instance(port, { meta: { ...mtls, 'service-port': port } });
  const before = build({ instances: [claims('9080')] });
  const after = build({ instances: [claims('9080'), claims('666')] }, before);
  assert.deepEqual(after.service.ports, before.service.ports);
  assert.deepEqual(codes(after), ['TRY0301']);
});

test('the last instance gone leaves the ports as they were', () => {
  const before = build({ instances: [instance('1', { port: 7000, meta: { 'trysail-protocol': 'HTTP' } })] });
  const after = build({ instances: [] }, before);
  assert.deepEqual(after.endpoints, []);
  assert.equal(after.service, before.service);
});

test('what Envoy could not dial is left out, with a diagnostic', () => {
  const built = build({
    instances: [
      instance('1', { address: 'db.example.com' }),
      instance('2'),
      instance('3', { address: 'fe80::1%eth0' }),
      instance('4', { port: 70_000 }),
      instance('5', { port: -1 }),
      instance('6', { address: '' }),
    ],
  });
  assert.deepEqual(
    built.endpoints.map(({ id }) => id),
    ['2'],
  );
  assert.deepEqual(built.service.ports[0]?.number, 9080);
  assert.deepEqual(
    built.diagnostics.map(({ message }) => message),
    [
      'registered without an IP address and a port: 1 (db.example.com, 9080), 3 (fe80::1%eth0, 9080), 4 (10.0.0.1, 70000), 5 (10.0.0.1, -1), 6 (, 9080)',
    ],
  );
});

test('an instance that did not change keeps its endpoint', () => {
  const [a, b] = [instance('a'), instance('b')];
  const before = build({ instances: [a, b] });
  const after = build({ instances: [a, instance('b', { status: 'critical' })] }, before);
  assert.equal(after.endpoints[0], before.endpoints[0]);
  assert.notEqual(after.endpoints[1], before.endpoints[1]);
  assert.equal(after.service, before.service);
});

test('a diagnostic lists a few of many', () => {
  const instances = [meshed, ...Array.from({ length: 8 }, (_, i) => instance(`n/${i}`))];
  assert.match(build({ instances }).diagnostics[0]?.message ?? '', /: n\/0, n\/1, n\/2, n\/3, n\/4 and 3 more$/);
});
