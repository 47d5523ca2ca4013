import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DIAGNOSTIC_CODES } from '../model/diagnostic-codes.ts';
import { DEFAULT_MESH_CONFIG, type MeshConfig } from '../model/mesh-config.ts';
import { analyze, analyzeResources } from './analyze.ts';
import { configurationOf } from './configuration.ts';
import { RULES } from './rules.ts';

const ENTRY = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: reviews }
spec:
  hosts: [reviews.default.mesh]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 9080, name: http, protocol: HTTP }]
  endpoints:
  - { address: 10.0.0.1, labels: { app: reviews, version: v1 } }
`;
const TWO_PORTS = ENTRY.replaceAll('reviews', 'ratings').replace(
  'ports: [',
  'ports: [{ number: 9090, name: grpc, protocol: GRPC }, ',
);

const THREE = `${ENTRY}  - { address: 10.0.0.2, labels: { app: reviews } }\n  - { address: 10.0.0.3, labels: { app: reviews } }\n`;

const resource = (kind: string, name: string, spec: string, version = 'v1', namespace = 'default'): string =>
  `apiVersion: networking.istio.io/${version}\nkind: ${kind}\nmetadata: { name: ${name}, namespace: ${namespace} }\nspec: ${spec}\n`;
const worker = (namespace: string): string =>
  resource('WorkloadEntry', 'worker', '{ address: 10.0.0.9, labels: { app: worker } }', 'v1', namespace);

const outside = (protocol: string, name = 'db', rest = ''): string =>
  resource(
    'ServiceEntry',
    name,
    `{ hosts: [${name}.example.com], ${rest} resolution: DNS, ports: [{ number: 5432, name: db, protocol: ${protocol} }] }`,
  );

/** Codes that files are found to have. */
function codesOf(
  files: readonly string[],
  envoyFilters: readonly string[] = [],
  ofMesh: Partial<MeshConfig> = {},
): readonly string[] {
  const config = { ...DEFAULT_MESH_CONFIG, envoyFilterNamespaces: envoyFilters, ...ofMesh };
  const { mesh, resources, diagnostics } = configurationOf([{ file: 'in.yaml', text: files.join('---\n') }], config);
  const workloads = resources.workloadEntries.map(({ meta, workload }) => ({
    namespace: meta.namespace,
    labels: workload.labels,
  }));
  const found = analyze(
    mesh,
    { mayBeElsewhere: false, serviceEntries: resources.serviceEntries },
    diagnostics,
    workloads,
  );
  return found.map(({ code }) => code).toSorted();
}

const virtualService = (http: string, rest = '', namespace = 'default'): string =>
  resource('VirtualService', 'reviews', `{ hosts: [reviews.default.mesh], ${rest} http: ${http} }`, 'v1', namespace);
const rule = (spec: string, name = 'reviews', namespace = 'default'): string =>
  resource('DestinationRule', name, `{ host: reviews.default.mesh, ${spec} }`, 'v1', namespace);
const gateway = (name: string, hosts: string, rest = ''): string =>
  resource(
    'Gateway',
    name,
    `{ selector: { app: gateway }, servers: [{ port: { number: 443, name: https, protocol: HTTPS }, hosts: [${hosts}], tls: { mode: SIMPLE, credentialName: ${rest || name} } }] }`,
  );
const TO_REVIEWS = '{ route: [{ destination: { host: reviews } }] }';
const patch = (operation: string, applyTo: string, name: string, priority = ''): string =>
  resource(
    'EnvoyFilter',
    name,
    `{ ${priority} configPatches: [{ applyTo: ${applyTo}, match: { context: ANY }, patch: { operation: ${operation}, value: { name: x } } }] }`,
    'v1alpha3',
  );

interface Case {
  /** Files that have the code. */
  readonly fires: readonly string[];
  /** Nearly the same files, that have not. */
  readonly quiet: readonly string[];
}

const limitAt = (of: string): string =>
  `apiVersion: trysail.dev/v1\nkind: RateLimit\nmetadata: { name: edge }\nspec: { ${of}, limits: [{ name: a, requests: 1, per: 1s }] }\n`;

const CASES: Readonly<Record<string, Case>> = {
  IST0101: {
    fires: [ENTRY, virtualService(`[${TO_REVIEWS}]`, 'gateways: [front],')],
    quiet: [ENTRY, virtualService(`[${TO_REVIEWS}]`, 'gateways: [front],'), gateway('front', '"*/*"')],
  },
  IST0110: {
    fires: ['one', 'two'].map((name) =>
      resource('Sidecar', name, '{ workloadSelector: { labels: { app: web } }, egress: [{ hosts: ["./*"] }] }'),
    ),
    quiet: ['one', 'two'].map((name) =>
      resource('Sidecar', name, `{ workloadSelector: { labels: { app: ${name} } }, egress: [{ hosts: ["./*"] }] }`),
    ),
  },
  IST0111: {
    fires: ['one', 'two'].map((name) => resource('Sidecar', name, '{ egress: [{ hosts: ["./*"] }] }')),
    quiet: [resource('Sidecar', 'one', '{ egress: [{ hosts: ["./*"] }] }')],
  },
  IST0112: {
    fires: [ENTRY, TWO_PORTS, virtualService('[{ route: [{ destination: { host: ratings } }] }]')],
    quiet: [
      ENTRY,
      TWO_PORTS,
      virtualService('[{ route: [{ destination: { host: ratings, port: { number: 9090 } } }] }]'),
    ],
  },
  IST0127: {
    fires: [ENTRY, rule('workloadSelector: { matchLabels: { app: nobody } }')],
    quiet: [ENTRY, rule('workloadSelector: { matchLabels: { app: reviews } }')],
  },
  IST0128: {
    fires: [ENTRY, rule('trafficPolicy: { tls: { mode: SIMPLE, insecureSkipVerify: true } }')],
    quiet: [ENTRY, rule('trafficPolicy: { tls: { mode: SIMPLE } }')],
  },
  IST0129: {
    fires: [
      ENTRY,
      rule(
        'trafficPolicy: { portLevelSettings: [{ port: { number: 9080 }, tls: { mode: SIMPLE, insecureSkipVerify: true } }] }',
      ),
    ],
    quiet: [ENTRY, rule('trafficPolicy: { portLevelSettings: [{ port: { number: 9080 }, tls: { mode: SIMPLE } }] }')],
  },
  IST0130: {
    fires: [ENTRY, virtualService(`[${TO_REVIEWS}, ${TO_REVIEWS}]`)],
    quiet: [
      ENTRY,
      virtualService(`[{ match: [{ port: 9080 }], route: [{ destination: { host: reviews } }] }, ${TO_REVIEWS}]`),
    ],
  },
  IST0131: {
    fires: [
      ENTRY,
      virtualService(
        '[{ match: [{ uri: { prefix: /a } }, { uri: { prefix: /a } }], route: [{ destination: { host: reviews } }] }]',
      ),
    ],
    quiet: [
      ENTRY,
      virtualService(
        '[{ match: [{ uri: { prefix: /a } }, { uri: { prefix: /b } }], route: [{ destination: { host: reviews } }] }]',
      ),
    ],
  },
  IST0132: {
    fires: [ENTRY, virtualService(`[${TO_REVIEWS}]`, 'gateways: [front],'), gateway('front', 'other.example')],
    quiet: [ENTRY, virtualService(`[${TO_REVIEWS}]`, 'gateways: [front],'), gateway('front', '"*/*.mesh"')],
  },
  IST0138: {
    fires: [gateway('one', 'a.example', 'shared'), gateway('two', 'b.example', 'shared')],
    quiet: [gateway('one', 'a.example'), gateway('two', 'b.example')],
  },
  IST0140: {
    fires: [
      ENTRY,
      rule('subsets: [{ name: v1, labels: { version: v1 } }]'),
      virtualService('[{ route: [{ destination: { host: reviews, subset: v1 } }] }]'),
      gateway('front', '"*/*"'),
      resource('VirtualService', 'front', `{ hosts: [shop.example], gateways: [front], http: [${TO_REVIEWS}] }`),
    ],
    quiet: [
      ENTRY,
      rule('subsets: [{ name: v1, labels: { version: v1 } }]'),
      virtualService('[{ route: [{ destination: { host: reviews, subset: v1 } }] }]'),
      gateway('front', '"*/*"'),
      resource(
        'VirtualService',
        'front',
        '{ hosts: [shop.example], gateways: [front], http: [{ route: [{ destination: { host: reviews, subset: v1 } }] }] }',
      ),
    ],
  },
  IST0145: {
    fires: [gateway('one', 'a.example'), gateway('two', 'a.example')],
    quiet: [gateway('one', 'a.example'), gateway('two', 'b.example')],
  },
  IST0151: {
    fires: [patch('INSERT_BEFORE', 'HTTP_FILTER', 'one'), patch('INSERT_BEFORE', 'HTTP_FILTER', 'two')],
    quiet: [
      patch('INSERT_BEFORE', 'HTTP_FILTER', 'one', 'priority: 1,'),
      patch('INSERT_BEFORE', 'HTTP_FILTER', 'two', 'priority: 2,'),
    ],
  },
  IST0173: {
    fires: [ENTRY, rule('subsets: [{ name: v2, labels: { version: v2 } }]')],
    quiet: [ENTRY, rule('subsets: [{ name: v1, labels: { version: v1 } }]')],
  },
  IST0174: { fires: [rule('trafficPolicy: {}')], quiet: [ENTRY, rule('trafficPolicy: {}')] },
  IST0177: {
    fires: [ENTRY, ENTRY.replace('name: reviews', 'name: again').replace('protocol: HTTP', 'protocol: TCP')],
    quiet: [ENTRY, ENTRY.replace('name: reviews', 'name: again')],
  },
  IST0134: {
    fires: [outside('TCP')],
    quiet: [outside('HTTP'), outside('TLS', 'two'), outside('TCP', 'three', 'addresses: [192.0.2.1],')],
  },
  TRY0412: {
    fires: [gateway('front', 'www.example.com'), limitAt('gateway: front, hosts: [api.example.com]')],
    quiet: [gateway('front', 'www.example.com'), limitAt('gateway: front, hosts: ["*.example.com"]')],
  },
  TRY0501: {
    fires: [
      ENTRY,
      rule(
        'trafficPolicy: { loadBalancer: { localityLbSetting: { enabled: true, failover: [{ from: eu, to: us }] } } }',
      ),
    ],
    quiet: [
      ENTRY,
      rule(
        'trafficPolicy: { outlierDetection: {}, loadBalancer: { localityLbSetting: { enabled: true, failover: [{ from: eu, to: us }] } } }',
      ),
    ],
  },
  TRY0502: {
    fires: [
      ENTRY,
      virtualService('[{ fault: { abort: { httpStatus: 503 } }, route: [{ destination: { host: reviews } }] }]'),
    ],
    quiet: [
      ENTRY,
      virtualService(
        '[{ fault: { abort: { httpStatus: 503, percentage: { value: 1 } } }, route: [{ destination: { host: reviews } }] }]',
      ),
    ],
  },
  TRY0503: {
    fires: [
      ENTRY,
      rule('trafficPolicy: { connectionPool: {} }'),
      rule('trafficPolicy: { outlierDetection: {} }', 'again'),
    ],
    quiet: [
      ENTRY,
      rule('trafficPolicy: { connectionPool: {} }'),
      rule('subsets: [{ name: v1, labels: { version: v1 } }]', 'again'),
    ],
  },
  TRY0504: {
    fires: [
      ENTRY,
      rule(
        'trafficPolicy: { outlierDetection: {}, portLevelSettings: [{ port: { number: 9080 }, connectionPool: {} }] }',
      ),
    ],
    quiet: [
      ENTRY,
      rule(
        'trafficPolicy: { outlierDetection: {}, portLevelSettings: [{ port: { number: 9080 }, outlierDetection: {}, connectionPool: {} }] }',
      ),
    ],
  },
  TRY0505: {
    fires: [THREE, rule('trafficPolicy: { outlierDetection: { consecutive5xxErrors: 3 } }')],
    quiet: [
      THREE,
      rule('trafficPolicy: { outlierDetection: { maxEjectionPercent: 34 } }'),
      // One endpoint alone is not to be ejected; the other rule says so itself.
      rule('subsets: [{ name: v1, labels: { version: v1 }, trafficPolicy: { outlierDetection: {} } }]', 'one'),
      rule('trafficPolicy: { outlierDetection: { alwaysEjectOneHost: true } }', 'always'),
    ],
  },
  TRY0506: {
    fires: [
      ENTRY,
      worker('other'),
      virtualService('[{ route: [{ destination: { host: reviews.default.mesh, subset: v1 } }] }]', '', 'shop'),
      rule('subsets: [{ name: v1, labels: { version: v1 } }]', 'reviews', 'shop'),
    ],
    quiet: [
      ENTRY,
      worker('other'),
      virtualService(
        '[{ route: [{ destination: { host: reviews.default.mesh, subset: v1 } }] }]',
        'exportTo: [.],',
        'shop',
      ),
      rule('subsets: [{ name: v1, labels: { version: v1 } }]', 'reviews', 'shop'),
    ],
  },
};

/** Rules that only pass on what translation says; its own tests have the cases. */
const OF_OTHERS = new Set(['TRY0409', 'TRY0410']);

for (const [code, { fires, quiet }] of Object.entries(CASES))
  test(`analyze finds ${code}, and only where it is`, () => {
    assert.ok(codesOf(fires, ['default']).includes(code), `not found: ${codesOf(fires, ['default']).join(' ')}`);
    assert.ok(
      !codesOf(quiet, ['default']).includes(code),
      `found where it is not: ${codesOf(quiet, ['default']).join(' ')}`,
    );
    // Else a case would be quiet for the wrong reason.
    assert.deepEqual(
      codesOf(quiet, ['default']).filter((one) => one === 'IST0106' || one.startsWith('TRY00')),
      [],
    );
  });

test('every code of every rule is documented and has a case', () => {
  for (const code of new Set(RULES.flatMap(({ codes }) => codes))) {
    assert.ok(DIAGNOSTIC_CODES[code] !== undefined, code);
    assert.ok(CASES[code] !== undefined || OF_OTHERS.has(code), code);
  }
});

test('an EnvoyFilter of a namespace that may have none is told', () => {
  assert.ok(codesOf([patch('MERGE', 'CLUSTER', 'one')]).includes('TRY0410'));
});

test('where services may be in Consul, one that no file names is not missing', () => {
  const text = [rule('trafficPolicy: {}'), virtualService(`[${TO_REVIEWS}]`)].join('---\n');
  const { mesh, diagnostics } = configurationOf([{ file: 'in.yaml', text }]);
  const codes = (mayBeElsewhere: boolean): readonly string[] =>
    analyze(mesh, { mayBeElsewhere }, diagnostics).map(({ code }) => code);
  assert.deepEqual(codes(false).toSorted(), ['IST0101', 'IST0174']);
  assert.deepEqual(codes(true), []);
});

test('a resource may say which of its findings it knows of', () => {
  const suppressing = (codes: string): string =>
    rule('subsets: [{ name: v9, labels: { version: v9 } }]').replace(
      'metadata: {',
      `metadata: { annotations: { galley.istio.io/analyze-suppress: "${codes}" },`,
    );
  assert.deepEqual(codesOf([ENTRY, suppressing('TRY0505')]), ['IST0173']);
  assert.deepEqual(codesOf([ENTRY, suppressing('TRY0505, IST0173')]), []);
  assert.deepEqual(codesOf([ENTRY, suppressing('*')]), []);
  assert.deepEqual(codesOf([ENTRY, suppressing('*').replace('labels: {', 'lables: {')]), ['IST0106']);
  const entries = [ENTRY, ENTRY.replace('name: reviews', 'name: again').replace('HTTP }', 'TCP }')];
  assert.ok(codesOf(entries).includes('IST0177'));
  const quiet = entries.map((one) =>
    one.replace('metadata: {', 'metadata: { annotations: { galley.istio.io/analyze-suppress: IST0177 },'),
  );
  assert.ok(!codesOf(quiet).includes('IST0177'));
});

test('where workloads may be in Consul, a selector of none that files name is no finding', () => {
  const text = [
    worker('default'),
    resource('Sidecar', 'web', '{ workloadSelector: { labels: { app: web } }, egress: [{ hosts: ["*/*"] }] }'),
  ].join('---\n');
  const { mesh, resources } = configurationOf([{ file: 'in.yaml', text }]);
  const codes = (mayBeElsewhere: boolean): readonly string[] =>
    analyzeResources(mesh, [], resources, { mayBeElsewhere }).map(({ code }) => code);
  assert.deepEqual(codes(false), ['IST0127']);
  assert.deepEqual(codes(true), []);
});

test('a RateLimit at a Gateway that there is not', () => {
  assert.deepEqual(codesOf([limitAt('gateway: front')]), ['IST0101']);
  assert.deepEqual(codesOf([limitAt('gateway: front'), gateway('front', 'www.example.com')]), []);
});

test('IST0128: where the mesh verifies nobody, a rule that does not say by what', () => {
  const off = { verifyCertificateAtClient: false };
  const of = (tls: string): readonly string[] => codesOf([ENTRY, rule(`trafficPolicy: { tls: ${tls} }`)], [], off);
  assert.deepEqual(of('{ mode: SIMPLE }'), ['IST0128']);
  assert.deepEqual(of('{ mode: SIMPLE, caCertificates: /etc/ca.pem }'), []);
  assert.deepEqual(of('{ mode: SIMPLE, subjectAltNames: [a.example.com] }'), []);
});
