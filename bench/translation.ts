/**
 * What an agent computes, without network and Envoy: a mesh of a thousand services, all of them upstreams of one host, read,
 * built and translated; then one rule and one endpoint change, again and again.
 */
import type { Host } from '../src/model/host.ts';
import type { Mesh } from '../src/model/mesh.ts';
import { DEFAULT_MESH_CONFIG } from '../src/model/mesh-config.ts';
import { workloadSpiffeId } from '../src/model/spiffe-id.ts';
import { buildMesh, type MeshInputs } from '../src/sources/build-mesh.ts';
import type { CatalogueInstance, CatalogueState } from '../src/sources/catalogue-state.ts';
import { type ReadingState, type ResourceFile, readResources } from '../src/sources/resource-reader.ts';
import { Translator } from '../src/translate/translator.ts';
import type { Report } from './main.ts';

const SERVICES = 1000;
const ENDPOINTS = 20;
const CHANGES = 50;

const nameOf = (i: number): string => `s${i}`;

function virtualService(i: number, percent: number): string {
  const host = nameOf(i);
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${host}, namespace: default}
spec:
  hosts: [${host}]
  http:
  - match: [{uri: {prefix: /api/}, headers: {end-user: {exact: jason}}}]
    route: [{destination: {host: ${host}, subset: v2}}]
    timeout: 2s
    retries: {attempts: 3, perTryTimeout: 500ms, retryOn: "5xx,connect-failure"}
  - match: [{uri: {exact: /health}}, {method: {exact: OPTIONS}}]
    route: [{destination: {host: ${host}, subset: v1}}]
  - route:
    - {destination: {host: ${host}, subset: v1}, weight: ${100 - percent}}
    - {destination: {host: ${host}, subset: v2}, weight: ${percent}}
`;
}

function destinationRule(i: number): string {
  const host = nameOf(i);
  return `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${host}, namespace: default}
spec:
  host: ${host}
  trafficPolicy:
    connectionPool: {tcp: {maxConnections: 100}, http: {http1MaxPendingRequests: 50}}
    outlierDetection: {consecutive5xxErrors: 5, interval: 10s, baseEjectionTime: 30s}
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}
`;
}

function ruleFile(i: number, percent: number): ResourceFile {
  return { file: `${nameOf(i)}.yaml`, text: `${virtualService(i, percent)}---\n${destinationRule(i)}` };
}

function instances(i: number, weight: number): readonly CatalogueInstance[] {
  return Array.from({ length: ENDPOINTS }, (_, n) => ({
    id: `n${n}/${nameOf(i)}`,
    node: `n${n}`,
    address: `10.${Math.floor(i / 250)}.${i % 250}.${n + 1}`,
    port: 9080,
    status: 'passing',
    tags: [],
    meta: { version: n % 2 === 0 ? 'v1' : 'v2', 'trysail-tls': 'mtls' },
    weights: { passing: n === 0 ? weight : 1, warning: 1 },
    datacenter: 'dc1',
  }));
}

function catalogueOf(services: ReadonlyMap<string, readonly CatalogueInstance[]>): CatalogueState {
  return { services, diagnostics: [] };
}

function callingHost(): Host {
  const identity = workloadSpiffeId({ trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'web' });
  return {
    nodeId: 'bench',
    nodeCluster: 'bench',
    locality: { region: 'eu', zone: 'a', subzone: '' },
    workloads: [],
    upstreams: Array.from({ length: SERVICES }, (_, i) => ({
      serviceHost: `${nameOf(i)}.default.mesh`,
      servicePort: undefined,
      listen: { address: '127.0.0.1', port: 20_000 + i },
    })),
    callerIdentity: identity,
    healthListener: { address: '127.0.0.1', port: 15_021 },
  };
}

function timed<T>(run: () => T): { readonly value: T; readonly ms: number } {
  const begun = performance.now();
  const value = run();
  return { value, ms: performance.now() - begun };
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

function heapMb(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

/** Reads, builds and translates as the agent does, and keeps what it keeps. */
class Pipeline {
  readonly #translator = new Translator();
  readonly #host = callingHost();
  #reading: ReadingState | undefined;
  #mesh: Mesh | undefined;
  readonly files: ResourceFile[];
  readonly services: Map<string, readonly CatalogueInstance[]>;

  constructor() {
    this.files = Array.from({ length: SERVICES }, (_, i) => ruleFile(i, 10));
    this.services = new Map(Array.from({ length: SERVICES }, (_, i) => [nameOf(i), instances(i, 1)]));
  }

  read(): void {
    this.#reading = readResources(this.#reading, this.files);
  }

  build(): void {
    const inputs: MeshInputs = {
      config: DEFAULT_MESH_CONFIG,
      resources: this.#reading?.set ?? readResources(undefined, []).set,
      catalogue: catalogueOf(new Map(this.services)),
      localServices: [],
    };
    this.#mesh = buildMesh(this.#mesh, inputs);
    const wrong = this.#mesh.diagnostics.filter(({ severity }) => severity === 'error');
    if (wrong.length > 0) throw new Error(`the mesh of the benchmark is faulty: ${JSON.stringify(wrong[0])}`);
  }

  translate(): number {
    if (this.#mesh === undefined) throw new Error('nothing is built');
    let resources = 0;
    for (const byName of this.#translator.translate(this.#mesh, this.#host).values()) resources += byName.size;
    return resources;
  }

  /** Forgets what the last translation made. */
  anew(): number {
    if (this.#mesh === undefined) throw new Error('nothing is built');
    const mesh = this.#mesh;
    return timed(() => new Translator().translate(mesh, this.#host)).ms;
  }
}

export async function run(report: Report): Promise<void> {
  const before = heapMb();
  const pipeline = new Pipeline();
  const size = `services${SERVICES}.endpoints${SERVICES * ENDPOINTS}`;
  report(`translation.${size}.read`, timed(() => pipeline.read()).ms, 'ms');
  report(`translation.${size}.buildMesh`, timed(() => pipeline.build()).ms, 'ms');
  const first = timed(() => pipeline.translate());
  report(`translation.${size}.resources`, first.value, '');
  report(`translation.${size}.translate`, first.ms, 'ms');
  report(`translation.${size}.heap`, heapMb() - before, 'MB');
  report(`translation.${size}.rss`, process.memoryUsage.rss() / 2 ** 20, 'MB');
  report(`translation.${size}.translateAgain`, pipeline.anew(), 'ms');

  const steps = { rule: [], endpoint: [] } as Record<'rule' | 'endpoint', { build: number; translate: number }[]>;
  const reads: number[] = [];
  for (let i = 0; i < CHANGES; i++) {
    const at = (i * 37) % SERVICES;
    pipeline.files[at] = ruleFile(at, 11 + i);
    reads.push(timed(() => pipeline.read()).ms);
    steps.rule.push({
      build: timed(() => pipeline.build()).ms,
      translate: timed(() => pipeline.translate()).ms,
    });
    pipeline.services.set(nameOf(at), [
      ...instances(at, 2 + i).slice(0, 1),
      ...(pipeline.services.get(nameOf(at)) ?? []).slice(1),
    ]);
    steps.endpoint.push({
      build: timed(() => pipeline.build()).ms,
      translate: timed(() => pipeline.translate()).ms,
    });
  }
  report('translation.virtualService.read.p50', quantile(reads, 0.5), 'ms');
  for (const [kind, name] of [
    ['rule', 'virtualService'],
    ['endpoint', 'endpoint'],
  ] as const)
    for (const [share, quantileName] of [
      [0.5, 'p50'],
      [0.9, 'p90'],
    ] as const) {
      report(
        `translation.${name}.buildMesh.${quantileName}`,
        quantile(
          steps[kind].map(({ build }) => build),
          share,
        ),
        'ms',
      );
      report(
        `translation.${name}.translate.${quantileName}`,
        quantile(
          steps[kind].map(({ translate }) => translate),
          share,
        ),
        'ms',
      );
    }
}
