/** What one changed resource makes anew where a host has a Sidecar, captured calls beyond names or the role of a gateway. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Host } from '../../src/model/host.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { type ReadingState, readResources } from '../../src/sources/resource-reader.ts';
import { Translator } from '../../src/translate/translator.ts';
import type { Resources } from '../../src/xds/resource.ts';
import { host, spiffe, upstream } from './mesh-literals.ts';

const SERVICES = 30;
const NETWORKING = 'apiVersion: networking.istio.io/v1\n';

const services = Array.from(
  { length: SERVICES },
  (_, i) => `${NETWORKING}kind: ServiceEntry
metadata: {name: s${i}}
spec:
  hosts: [s${i}.example.com]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 10.0.${i}.1, labels: {v: v1}}]
`,
).join('---\n');

const destinationRule = (i: number, simple: string): string => `${NETWORKING}kind: DestinationRule
metadata: {name: s${i}}
spec: {host: s${i}.example.com, trafficPolicy: {loadBalancer: {simple: ${simple}}}}
`;

const virtualService = (i: number, timeout: string, gateways = 'mesh'): string => `${NETWORKING}kind: VirtualService
metadata: {name: s${i}}
spec:
  hosts: [s${i}.example.com]
  gateways: [${gateways}]
  http: [{timeout: ${timeout}, route: [{destination: {host: s${i}.example.com}}]}]
`;

const rulesOf = (gateways?: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Array.from({ length: SERVICES }, (_, i) => [
      [`v${i}`, virtualService(i, '1s', gateways)],
      [`d${i}`, destinationRule(i, 'RANDOM')],
    ]).flat(),
  );

const sidecar = (hosts: string): string => `${NETWORKING}kind: Sidecar
metadata: {name: all}
spec: {egress: [{hosts: [${hosts}]}]}
`;

const gateway = (port: number): string => `${NETWORKING}kind: Gateway
metadata: {name: public}
spec:
  selector: {app: gateway}
  servers:
  - {port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*.example.com"]}
  - {port: {number: ${port}, name: more, protocol: HTTP}, hosts: ["s1.example.com"]}
`;

const UPSTREAMS = Array.from({ length: SERVICES }, (_, i) => ({
  ...upstream('', 9000 + i),
  serviceHost: `s${i}.example.com`,
}));

/** Reads, builds and translates file by file; `step` returns the resources that are others than before, or no more. */
class Steps {
  readonly #translator = new Translator();
  readonly #host: Host;
  readonly #files: Map<string, string>;
  #reading: ReadingState | undefined;
  #mesh: Mesh | undefined;
  #last: Resources = new Map();

  constructor(self: Host, files: Readonly<Record<string, string>>) {
    this.#host = self;
    this.#files = new Map([['services', services], ...Object.entries(files)]);
    this.step();
  }

  step(changes: Readonly<Record<string, string>> = {}): readonly string[] {
    for (const [file, text] of Object.entries(changes)) this.#files.set(file, text);
    this.#reading = readResources(
      this.#reading,
      [...this.#files].map(([file, text]) => ({ file: `${file}.yaml`, text })),
    );
    this.#mesh = buildMesh(this.#mesh, {
      config: DEFAULT_MESH_CONFIG,
      resources: this.#reading.set,
      catalogue: undefined,
      localServices: [],
    });
    const before = this.#last;
    this.#last = this.#translator.translate(this.#mesh, this.#host);
    return [...this.#last].flatMap(([type, byName]) => {
      const old = before.get(type);
      const kind = type.slice(type.lastIndexOf('.') + 1);
      return [
        ...[...byName].flatMap(([name, resource]) => (old?.get(name) === resource ? [] : [`${kind} ${name}`])),
        ...[...(old?.keys() ?? [])].flatMap((name) => (byName.has(name) ? [] : [`no ${kind} ${name}`])),
      ];
    });
  }

  /** How many units of each kind one step makes anew. */
  count(changes: Readonly<Record<string, string>>): Readonly<Record<string, number>> {
    const before = this.#translator.recomputed;
    this.step(changes);
    const after = Object.entries(this.#translator.recomputed);
    return Object.fromEntries(
      after.flatMap(([kind, n]) => {
        const more = n - before[kind as keyof typeof before];
        return more === 0 ? [] : [[kind, more]];
      }),
    );
  }
}

const CAPTURED = host({ callers: [{ identity: spiffe('web'), namespace: 'default', capturePort: 15001 }] });
const GATEWAY_HOST = host({
  gateways: [
    {
      namespace: 'default',
      name: 'public',
      serviceHost: 'public.default.mesh',
      labels: { app: 'gateway' },
      identity: spiffe('gateway'),
      address: '0.0.0.0',
    },
  ],
});

test('with a Sidecar: a rule makes anew what is its service’s', () => {
  const steps = new Steps(host({ upstreams: UPSTREAMS }), { ...rulesOf(), sidecar: sidecar('"./*"') });
  assert.deepEqual(steps.count({ v3: virtualService(3, '2s') }), { routeConfigs: 1 });
  assert.deepEqual(steps.step({ d3: destinationRule(3, 'ROUND_ROBIN') }), ['Cluster outbound|80||s3.example.com']);
  assert.deepEqual(steps.step({ v3: virtualService(3, '3s') }), ['RouteConfiguration s3.example.com:80']);
});

test('a Sidecar that imports one service less changes that one alone', () => {
  const all = Array.from({ length: SERVICES }, (_, i) => `"./s${i}.example.com"`);
  const steps = new Steps(host({ upstreams: UPSTREAMS }), { ...rulesOf(), sidecar: sidecar(all.join(', ')) });
  const changed = steps.step({ sidecar: sidecar(all.filter((name) => !name.includes('/s3.')).join(', ')) });
  assert.ok(changed.length > 0);
  assert.deepEqual(
    changed.filter((name) => !name.includes('s3.example.com') && !name.includes('9003')),
    [],
  );
});

test('captured calls: a rule makes anew the routes of its port, and no listener', () => {
  const steps = new Steps(CAPTURED, rulesOf());
  assert.deepEqual(steps.count({ v3: virtualService(3, '2s') }), { routeConfigs: 1 });
  assert.deepEqual(steps.step({ d3: destinationRule(3, 'ROUND_ROBIN') }), ['Cluster outbound|80||s3.example.com']);
  assert.deepEqual(steps.step({ v3: virtualService(3, '3s') }), ['RouteConfiguration 80']);
});

test('captured calls: an endpoint makes anew one load assignment', () => {
  const steps = new Steps(CAPTURED, rulesOf());
  const moved = services.replace('address: 10.0.3.1', 'address: 10.0.3.2');
  assert.deepEqual(steps.step({ services: moved }), ['ClusterLoadAssignment outbound|80||s3.example.com']);
});

test('a gateway: a rule makes anew the routes that have it, another server only its own', () => {
  const steps = new Steps(GATEWAY_HOST, { ...rulesOf('public'), gateway: gateway(8081) });
  assert.deepEqual(steps.step({ v3: virtualService(3, '2s', 'public') }), ['RouteConfiguration http.8080']);
  assert.deepEqual(steps.step({ d3: destinationRule(3, 'ROUND_ROBIN') }), ['Cluster outbound|80||s3.example.com']);
  assert.deepEqual(steps.step({ gateway: gateway(8082) }), [
    'Listener 0.0.0.0_8082',
    'no Listener 0.0.0.0_8081',
    'RouteConfiguration http.8082',
    'no RouteConfiguration http.8081',
  ]);
});
