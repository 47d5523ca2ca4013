import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Mesh } from '../model/mesh.ts';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { meshedHosts } from './build-mesh.ts';
import { build, catalogue, instance, istio, MTLS, messages, record, resources, route } from './mesh-fixture.ts';
import { readResources } from './resource-reader.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

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

test('where mutual TLS is turned off callers do without, and what was known holds again afterwards', () => {
  const off = (selector = ''): ReturnType<typeof resources> =>
    resources(
      istio('PeerAuthentication', 'p', `{${selector}mtls: {mode: DISABLE}}`).replace('networking.', 'security.'),
    );
  const tlsOf = (mesh: Mesh): string | undefined => mesh.services.get('web.default.mesh')?.tls;
  const web = catalogue({ web: [instance('n/1', { meta: MTLS })] });
  const meshed = build({ catalogue: web });
  const selected = build({ catalogue: web, resources: off('selector: {matchLabels: {a: b}}, ') }, meshed);
  assert.equal(tlsOf(selected), 'required');
  const without = build({ catalogue: web, resources: off() }, selected);
  assert.equal(tlsOf(without), 'plain');
  assert.deepEqual([...meshedHosts(without)], ['web.default.mesh']);
  const again = build({ catalogue: web, resources: { ...off() } }, without);
  assert.equal(again.services, without.services);
  const rogue = catalogue({ web: [instance('n/rogue', { address: '10.6.6.6', port: 666 })] });
  const after = build({ catalogue: rogue }, again);
  assert.equal(tlsOf(after), 'required');
  assert.deepEqual(after.endpoints.get('web.default.mesh'), []);
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
