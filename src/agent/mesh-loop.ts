/**
 * From inputs to Envoy: whenever resources, catalogue, certificates or the host change, makes the next `Mesh`, translates
 * it, and hands the result to the xDS server. Changes of one turn of the event loop make one round.
 */
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Host } from '../model/host.ts';
import type { ServiceName } from '../model/host-names.ts';
import type { Mesh } from '../model/mesh.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { buildMesh, meshedHosts } from '../sources/build-mesh.ts';
import type { CatalogueState } from '../sources/catalogue-state.ts';
import { EMPTY_RESOURCES, type ResourceSet } from '../sources/resource-set.ts';
import { diagnose } from '../translate/diagnose.ts';
import { Translator } from '../translate/translator.ts';
import { type Resource, type Resources, TYPE_URL } from '../xds/resource.ts';
import { Quarantine, type Rejection } from './quarantine.ts';
import { SettledFleet } from './settled-fleet.ts';

export interface MeshInputs {
  readonly config: MeshConfig;
  readonly host: Host;
  /** Services of this host that take mutual TLS. */
  readonly localServices: readonly ServiceName[];
  readonly resources: ResourceSet;
  /** Undefined: `registry: files`. */
  readonly catalogue: CatalogueState | undefined;
  readonly secrets: ReadonlyMap<string, Resource>;
  /** What the files hold that translation names, by the name of the secret. */
  readonly credentials: ReadonlyMap<string, Resource>;
}

export interface MeshLoopOptions {
  readonly config: MeshConfig;
  readonly host: Host;
  readonly usesConsul: boolean;
  readonly localServices: readonly ServiceName[];
  /** From the last run. */
  readonly seenMeshed: ReadonlySet<string>;
  /** Serves these resources from now on. */
  readonly serve: (resources: Resources) => void;
  /** What of the host can be served in a mesh, the same object while nothing is another; absent: all of it. */
  readonly usable?: (mesh: Mesh, host: Host) => Host;
  /** Called in each round with the names of secrets that are files of this host; absent: Envoy reads them itself. */
  readonly onFiles?: (names: Iterable<string>) => void;
  /** Called after each round that changed the mesh. */
  readonly onMesh: (mesh: Mesh, seenMeshed: ReadonlySet<string>) => void;
}

export class MeshLoop {
  readonly #options: MeshLoopOptions;
  readonly #translator = new Translator();
  readonly #quarantine = new Quarantine();
  readonly #fleet = new SettledFleet(() => this.update({}));
  #inputs: MeshInputs;
  #seenMeshed: ReadonlySet<string>;
  #mesh: Mesh | undefined;
  #usable: Host | undefined;
  #translated: Resources = new Map();
  #joined:
    | {
        readonly translated: Resources;
        readonly secrets: ReadonlyMap<string, Resource>;
        readonly credentials: ReadonlyMap<string, Resource>;
        readonly all: Resources;
      }
    | undefined;
  #served: Resources | undefined;
  #round: NodeJS.Immediate | undefined;
  #started = false;

  constructor(options: MeshLoopOptions) {
    this.#options = options;
    this.#seenMeshed = options.seenMeshed;
    this.#inputs = {
      config: options.config,
      localServices: options.localServices,
      host: options.host,
      resources: EMPTY_RESOURCES,
      catalogue: options.usesConsul ? { services: new Map(), diagnostics: [] } : undefined,
      secrets: new Map(),
      credentials: new Map(),
    };
  }

  get mesh(): Mesh | undefined {
    return this.#mesh;
  }

  get host(): Host {
    return this.#inputs.host;
  }

  /** `host` as far as it can be served: without the ports of gateways that others have. */
  get usableHost(): Host {
    return this.#usable ?? this.#inputs.host;
  }

  /** Whether something has changed that is not served yet. */
  get isBehind(): boolean {
    return this.#round !== undefined;
  }

  /** What is served now, by type and name. */
  get served(): Resources {
    return this.#served ?? new Map();
  }

  /** What is wrong with the sources, what translation could not do with them, and what Envoy refused. */
  get diagnostics(): readonly Diagnostic[] {
    const mesh = this.#mesh;
    if (mesh === undefined) return [];
    return [...mesh.diagnostics, ...diagnose(mesh, this.#inputs.host), ...this.refused];
  }

  /** What translation could not make, and what Envoy refused. */
  get refused(): readonly Diagnostic[] {
    return [...this.#translator.failures, ...this.#quarantine.diagnostics];
  }

  /** Takes what has changed; until `start` nothing comes of it. */
  update(changed: Partial<MeshInputs>): void {
    this.#inputs = { ...this.#inputs, ...changed };
    if (this.#started) this.#round ??= setImmediate(() => this.#run());
  }

  /** Makes the first round, at once. */
  start(): void {
    this.#started = true;
    this.#run();
  }

  stop(): void {
    this.#started = false;
    this.#fleet.stop();
    if (this.#round !== undefined) clearImmediate(this.#round);
    this.#round = undefined;
  }

  accept(typeUrl: Rejection['typeUrl']): void {
    this.#quarantine.accept(typeUrl);
  }

  refuse(rejection: Rejection): void {
    if (this.#quarantine.refuse(rejection)) this.#serve();
  }

  #run(): void {
    this.#round = undefined;
    const { onMesh } = this.#options;
    const { config, host, localServices, resources, catalogue, secrets, credentials } = this.#inputs;
    const before = this.#mesh;
    const mesh = buildMesh(before, {
      config,
      resources,
      catalogue,
      localServices,
      seenMeshed: this.#seenMeshed,
      clientNamespaces: clientNamespaces(host),
    });
    this.#mesh = mesh;
    this.#usable = this.#options.usable?.(mesh, host) ?? host;
    const translated = this.#translator.translate(mesh, this.#fleet.settle(mesh, this.#usable));
    this.#translated = this.#withSecrets(translated, secrets, credentials);
    this.#serve();
    this.#seenMeshed = meshedHosts(mesh, this.#seenMeshed);
    if (mesh !== before) onMesh(mesh, this.#seenMeshed);
  }

  /** Certificate files that translation names, and the certificates of this host; the same object for the same parts. */
  #withSecrets(
    translated: Resources,
    secrets: ReadonlyMap<string, Resource>,
    credentials: ReadonlyMap<string, Resource>,
  ): Resources {
    const last = this.#joined;
    if (last?.translated === translated && last.secrets === secrets && last.credentials === credentials)
      return last.all;
    const { onFiles } = this.#options;
    const files = [...(translated.get(TYPE_URL.secret) ?? [])];
    onFiles?.(files.map(([name]) => name));
    // Without anybody who reads them, Envoy does; otherwise it gets those that are known to be good.
    const read = onFiles === undefined ? files : files.flatMap(([name]) => knownSecret(credentials, name));
    const all = new Map([
      ...translated,
      [TYPE_URL.secret, read.length === 0 ? secrets : new Map([...read, ...secrets])],
    ]);
    this.#joined = { translated, secrets, credentials, all };
    return all;
  }

  #serve(): void {
    const resources = this.#quarantine.apply(this.#translated);
    if (resources === this.#served) return;
    this.#served = resources;
    this.#options.serve(resources);
  }
}

function knownSecret(secrets: ReadonlyMap<string, Resource>, name: string): readonly (readonly [string, Resource])[] {
  const secret = secrets.get(name);
  return secret === undefined ? [] : [[name, secret]];
}

/** The namespaces from which this host calls. */
function clientNamespaces({ workloads, callers = [], gateways = [] }: Host): readonly string[] {
  return [...new Set([...workloads, ...callers, ...gateways].map(({ namespace }) => namespace))];
}
