/** What a change costs: exactly the units that it concerns are built again, all else is the same object. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DestinationRule } from '../../src/model/destination-rule.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import type { VirtualService } from '../../src/model/virtual-service.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import type { CatalogueInstance } from '../../src/sources/catalogue-state.ts';
import { EMPTY_RESOURCES } from '../../src/sources/resource-set.ts';
import { type Recomputed, Translator } from '../../src/translate/translator.ts';
import type { Resources } from '../../src/xds/resource.ts';
import { endpoint, host, mesh, SERVICE_PORT, service, upstream, workload } from './mesh-literals.ts';

const SERVICES = 100;
const ENDPOINTS = 100;

function meta(kind: string, name: string) {
  return { kind, namespace: 'default', name, labels: {}, source: { file: 'x.yaml', line: 1 }, age: 0 };
}

function rule(name: string, versions: readonly string[] = ['v0', 'v1', 'v2']): DestinationRule {
  const subsets = versions.map((version) => ({
    name: version,
    labels: { version },
    trafficPolicy: undefined,
  }));
  return {
    meta: meta('DestinationRule', name),
    host: `${name}.default.mesh`,
    trafficPolicy: undefined,
    subsets,
    exportTo: [],
  };
}

function route(name: string, weights: Readonly<Record<string, number>>): VirtualService {
  const target = `${name}.default.mesh`;
  const destinations = Object.entries(weights).map(([subset, weight]) => ({
    host: target,
    subset,
    port: undefined,
    weight,
  }));
  const only = { name: undefined, match: [], destinations, timeoutMs: undefined, retries: undefined };
  return { meta: meta('VirtualService', name), hosts: [target], http: [only], exportTo: [] };
}

function fleet(): Mesh {
  const services = Array.from({ length: SERVICES }, (_, i) => {
    const endpoints = Array.from({ length: ENDPOINTS }, (__, j) =>
      endpoint(`10.0.${i}.${j}`, SERVICE_PORT, { labels: { version: `v${j % 3}` } }),
    );
    return [service(`s${i}`, 'HTTP'), endpoints] as const;
  });
  return mesh(services, {
    destinationRules: [rule('s0')],
    virtualServices: [route('s0', { v0: 50, v1: 50 })],
  });
}

const HOST = host({
  upstreams: Array.from({ length: SERVICES }, (_, i) => upstream(`s${i}`, 20_000 + i)),
  workloads: [workload('web', 'HTTP', 9080, 8080)],
});

function withEndpoint(before: Mesh, name: string, index: number, change: Partial<ReturnType<typeof endpoint>>): Mesh {
  const key = `${name}.default.mesh`;
  const all = before.endpoints.get(key) ?? [];
  const endpoints = all.with(index, { ...all[index]!, ...change });
  return { ...before, endpoints: new Map(before.endpoints).set(key, endpoints) };
}

function since(translator: Translator, before: Recomputed): Recomputed {
  const now = translator.recomputed;
  return {
    secrets: now.secrets - before.secrets,
    clusters: now.clusters - before.clusters,
    loadAssignments: now.loadAssignments - before.loadAssignments,
    listeners: now.listeners - before.listeners,
    routeConfigs: now.routeConfigs - before.routeConfigs,
  };
}

/** Names of resources that are not the same object. */
function changed(before: Resources, after: Resources): readonly string[] {
  return [...after].flatMap(([type, byName]) =>
    [...byName]
      .filter(([name, resource]) => before.get(type)?.get(name) !== resource)
      .map(([name]) => `${type.slice(type.lastIndexOf('.') + 1)} ${name}`),
  );
}

const NOTHING: Recomputed = { secrets: 0, clusters: 0, loadAssignments: 0, listeners: 0, routeConfigs: 0 };

function start(): {
  readonly translator: Translator;
  readonly first: Mesh;
  readonly before: Resources;
  readonly counted: Recomputed;
} {
  const translator = new Translator();
  const first = fleet();
  const before = translator.translate(first, HOST);
  return { translator, first, before, counted: translator.recomputed };
}

test('nothing changed: nothing is built, the result is the same object', () => {
  const { translator, first, before, counted } = start();
  assert.equal(translator.translate({ ...first }, HOST), before);
  assert.deepEqual(since(translator, counted), NOTHING);
});

test('an endpoint changes: one load assignment', () => {
  const { translator, first, before, counted } = start();
  const after = translator.translate(withEndpoint(first, 's7', 3, { health: 'UNHEALTHY' }), HOST);
  assert.deepEqual(since(translator, counted), { ...NOTHING, loadAssignments: 1 });
  assert.deepEqual(changed(before, after), ['ClusterLoadAssignment outbound|9080||s7.default.mesh']);
});

test('an endpoint of one subset changes: the service and that subset', () => {
  const { translator, first, before, counted } = start();
  const after = translator.translate(withEndpoint(first, 's0', 1, { weight: 5 }), HOST);
  assert.deepEqual(since(translator, counted), { ...NOTHING, loadAssignments: 2 });
  assert.deepEqual(changed(before, after), [
    'ClusterLoadAssignment outbound|9080|v1|s0.default.mesh',
    'ClusterLoadAssignment outbound|9080||s0.default.mesh',
  ]);
});

test('a VirtualService changes: one route configuration', () => {
  const { translator, first, before, counted } = start();
  const after = translator.translate({ ...first, virtualServices: [route('s0', { v0: 90, v1: 10 })] }, HOST);
  assert.deepEqual(since(translator, counted), { ...NOTHING, routeConfigs: 1 });
  assert.deepEqual(changed(before, after), ['RouteConfiguration s0.default.mesh:9080']);
});

test('a VirtualService leads to another subset: its cluster is there already', () => {
  const { translator, first, before } = start();
  const wider = translator.translate({ ...first, virtualServices: [route('s0', { v0: 50, v2: 50 })] }, HOST);
  assert.deepEqual(changed(before, wider), ['RouteConfiguration s0.default.mesh:9080']);
});

test('a DestinationRule has another subset: its cluster comes, and goes again', () => {
  const { translator, first, before } = start();
  const wider = translator.translate({ ...first, destinationRules: [rule('s0', ['v0', 'v1', 'v2', 'v3'])] }, HOST);
  assert.deepEqual(changed(before, wider), [
    'Cluster outbound|9080|v3|s0.default.mesh',
    'ClusterLoadAssignment outbound|9080|v3|s0.default.mesh',
  ]);
  const again = translator.translate(first, HOST);
  assert.deepEqual(
    [...again].map(([type, byName]) => [type, [...byName.keys()]]),
    [...before].map(([type, byName]) => [type, [...byName.keys()]]),
  );
});

test('objects that are new and say the same change nothing', () => {
  const { translator, first, before } = start();
  const copy = structuredClone({ ...first, diagnostics: [] });
  assert.equal(translator.translate(copy, structuredClone(HOST)), before);
});

test('two translators give the same bytes', () => {
  const { before } = start();
  const other = new Translator().translate(structuredClone(fleet()), HOST);
  for (const [type, byName] of before)
    for (const [name, resource] of byName) assert.deepEqual(other.get(type)?.get(name)?.value, resource.value, name);
});

test('a unit that cannot be encoded keeps its last good version and takes nothing with it', () => {
  const { translator, first, before } = start();
  const broken = { ...route('s0', { v0: 50, v1: 50 }) };
  const [only] = broken.http;
  const http = [{ ...only!, timeoutMs: Number.NaN }];
  const changedToo = withEndpoint(first, 's7', 3, { health: 'UNHEALTHY' });
  const after = translator.translate({ ...changedToo, virtualServices: [{ ...broken, http }] }, HOST);
  assert.deepEqual(changed(before, after), ['ClusterLoadAssignment outbound|9080||s7.default.mesh']);
  assert.deepEqual(
    translator.failures.map(({ code, object }) => [code, object]),
    [['TRY0405', 'routes s0.default.mesh:9080']],
  );
  translator.translate(first, HOST);
  assert.deepEqual(translator.failures, []);
});

test('from the catalogue on: an instance that turns critical costs one load assignment', () => {
  const instances = (service: string): readonly CatalogueInstance[] =>
    Array.from({ length: 10 }, (_, i) => ({
      id: `node${i}/${service}`,
      node: `node${i}`,
      address: `10.1.0.${i}`,
      port: SERVICE_PORT,
      status: 'passing' as const,
      tags: [],
      meta: { 'trysail-tls': 'mtls', 'trysail-protocol': 'HTTP' },
      weights: { passing: 1, warning: 1 },
      datacenter: 'dc1',
    }));
  const catalogue = { services: new Map(['s0', 's1', 's2'].map((name) => [name, instances(name)])), diagnostics: [] };
  const inputs = { config: DEFAULT_MESH_CONFIG, resources: EMPTY_RESOURCES, localServices: [] };
  const first = buildMesh(undefined, { ...inputs, catalogue });
  const self = host({ upstreams: ['s0', 's1', 's2'].map((name, i) => upstream(name, 20_000 + i)) });
  const translator = new Translator();
  const before = translator.translate(first, self);
  const counted = translator.recomputed;
  const all = instances('s1');
  const kept = catalogue.services.get('s1') ?? [];
  const services = new Map(catalogue.services).set('s1', kept.with(3, { ...all[3]!, status: 'critical' }));
  const after = translator.translate(buildMesh(first, { ...inputs, catalogue: { ...catalogue, services } }), self);
  assert.deepEqual(changed(before, after), ['ClusterLoadAssignment outbound|9080||s1.default.mesh']);
  assert.deepEqual(since(translator, counted), { ...NOTHING, loadAssignments: 1 });
});
