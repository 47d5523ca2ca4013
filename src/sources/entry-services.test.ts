import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import type { Service } from '../model/service.ts';
import type { MeshInputs } from './build-mesh.ts';
import { build, catalogue, instance, istio, messages, record, resources } from './mesh-fixture.ts';
import { readResources } from './resource-reader.ts';

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
  // Where it is served says nothing of the service itself.
  assert.equal(second.services, first.services);
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
  /** Of the service. */
  readonly rest?: Partial<Service>;
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
    what: 'names that certificates of an external service bear',
    yaml: istio(
      'ServiceEntry',
      'e',
      '{hosts: [api.example.com], resolution: DNS, ports: [{number: 443}], subjectAltNames: [api.example.com]}',
    ),
    host: 'api.example.com',
    external: true,
    endpoints: ['api.example.com'],
    rest: { subjectAltNames: ['api.example.com'] },
  },
  {
    what: 'wherever the caller goes, at another port',
    yaml: istio(
      'ServiceEntry',
      'e',
      "{hosts: ['*.example.com'], addresses: [10.0.0.0/8], ports: [{number: 80, targetPort: 8080}], exportTo: [., shop]}",
    ),
    host: '*.example.com',
    external: true,
    rest: {
      resolution: 'ORIGINAL_DST',
      addresses: ['10.0.0.0/8'],
      ports: [{ number: 80, name: 'port-80', protocol: 'AUTO', targetPort: 8080 }],
      exportTo: ['default', 'shop'],
    },
  },
  {
    what: 'names that are resolved as they are called',
    yaml: istio(
      'ServiceEntry',
      'e',
      "{hosts: ['*.example.com'], resolution: DYNAMIC_DNS, location: MESH_INTERNAL, ports: [{number: 443, protocol: tls}]}",
    ),
    host: '*.example.com',
    rest: { resolution: 'DYNAMIC_DNS' },
  },
  {
    what: 'the default of exportTo',
    yaml: istio('ServiceEntry', 'e', `{hosts: [db.example.com], ${INTERNAL}}`),
    host: 'db.example.com',
    inputs: { config: { ...DEFAULT_MESH_CONFIG, defaultServiceExportTo: ['.'] } },
    rest: { exportTo: ['default'] },
  },
  {
    what: 'a Unix socket',
    yaml: istio(
      'ServiceEntry',
      'e',
      `{hosts: [db.example.com], ${INTERNAL}, endpoints: [{address: 'unix:///run/db'}]}`,
    ),
    host: 'db.example.com',
    endpoints: ['unix:///run/db#0'],
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
  rest = {},
} of entryCases)
  test(`a ServiceEntry: ${what}`, () => {
    const mesh = build({ resources: resources(yaml), ...inputs });
    const service = mesh.services.get(host);
    assert.equal(service?.tls, tls);
    assert.deepEqual(service.identities, identities);
    assert.equal(service.external, external);
    assert.deepEqual({ ...service, ...rest }, service);
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

test('nor a wildcard that covers such a host', () => {
  const claims = (host: string, namespace: string): number =>
    build({ resources: resources(istio('ServiceEntry', 'e', `{hosts: ['${host}'], ${INTERNAL}}`, namespace)) }).services
      .size;
  assert.deepEqual([claims('*.prod.mesh', 'evil'), claims('*.prod.mesh', 'prod')], [0, 1]);
  assert.deepEqual([claims('*.mesh', 'prod'), claims('*.mesh', 'istio-system')], [0, 1]);
  assert.deepEqual([claims('*.service.consul', 'default'), claims('*.example.com', 'evil')], [0, 1]);
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

test('a host that two namespaces have for themselves is each one’s own', () => {
  const entry = (namespace: string, address: string, exportTo: string): string =>
    `apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: { name: api, namespace: ${namespace} }\nspec: { hosts: [x.y], resolution: STATIC, ports: [{ number: 80 }], endpoints: [{ address: ${address} }], exportTo: ['${exportTo}'] }\n`;
  const seen = (texts: readonly string[], inputs: { seenFrom?: string; clientNamespaces?: readonly string[] }) => {
    const mesh = build({ resources: resources(texts.join('---\n')), ...inputs });
    return [mesh.endpoints.get('x.y')?.[0]?.address, ...mesh.diagnostics.map(({ message }) => message)];
  };
  const own = [entry('a', '10.0.0.1', '.'), entry('b', '10.0.0.2', '.')];
  assert.deepEqual(seen(own, { seenFrom: 'a' }), ['10.0.0.1']);
  assert.deepEqual(seen(own, { seenFrom: 'b' }), ['10.0.0.2']);
  assert.deepEqual(seen(own, { clientNamespaces: ['b'] }), ['10.0.0.2']);
  // Of what all see, too, the own one goes first; who else there is has the older one.
  const all = [entry('a', '10.0.0.1', '*'), entry('b', '10.0.0.2', '*')];
  const said = (other: string, rest: string): string =>
    `the host x.y is that of ServiceEntry ${other}/api already, ${rest}`;
  assert.deepEqual(seen(all, { seenFrom: 'b' }), ['10.0.0.2', said('b', 'which comes first in namespace b')]);
  assert.deepEqual(seen(all, { seenFrom: 'c' }), ['10.0.0.1', said('a', 'which is older')]);
  assert.deepEqual(seen(all, { clientNamespaces: ['b', 'c'] }), ['10.0.0.1', said('a', 'which is older')]);
  assert.deepEqual(seen(all, {}), ['10.0.0.1', said('a', 'which is older')]);
});
