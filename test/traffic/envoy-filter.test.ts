/** EnvoyFilter on a real Envoy: what a patch says is what clients see; a faulty one takes nothing else with it. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import { resourceJson } from '../../src/envoy-api/resource-json.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { parseResources } from '../../src/sources/resource-reader.ts';
import { Translator } from '../../src/translate/translator.ts';
import { TYPE_URL, type TypeUrl } from '../../src/xds/resource.ts';
import { freePorts } from '../support/ports.ts';
import { call, httpApplication } from '../translate/applications.ts';
import { startEnvoy } from '../translate/envoy.ts';
import { host as hostLiteral, spiffe } from '../translate/mesh-literals.ts';

const HCM = { filter: { name: 'envoy.filters.network.http_connection_manager' } };
const ROUTER = { filter: { ...HCM.filter, subFilter: { name: 'envoy.filters.http.router' } } };

interface FilterSpec {
  readonly workloadSelector?: unknown;
  readonly priority?: number;
  readonly configPatches: readonly unknown[];
}

function meshOf(filters: Readonly<Record<string, FilterSpec>>, application: number, namespaces = ['default']): Mesh {
  const entry = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: 'reviews' },
    spec: {
      hosts: ['reviews.default.mesh'],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports: [{ number: 9080, name: 'http', protocol: 'HTTP' }],
      endpoints: [{ address: '127.0.0.1', ports: { http: application } }],
    },
  };
  const all = Object.entries(filters).map(([name, spec]) => ({
    apiVersion: 'networking.istio.io/v1alpha3',
    kind: 'EnvoyFilter',
    metadata: { name },
    spec,
  }));
  const text = [entry, ...all].map((one) => stringify(one)).join('---\n');
  const resources = parseResources([{ file: 'in.yaml', text }]);
  assert.deepEqual(resources.diagnostics, []);
  const config = { ...DEFAULT_MESH_CONFIG, envoyFilterNamespaces: namespaces };
  return buildMesh(undefined, { config, resources, catalogue: undefined, localServices: [] });
}

function hostOf(port: number): ReturnType<typeof hostLiteral> {
  const workload = {
    namespace: 'default',
    service: 'web',
    serviceHost: 'web.default.mesh',
    identity: spiffe('web'),
    labels: { app: 'web' },
    inbound: undefined,
  };
  const upstreams = [
    { serviceHost: 'reviews.default.mesh', servicePort: undefined, listen: { address: '127.0.0.1', port } },
  ];
  return hostLiteral({ upstreams, callerIdentity: undefined, workloads: [workload] });
}

function lua(header: string): object {
  return {
    operation: 'INSERT_BEFORE',
    value: {
      name: `lua-${header}`,
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua',
        default_source_code: {
          inline_string: `function envoy_on_response(handle) handle:headers():add("${header}", "yes") end`,
        },
      },
    },
  };
}

const ON_ROUTER = { context: 'SIDECAR_OUTBOUND', listener: { portNumber: 9080, filterChain: ROUTER } };

async function start(
  t: TestContext,
  filters: Readonly<Record<string, FilterSpec>>,
  namespaces?: string[],
): Promise<{ readonly port: number; readonly spare: number; readonly codes: readonly string[] }> {
  const [application = 0, port = 0, spare = 0] = await freePorts(3);
  await httpApplication(t, application, 'app');
  const mesh = meshOf(filters, application, namespaces);
  const translator = new Translator();
  translator.translate(mesh, hostOf(port));
  await startEnvoy(t, mesh, hostOf(port), []);
  return { port, spare, codes: translator.failures.map(({ code }) => code) };
}

test('a filter that Trysail has no message for is put before the router, and works', async (t) => {
  const { port, codes } = await start(t, {
    lua: { configPatches: [{ applyTo: 'HTTP_FILTER', match: ON_ROUTER, patch: lua('x-lua') }] },
  });
  assert.deepEqual(codes, []);
  const answer = await call(port);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['x-lua'], 'yes');
});

test('a namespace that the mesh does not allow has no filters', async (t) => {
  const { port, codes } = await start(
    t,
    { lua: { configPatches: [{ applyTo: 'HTTP_FILTER', match: ON_ROUTER, patch: lua('x-lua') }] } },
    ['istio-system'],
  );
  assert.deepEqual(codes, ['TRY0410']);
  const answer = await call(port);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['x-lua'], undefined);
});

test('a faulty filter is left out whole, the others hold; a selector of other labels selects nothing', async (t) => {
  const { port, codes } = await start(t, {
    faulty: {
      configPatches: [
        { applyTo: 'HTTP_FILTER', match: ON_ROUTER, patch: lua('x-of-faulty') },
        { applyTo: 'CLUSTER', match: {}, patch: { operation: 'MERGE', value: { conect_timeout: '1s' } } },
      ],
    },
    other: {
      workloadSelector: { labels: { app: 'batch' } },
      configPatches: [{ applyTo: 'HTTP_FILTER', match: ON_ROUTER, patch: lua('x-of-batch') }],
    },
    own: {
      workloadSelector: { labels: { app: 'web' } },
      configPatches: [{ applyTo: 'HTTP_FILTER', match: ON_ROUTER, patch: lua('x-of-web') }],
    },
  });
  assert.deepEqual(codes, ['TRY0409']);
  const { status, headers } = await call(port);
  assert.equal(status, 200);
  assert.deepEqual(
    ['x-of-faulty', 'x-of-batch', 'x-of-web'].map((name) => headers[name]),
    [undefined, undefined, 'yes'],
  );
});

test('routes, virtual hosts, listeners of its own', async (t) => {
  const [spare = 0] = await freePorts(1);
  const { port } = await start(t, {
    routes: {
      configPatches: [
        {
          applyTo: 'HTTP_ROUTE',
          match: { routeConfiguration: { portNumber: 9080 } },
          patch: {
            operation: 'INSERT_FIRST',
            value: { match: { path: '/patched' }, direct_response: { status: 418 } },
          },
        },
        {
          applyTo: 'VIRTUAL_HOST',
          match: { routeConfiguration: { vhost: { name: 'reviews.default.mesh:9080' } } },
          patch: {
            operation: 'MERGE',
            value: { response_headers_to_add: [{ header: { key: 'x-patched', value: 'host' } }] },
          },
        },
        {
          applyTo: 'LISTENER',
          patch: {
            operation: 'ADD',
            value: {
              name: 'extra',
              address: { socket_address: { address: '127.0.0.1', port_value: spare } },
              filter_chains: [
                {
                  filters: [
                    {
                      name: 'envoy.filters.network.direct_response',
                      typed_config: {
                        '@type': 'type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config',
                        response: { inline_string: 'HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n' },
                      },
                    },
                  ],
                },
              ],
            },
          },
        },
      ],
    },
  });
  const patched = await call(port, { path: '/patched' });
  assert.equal(patched.status, 418);
  assert.equal(patched.headers['x-patched'], 'host');
  assert.equal((await call(port)).status, 200);
  assert.equal((await call(spare)).status, 202);
});

function json(mesh: Mesh, type: TypeUrl, name: string): unknown {
  const made = new Translator().translate(mesh, hostOf(9001)).get(type)?.get(name);
  return made === undefined ? undefined : resourceJson(type, made.value);
}

function clusterPatch(operation: string, value: unknown, cluster: unknown = { service: 'reviews' }): unknown {
  return { applyTo: 'CLUSTER', match: { cluster }, patch: { operation, value } };
}

const CLUSTER = 'outbound|9080||reviews.default.mesh';

test('MERGE appends to lists, MERGE_AND_REPLACE_LIST replaces them; both overwrite scalars', () => {
  const value = { connect_timeout: '3s', circuit_breakers: { thresholds: [{ priority: 'HIGH', max_connections: 7 }] } };
  const of = (operation: string): { connect_timeout: string; circuit_breakers: { thresholds: object[] } } =>
    json(meshOf({ one: { configPatches: [clusterPatch(operation, value)] } }, 1), TYPE_URL.cluster, CLUSTER) as never;
  assert.equal(of('MERGE').connect_timeout, '3s');
  assert.equal(of('MERGE').circuit_breakers.thresholds.length, 2);
  assert.deepEqual(of('MERGE_AND_REPLACE_LIST').circuit_breakers.thresholds, [
    { priority: 'HIGH', max_connections: 7 },
  ]);
});

test('a configuration of the same type merges inside of a filter; what the patch does not say stays', () => {
  const value = {
    name: HCM.filter.name,
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
      max_request_headers_kb: 33,
    },
  };
  const listener = { filterChain: { filter: HCM.filter } };
  const patch = { applyTo: 'NETWORK_FILTER', match: { listener }, patch: { operation: 'MERGE', value } };
  const made = JSON.stringify(
    json(meshOf({ one: { configPatches: [patch] } }, 1), TYPE_URL.listener, '127.0.0.1_9001'),
  );
  assert.match(made, /"max_request_headers_kb":33/);
  assert.match(made, /"stat_prefix":"outbound_127\.0\.0\.1_9001;"/);
  assert.match(made, /"envoy\.filters\.http\.router"/);
});

test('lower priority goes first, so that the higher one has the last word', () => {
  const patches = (connect: string): readonly unknown[] => [clusterPatch('MERGE', { connect_timeout: connect })];
  const mesh = meshOf(
    { a: { priority: 5, configPatches: patches('5s') }, b: { priority: -5, configPatches: patches('4s') } },
    1,
  );
  assert.equal((json(mesh, TYPE_URL.cluster, CLUSTER) as { connect_timeout: string }).connect_timeout, '5s');
});

test('REMOVE takes away, ADD adds; a patch for another cluster changes nothing', () => {
  const added = { name: 'own', connect_timeout: '1s', type: 'STATIC' };
  const mesh = meshOf(
    { one: { configPatches: [clusterPatch('REMOVE', undefined), clusterPatch('ADD', added, undefined)] } },
    1,
  );
  assert.equal(json(mesh, TYPE_URL.cluster, CLUSTER), undefined);
  assert.deepEqual(json(mesh, TYPE_URL.cluster, 'own'), added);
  const other = meshOf({ one: { configPatches: [clusterPatch('REMOVE', undefined, { service: 'ratings' })] } }, 1);
  assert.notEqual(json(other, TYPE_URL.cluster, CLUSTER), undefined);
});

test('an unchanged mesh and a changed endpoint leave patched resources the same objects', () => {
  const patches = [clusterPatch('MERGE', { connect_timeout: '3s' })];
  const mesh = meshOf({ one: { configPatches: patches } }, 1);
  const translator = new Translator();
  const host = hostOf(9001);
  const first = translator.translate(mesh, host);
  assert.equal(translator.translate(mesh, host), first);
  const [reviews = 'reviews.default.mesh'] = mesh.services.keys();
  const fewer = { ...mesh, endpoints: new Map([[reviews, []]]) };
  const second = translator.translate(fewer, host);
  assert.equal(second.get(TYPE_URL.cluster), first.get(TYPE_URL.cluster));
  assert.notEqual(second.get(TYPE_URL.endpoint), first.get(TYPE_URL.endpoint));
});
