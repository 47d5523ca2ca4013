/**
 * What an agent computes, without network and Envoy: a mesh of a thousand services, as several kinds of hosts meet it,
 * read, built and translated; then one rule, one endpoint, one ServiceEntry and one service's record change, again and
 * again.
 */
import type { Mesh } from '../src/model/mesh.ts';
import { DEFAULT_MESH_CONFIG } from '../src/model/mesh-config.ts';
import { buildMesh, type MeshInputs } from '../src/sources/build-mesh.ts';
import type { CatalogueInstance, CatalogueState } from '../src/sources/catalogue-state.ts';
import { type ReadingState, type ResourceFile, readResources } from '../src/sources/resource-reader.ts';
import { Translator } from '../src/translate/translator.ts';
import type { Report } from './main.ts';
import {
  type BenchMesh,
  ENDPOINTS,
  entryFile,
  instances,
  MESHES,
  nameOf,
  recordFile,
  SERVICES,
} from './translation-meshes.ts';

const CHANGES = 50;

/** What changes, each alone. */
const STEPS = ['virtualService', 'endpoint', 'serviceEntry', 'record'] as const;

function catalogueOf(services: ReadonlyMap<string, readonly CatalogueInstance[]>): CatalogueState {
  return { services, diagnostics: [] };
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
  readonly #of: BenchMesh;
  #reading: ReadingState | undefined;
  #mesh: Mesh | undefined;
  readonly #files: ResourceFile[];
  /** A ServiceEntry by its address, and a record of a service by its port. */
  #entry = entryFile('10.9.0.1');
  #record = recordFile(9000);
  readonly #services: Map<string, readonly CatalogueInstance[]>;

  constructor(of: BenchMesh) {
    this.#of = of;
    this.#files = Array.from({ length: SERVICES }, (_, i) => this.#file(i, 10));
    this.#services = new Map(Array.from({ length: SERVICES }, (_, i) => [nameOf(i), instances(i, 1)]));
  }

  #file(i: number, percent: number): ResourceFile {
    return { file: `${nameOf(i)}.yaml`, text: this.#of.rules(i, percent) };
  }

  changeRule(i: number, percent: number): void {
    this.#files[i] = this.#file(i, percent);
  }

  changeEntry(address: string): void {
    this.#entry = entryFile(address);
  }

  changeRecord(port: number): void {
    this.#record = recordFile(port);
  }

  changeEndpoint(i: number, weight: number): void {
    const others = (this.#services.get(nameOf(i)) ?? []).slice(1);
    this.#services.set(nameOf(i), [...instances(i, weight).slice(0, 1), ...others]);
  }

  read(): void {
    this.#reading = readResources(this.#reading, [
      ...this.#files,
      this.#entry,
      this.#record,
      ...(this.#of.common ?? []),
    ]);
  }

  build(): void {
    const inputs: MeshInputs = {
      config: DEFAULT_MESH_CONFIG,
      resources: this.#reading?.set ?? readResources(undefined, []).set,
      catalogue: catalogueOf(new Map(this.#services)),
      localServices: [],
    };
    this.#mesh = buildMesh(this.#mesh, inputs);
    const wrong = this.#mesh.diagnostics.filter(({ severity }) => severity === 'error');
    if (wrong.length > 0) throw new Error(`the mesh of the benchmark is faulty: ${JSON.stringify(wrong[0])}`);
  }

  translate(): number {
    if (this.#mesh === undefined) throw new Error('nothing is built');
    let resources = 0;
    for (const byName of this.#translator.translate(this.#mesh, this.#of.host).values()) resources += byName.size;
    return resources;
  }

  /** Forgets what the last translation made. */
  anew(): number {
    if (this.#mesh === undefined) throw new Error('nothing is built');
    const mesh = this.#mesh;
    return timed(() => new Translator().translate(mesh, this.#of.host)).ms;
  }
}

function runMesh(of: BenchMesh, report: Report): void {
  const figure = (name: string): string => `translation.${of.name === '' ? '' : `${of.name}.`}${name}`;
  const before = heapMb();
  const pipeline = new Pipeline(of);
  const size = `services${SERVICES}.endpoints${SERVICES * ENDPOINTS}`;
  report(figure(`${size}.read`), timed(() => pipeline.read()).ms, 'ms');
  report(figure(`${size}.buildMesh`), timed(() => pipeline.build()).ms, 'ms');
  const first = timed(() => pipeline.translate());
  report(figure(`${size}.resources`), first.value, '');
  report(figure(`${size}.translate`), first.ms, 'ms');
  report(figure(`${size}.heap`), heapMb() - before, 'MB');
  if (of.name === '') report(figure(`${size}.rss`), process.memoryUsage.rss() / 2 ** 20, 'MB');
  report(figure(`${size}.translateAgain`), pipeline.anew(), 'ms');

  const steps = new Map(STEPS.map((step) => [step, { build: [] as number[], translate: [] as number[] }]));
  const measure = (step: (typeof STEPS)[number]): void => {
    steps.get(step)?.build.push(timed(() => pipeline.build()).ms);
    steps.get(step)?.translate.push(timed(() => pipeline.translate()).ms);
  };
  const reads: number[] = [];
  const read = (): number => timed(() => pipeline.read()).ms;
  for (let i = 0; i < CHANGES; i++) {
    const at = (i * 37) % SERVICES;
    pipeline.changeRule(at, 11 + i);
    reads.push(read());
    measure('virtualService');
    pipeline.changeEndpoint(at, 2 + i);
    measure('endpoint');
    pipeline.changeEntry(`10.9.1.${i}`);
    read();
    measure('serviceEntry');
    pipeline.changeRecord(9001 + i);
    read();
    measure('record');
  }
  report(figure('virtualService.read.p50'), quantile(reads, 0.5), 'ms');
  for (const [name, { build, translate }] of steps)
    for (const [share, quantileName] of [
      [0.5, 'p50'],
      [0.9, 'p90'],
    ] as const) {
      report(figure(`${name}.buildMesh.${quantileName}`), quantile(build, share), 'ms');
      report(figure(`${name}.translate.${quantileName}`), quantile(translate, share), 'ms');
    }
}

export async function run(report: Report): Promise<void> {
  for (const of of MESHES) runMesh(of, report);
}
