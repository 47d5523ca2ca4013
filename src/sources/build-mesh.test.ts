import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatDiagnostic } from '../model/diagnostic.ts';
import type { Mesh } from '../model/mesh.ts';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { buildMesh, type MeshInputs, meshedHosts } from './build-mesh.ts';
import type { CatalogueInstance, CatalogueState } from './catalogue-state.ts';
import { parseResources, readResources } from './resource-reader.ts';
import { EMPTY_RESOURCES, type ResourceSet } from './resource-set.ts';

function instance(id: string, fields: Partial<CatalogueInstance> = {}): CatalogueInstance {
  const weights = { passing: 1, warning: 1 };
  const base = {
    id,
    node: 'n',
    address: '10.0.0.1',
    port: 9080,
    status: 'passing',
    tags: [],
    datacenter: 'dc1',
  } as const;
  return { ...base, meta: {}, weights, ...fields };
}

const MTLS = { 'trysail-tls': 'mtls' };

function catalogue(services: Readonly<Record<string, readonly CatalogueInstance[]>>): CatalogueState {
  return { services: new Map(Object.entries(services)), diagnostics: [] };
}

function resources(text: string): ResourceSet {
  return parseResources([{ file: 'r.yaml', text }]);
}

function build(inputs: Partial<MeshInputs>, previous?: Mesh): Mesh {
  const base = { config: DEFAULT_MESH_CONFIG, resources: EMPTY_RESOURCES, catalogue: undefined, localServices: [] };
  return buildMesh(previous, { ...base, ...inputs });
}

const messages = (mesh: Mesh): readonly string[] => mesh.diagnostics.map(formatDiagnostic);

const istio = (kind: string, name: string, spec: string, namespace = 'default'): string =>
  `---\napiVersion: networking.istio.io/v1\nkind: ${kind}\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: ${spec}\n`;
const record = (name: string, spec: string, namespace = 'default'): string =>
  `---\napiVersion: trysail.dev/v1\nkind: Service\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: ${spec}\n`;
const route = (host: string): string => `http: [{route: [{destination: {host: ${host}}}]}]`;

test('a change of one endpoint of 100 services makes one list of endpoints, and nothing else', () => {
  const services = Object.fromEntries(
    Array.from({ length: 100 }, (_, i) => [
      `s${i}`,
      Array.from({ length: 20 }, (_, j) => instance(`n${j}/s${i}`, { meta: MTLS })),
    ]),
  );
  const set = resources(
    istio('VirtualService', 's1', `{hosts: [s1], ${route('s2')}}`) + istio('DestinationRule', 's1', '{host: s1}'),
  );
  const first = build({ catalogue: catalogue(services), resources: set });
  const changed = [...(services['s7'] ?? [])];
  changed[3] = instance('n3/s7', { meta: MTLS, status: 'critical' });
  const second = build({ catalogue: catalogue({ ...services, s7: changed }), resources: set }, first);

  const fresh = [...second.endpoints].filter(([host, list]) => list !== first.endpoints.get(host));
  assert.deepEqual(
    fresh.map(([host]) => host),
    ['s7.default.mesh'],
  );
  const before = first.endpoints.get('s7.default.mesh') ?? [];
  assert.equal(fresh[0]?.[1].filter((endpoint) => !before.includes(endpoint)).length, 1);
  assert.equal(second.services, first.services);
  assert.equal(second.virtualServices, first.virtualServices);
  assert.equal(second.destinationRules, first.destinationRules);
  assert.equal(second.diagnostics, first.diagnostics);
  assert.equal(second.config, first.config);
});

test('equal inputs give the same mesh, even when the configuration and the catalogue are new objects', () => {
  const list = [instance('n/1')];
  const set = resources(
    istio('ServiceEntry', 'e', '{hosts: [api.example.com], resolution: DNS, ports: [{number: 443}]}'),
  );
  const first = build({ catalogue: catalogue({ a: list }), resources: set });
  const config = structuredClone(DEFAULT_MESH_CONFIG);
  assert.equal(build({ catalogue: catalogue({ a: list }), resources: { ...set }, config }, first), first);
});

test('a changed VirtualService is one new object', () => {
  const vs = (a: string, b: string): { file: string; text: string }[] => [
    { file: 'a.yaml', text: istio('VirtualService', 'a', `{hosts: [a], ${route(a)}}`) },
    { file: 'b.yaml', text: istio('VirtualService', 'b', `{hosts: [b], ${route(b)}}`) },
  ];
  const one = readResources(undefined, vs('x', 'x'));
  const two = readResources(one, vs('x', 'y'));
  const first = build({ resources: one.set, catalogue: catalogue({}) });
  const second = build({ resources: two.set, catalogue: catalogue({}) }, first);
  assert.equal(second.virtualServices[0], first.virtualServices[0]);
  assert.notEqual(second.virtualServices[1], first.virtualServices[1]);
  assert.equal(second.virtualServices[1]?.http[0]?.destinations[0]?.host, 'y.default.mesh');
  assert.equal(second.services, first.services);
});

test('a step at a time or all at once, the mesh is the same', () => {
  const statuses = fc.constantFrom('passing', 'warning', 'critical');
  const one = fc.record({
    id: fc.constantFrom('a', 'b', 'c'),
    status: statuses,
    mtls: fc.constant(true),
    port: fc.constantFrom(80, 81),
  });
  const state = fc.dictionary(
    fc.constantFrom('s1', 's2', 'ns--s3'),
    fc.uniqueArray(one, { selector: ({ id }) => id, minLength: 1 }),
  );
  fc.assert(
    fc.property(fc.array(state, { minLength: 1, maxLength: 5 }), (states) => {
      const catalogues = states.map((services) =>
        catalogue(
          Object.fromEntries(
            Object.entries(services).map(([name, list]) => [
              name,
              list.map(({ id, status }) => instance(id, { status, meta: MTLS })).sort((a, b) => (a.id < b.id ? -1 : 1)),
            ]),
          ),
        ),
      );
      let mesh: Mesh | undefined;
      for (const next of catalogues) mesh = build({ catalogue: next }, mesh);
      const whole = build({ catalogue: catalogues.at(-1) });
      assert.deepEqual(mesh, whole);
    }),
  );
});

test('hosts in resources become canonical, whatever form they have', () => {
  const set = resources(
    istio(
      'VirtualService',
      'a',
      `{hosts: [reviews, reviews.shop.svc.cluster.local, '*.example.com'], ${route('shop--ratings.service.consul')}}`,
      'shop',
    ) +
      istio('VirtualService', 'b', `{hosts: [old.service.consul], ${route('api.example.com')}}`) +
      istio('DestinationRule', 'a', '{host: db}', 'shop') +
      record('db', '{consulName: old}', 'shop'),
  );
  const mesh = build({ resources: set, catalogue: catalogue({}) });
  assert.deepEqual(
    mesh.virtualServices.map(({ hosts }) => hosts),
    [['reviews.shop.mesh', '*.example.com'], ['db.shop.mesh']],
  );
  assert.deepEqual(
    mesh.virtualServices.map(({ http }) => http[0]?.destinations[0]?.host),
    ['ratings.shop.mesh', 'api.example.com'],
  );
  assert.equal(mesh.destinationRules[0]?.host, 'db.shop.mesh');
  assert.equal(mesh.services.get('db.shop.mesh')?.consulName, 'old');
});

test('a service once seen meshed stays so: plain instances under its name get no traffic', () => {
  const meshed = build({ catalogue: catalogue({ web: [instance('n/1', { meta: MTLS })] }) });
  const rogue = catalogue({ web: [instance('n/rogue', { address: '10.6.6.6', port: 666 })] });
  const after = build({ catalogue: rogue }, meshed);
  assert.equal(after.services.get('web.default.mesh')?.tls, 'required');
  assert.deepEqual(after.endpoints.get('web.default.mesh'), []);
  assert.match(messages(after).join('\n'), /warning TRY0303 service default\/web: .*n\/rogue/);
  // The service itself did not change in any way.
  assert.equal(after.services, meshed.services);

  const restarted = build({ catalogue: rogue, seenMeshed: meshedHosts(meshed) });
  assert.equal(restarted.services.get('web.default.mesh')?.tls, 'required');
  const forgotten = build({ catalogue: rogue });
  assert.equal(forgotten.services.get('web.default.mesh')?.tls, 'plain');
  const local = build({ catalogue: rogue, localServices: [{ namespace: 'default', name: 'web' }] });
  assert.equal(local.services.get('web.default.mesh')?.tls, 'required');
});

test('what was seen meshed is kept, until a record says migrating', () => {
  const mesh = build({ catalogue: catalogue({ web: [instance('n/1', { meta: MTLS })] }) });
  const seen = meshedHosts(mesh);
  assert.deepEqual([...seen], ['web.default.mesh']);
  assert.equal(meshedHosts(mesh, seen), seen);
  assert.deepEqual([...meshedHosts(build({ catalogue: catalogue({}) }), seen)], ['web.default.mesh']);
  const migrating = build(
    { catalogue: catalogue({ web: [] }), resources: resources(record('web', '{tls: migrating}')) },
    mesh,
  );
  assert.deepEqual([...meshedHosts(migrating, seen)], []);
});

test('of two records for one Consul name the older holds', () => {
  const set = resources(record('a', '{consulName: web}') + record('b', '{consulName: web}'));
  const mesh = build({ resources: set, catalogue: catalogue({ web: [] }) });
  assert.deepEqual([...mesh.services.keys()], ['a.default.mesh']);
  assert.deepEqual(messages(mesh), [
    'r.yaml:7: error TRY0302 Service default/b: the Consul name "web" is that of Service default/a already, which is older. Give the two different values of "consulName".',
  ]);
});

test('templates that give two services one host', () => {
  const config = { ...DEFAULT_MESH_CONFIG, serviceHosts: ['{service}.mesh'] };
  const mesh = build({ config, catalogue: catalogue({ web: [], 'shop--web': [] }) });
  assert.deepEqual(
    [...mesh.services.values()].map(({ namespace }) => namespace),
    ['shop'],
  );
  assert.equal(mesh.diagnostics[0]?.code, 'TRY0302');
});

const FLEET =
  istio(
    'ServiceEntry',
    'reviews',
    '{hosts: [reviews], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 9080, name: http, protocol: HTTP, targetPort: 19080}], workloadSelector: {labels: {app: reviews}}}',
  ) +
  istio('WorkloadEntry', 'r1', '{address: 10.0.0.1, labels: {app: reviews, version: v1}, serviceAccount: reviews}') +
  istio(
    'WorkloadEntry',
    'r2',
    '{address: 10.0.0.2, labels: {app: reviews, version: v2}, serviceAccount: reviews, ports: {http: 29080}, weight: 5}',
  ) +
  istio('WorkloadEntry', 'other', '{address: 10.0.0.3, labels: {app: reviews}, serviceAccount: reviews}', 'other');

test('a fleet in files needs no Consul', () => {
  const mesh = build({ resources: resources(FLEET) });
  assert.deepEqual(messages(mesh), []);
  assert.deepEqual(mesh.services.get('reviews.default.mesh'), {
    host: 'reviews.default.mesh',
    namespace: 'default',
    name: 'reviews',
    consulName: undefined,
    aliases: ['reviews.service.consul', 'reviews.default.svc.cluster.local'],
    ports: [{ number: 9080, name: 'http', protocol: 'HTTP' }],
    tls: 'required',
    identities: ['spiffe://cluster.local/ns/default/sa/reviews'],
    resolution: 'EDS',
    external: false,
  });
  assert.deepEqual(
    mesh.endpoints.get('reviews.default.mesh')?.map(({ id, address, ports, weight }) => [id, address, ports, weight]),
    [
      ['default/r1', '10.0.0.1', { 9080: 19_080 }, 1],
      ['default/r2', '10.0.0.2', { 9080: 29_080 }, 5],
    ],
  );
});

test('a changed WorkloadEntry rebuilds the one service that it serves', () => {
  const more = istio('ServiceEntry', 'x', '{hosts: [x.example.com], resolution: DNS, ports: [{number: 80}]}');
  const one = readResources(undefined, [
    { file: 'a.yaml', text: FLEET },
    { file: 'b.yaml', text: more },
  ]);
  const two = readResources(one, [
    { file: 'a.yaml', text: FLEET.replace('10.0.0.2', '10.0.0.9') },
    { file: 'b.yaml', text: more },
  ]);
  const first = build({ resources: one.set });
  const second = build({ resources: two.set }, first);
  assert.equal(second.endpoints.get('x.example.com'), first.endpoints.get('x.example.com'));
  assert.equal(second.services.get('x.example.com'), first.services.get('x.example.com'));
  assert.notEqual(second.endpoints.get('reviews.default.mesh'), first.endpoints.get('reviews.default.mesh'));
});

interface EntryCase {
  readonly what: string;
  readonly yaml: string;
  readonly host: string;
  readonly tls?: string;
  readonly identities?: readonly string[];
  readonly endpoints?: readonly string[];
  readonly external?: boolean;
  readonly diagnostics?: readonly RegExp[];
  readonly inputs?: Partial<MeshInputs>;
}

const INTERNAL = 'location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 80}]';
const SAN = 'spiffe://cluster.local/ns/prod/sa/db';

const entryCases: readonly EntryCase[] = [
  {
    what: 'an external host resolved by DNS',
    yaml: istio(
      'ServiceEntry',
      'e',
      '{hosts: [api.example.com], resolution: DNS, ports: [{number: 443, protocol: TLS}]}',
    ),
    host: 'api.example.com',
    external: true,
    endpoints: ['api.example.com'],
  },
  {
    what: 'meshed and plain endpoints side by side, as configuration says',
    yaml: istio(
      'ServiceEntry',
      'e',
      `{hosts: [db], ${INTERNAL}, endpoints: [{address: 10.0.0.1, serviceAccount: db}, {address: 10.0.0.2}]}`,
    ),
    host: 'db.default.mesh',
    tls: 'migrating',
    identities: ['spiffe://cluster.local/ns/default/sa/db'],
    endpoints: ['10.0.0.1#0', '10.0.0.2#1'],
  },
  {
    what: 'names that say who serves',
    yaml: istio(
      'ServiceEntry',
      'e',
      `{hosts: [db], ${INTERNAL}, endpoints: [{address: 10.0.0.1, serviceAccount: db}], subjectAltNames: ['${SAN}', db.example.com]}`,
    ),
    host: 'db.default.mesh',
    tls: 'required',
    identities: [SAN],
    endpoints: ['10.0.0.1#0'],
  },
  {
    what: 'the label for mutual TLS without an account: the convention',
    yaml: istio(
      'ServiceEntry',
      'e',
      `{hosts: [db], ${INTERNAL}, endpoints: [{address: 10.0.0.1, labels: {security.istio.io/tlsMode: istio}}]}`,
    ),
    host: 'db.default.mesh',
    tls: 'required',
    identities: ['spiffe://cluster.local/ns/default/sa/db'],
    endpoints: ['10.0.0.1#0'],
  },
  {
    what: 'mutual TLS with nobody to expect: closed',
    yaml: istio(
      'ServiceEntry',
      'e',
      `{hosts: [db.example.com], ${INTERNAL}, endpoints: [{address: 10.0.0.1, labels: {security.istio.io/tlsMode: istio}}]}`,
    ),
    host: 'db.example.com',
    tls: 'required',
    endpoints: [],
    diagnostics: [
      /r\.yaml:2: warning TRY0305 ServiceEntry default\/e: nothing says which identity may serve db\.example\.com/,
    ],
  },
  {
    what: 'a record that requires mutual TLS leaves plain endpoints out',
    yaml:
      istio(
        'ServiceEntry',
        'e',
        `{hosts: [db], ${INTERNAL}, endpoints: [{address: 10.0.0.1, serviceAccount: x}, {address: 10.0.0.2}]}`,
      ) + record('db', '{tls: required, serviceAccounts: [x]}'),
    host: 'db.default.mesh',
    tls: 'required',
    identities: ['spiffe://cluster.local/ns/default/sa/x'],
    endpoints: ['10.0.0.1#0'],
    diagnostics: [/TRY0303 .*10\.0\.0\.2#1/],
  },
  {
    what: 'mutual TLS off in the mesh',
    yaml: istio(
      'ServiceEntry',
      'e',
      `{hosts: [db], ${INTERNAL}, endpoints: [{address: 10.0.0.1, serviceAccount: db}]}`,
    ),
    host: 'db.default.mesh',
    endpoints: ['10.0.0.1#0'],
    inputs: { config: { ...DEFAULT_MESH_CONFIG, enableAutoMtls: false } },
  },
  {
    what: 'names of who serves what is called in plain text',
    yaml: istio(
      'ServiceEntry',
      'e',
      '{hosts: [api.example.com], resolution: DNS, ports: [{number: 443}], subjectAltNames: [api.example.com]}',
    ),
    host: 'api.example.com',
    external: true,
    endpoints: ['api.example.com'],
    diagnostics: [/TRY0005 .*"subjectAltNames" has no effect on api\.example\.com/],
  },
];

for (const {
  what,
  yaml,
  host,
  tls = 'plain',
  identities = [],
  endpoints = [],
  external = false,
  diagnostics = [],
  inputs = {},
} of entryCases)
  test(`a ServiceEntry: ${what}`, () => {
    const mesh = build({ resources: resources(yaml), ...inputs });
    const service = mesh.services.get(host);
    assert.equal(service?.tls, tls);
    assert.deepEqual(service.identities, identities);
    assert.equal(service.external, external);
    assert.deepEqual(
      mesh.endpoints.get(host)?.map(({ id }) => id),
      endpoints,
    );
    assert.equal(mesh.diagnostics.length, diagnostics.length, messages(mesh).join('\n'));
    for (const [i, pattern] of diagnostics.entries()) assert.match(messages(mesh)[i] ?? '', pattern);
  });

test("an entry may not claim another namespace's host; the root namespace may", () => {
  const entry = (namespace: string): string =>
    istio('ServiceEntry', 'e', `{hosts: [pay.prod.mesh], ${INTERNAL}}`, namespace);
  const evil = build({ resources: resources(entry('evil')) });
  assert.equal(evil.services.size, 0);
  assert.deepEqual(messages(evil), [
    'r.yaml:2: warning TRY0302 ServiceEntry evil/e: the host pay.prod.mesh belongs to namespace prod. Set metadata.namespace to prod.',
  ]);
  assert.equal(build({ resources: resources(entry('istio-system')) }).services.get('pay.prod.mesh')?.namespace, 'prod');
});

test('the catalogue wins over a ServiceEntry, and believes what it says of TLS', () => {
  const set = resources(
    istio('ServiceEntry', 'e', `{hosts: [web], ${INTERNAL}, endpoints: [{address: 10.0.0.1, serviceAccount: web}]}`),
  );
  const mesh = build({ resources: set, catalogue: catalogue({ web: [instance('n/1')] }) });
  assert.equal(mesh.services.get('web.default.mesh')?.consulName, 'web');
  assert.equal(mesh.services.get('web.default.mesh')?.tls, 'required');
  assert.deepEqual(mesh.endpoints.get('web.default.mesh'), []);
  assert.match(
    messages(mesh).join('\n'),
    /TRY0302 ServiceEntry default\/e: the host web\.default\.mesh is that of a service in Consul/,
  );
});

test('of two entries with one host the older holds', () => {
  const set = resources(
    istio('ServiceEntry', 'a', `{hosts: [x.y], ${INTERNAL}}`) +
      istio('ServiceEntry', 'b', `{hosts: [x.y, z.y], ${INTERNAL}}`),
  );
  const mesh = build({ resources: set });
  assert.deepEqual([...mesh.services.keys()], ['x.y', 'z.y']);
  assert.match(
    messages(mesh).join('\n'),
    /TRY0302 ServiceEntry default\/b: the host x\.y is that of ServiceEntry default\/a already/,
  );
});

test('exportTo hides an entry from other namespaces', () => {
  const set = resources(istio('ServiceEntry', 'a', `{hosts: [x.y], ${INTERNAL}, exportTo: [., shop]}`));
  const visible = (clientNamespaces: readonly string[] | undefined): number =>
    build({ resources: set, ...(clientNamespaces && { clientNamespaces }) }).services.size;
  assert.deepEqual([visible(undefined), visible(['default']), visible(['shop']), visible(['other'])], [1, 1, 1, 0]);
});

interface ReferenceCase {
  readonly what: string;
  readonly yaml: string;
  readonly diagnostics: readonly string[];
}

const KNOWN = { web: [instance('n/1')], gone: [] };
const dest = (destination: string): string =>
  istio('VirtualService', 'v', `{hosts: [web], http: [{route: [{destination: ${destination}}]}]}`);

const references: readonly ReferenceCase[] = [
  { what: 'a known service', yaml: dest('{host: web, port: {number: 9080}}'), diagnostics: [] },
  { what: 'a service that this host does not follow', yaml: dest('{host: elsewhere}'), diagnostics: [] },
  {
    what: 'a service that the catalogue does not have',
    yaml: dest('{host: gone}'),
    diagnostics: [
      'r.yaml:2: warning IST0101 VirtualService default/v spec.http[0].route[0].destination.host: nothing is known of gone.default.mesh; requests for it fail. Correct the name, or start the service.',
    ],
  },
  {
    what: 'a host outside of the mesh that no ServiceEntry describes',
    yaml: dest('{host: api.example.com}'),
    diagnostics: [
      'r.yaml:2: warning IST0101 VirtualService default/v spec.http[0].route[0].destination.host: nothing is known of api.example.com; requests for it fail. Correct the name, or start the service.',
    ],
  },
  {
    what: 'a port that the service does not have',
    yaml: dest('{host: web, port: {number: 80}}'),
    diagnostics: [
      'r.yaml:2: warning IST0101 VirtualService default/v spec.http[0].route[0].destination.port: web.default.mesh has no port 80; requests for it fail. Use one of: 9080.',
    ],
  },
  {
    what: 'a subset that no rule has',
    yaml: dest('{host: web, subset: v2}') + istio('DestinationRule', 'd', '{host: web, subsets: [{name: v1}]}'),
    diagnostics: [
      'r.yaml:2: warning IST0101 VirtualService default/v spec.http[0].route[0].destination.subset: no DestinationRule for web.default.mesh has a subset "v2"; requests for it fail. Add the subset to a DestinationRule with host web.default.mesh.',
    ],
  },
  {
    what: 'a subset that a rule has',
    yaml: dest('{host: web, subset: v1}') + istio('DestinationRule', 'd', '{host: web, subsets: [{name: v1}]}'),
    diagnostics: [],
  },
  {
    what: 'a host that another VirtualService has',
    yaml:
      istio('VirtualService', 'a', `{hosts: [web], ${route('web')}}`) +
      istio('VirtualService', 'b', `{hosts: [web.default.mesh], ${route('web')}}`),
    diagnostics: [
      'r.yaml:7: error IST0109 VirtualService default/b spec.hosts: web.default.mesh is routed by VirtualService default/a already, which is older and holds. Join the two, or remove the host from one of them.',
    ],
  },
  {
    what: 'a host that another VirtualService has for other namespaces',
    yaml:
      istio('VirtualService', 'a', `{hosts: [web], exportTo: [.], ${route('web')}}`) +
      istio('VirtualService', 'b', `{hosts: [web.default.mesh], exportTo: [.], ${route('web.default.mesh')}}`, 'shop'),
    diagnostics: [],
  },
];

for (const { what, yaml, diagnostics } of references)
  test(`a VirtualService that refers to ${what}`, () => {
    const mesh = build({ resources: resources(yaml), catalogue: catalogue(KNOWN) });
    assert.deepEqual(messages(mesh), diagnostics);
    assert.ok(mesh.virtualServices.length > 0, 'it is applied all the same');
  });

test('references are judged anew when the service comes or goes, without a new service map in between', () => {
  const set = resources(dest('{host: gone}'));
  const absent = build({ resources: set, catalogue: catalogue({ gone: [] }) });
  assert.equal(absent.diagnostics.length, 1);
  const present = build({ resources: set, catalogue: catalogue({ gone: [instance('n/1', { port: 80 })] }) }, absent);
  assert.deepEqual(present.diagnostics, []);
});
