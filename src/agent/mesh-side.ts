/**
 * The half of the agent that makes and serves configuration: certificates, resources, catalogue → xDS. Loaded while
 * Envoy starts, since it is the heavy half.
 */
import type { LastGoodBootstrap } from '../envoy/last-good-bootstrap.ts';
import type { ListeningPorts } from '../envoy/port-owner.ts';
import type { IdentityKeeper } from '../identity/identity-keeper.ts';
import type { Log } from '../lib/log.ts';
import { sleep } from '../lib/sleep.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Host } from '../model/host.ts';
import type { ResourceDirectory } from '../sources/resource-directory.ts';
import type { EarlySocket } from '../xds/early-socket.ts';
import { TYPE_URL } from '../xds/resource.ts';
import type { XdsServer } from '../xds/server.ts';
import { type Configuration, meshedServices, upstreamHosts } from './configuration.ts';
import type { ConsulSide } from './consul-side.ts';
import type { FleetSide } from './fleet-side.ts';
import { FreeListeners } from './free-listeners.ts';
import type { MeshLoop } from './mesh-loop.ts';
import { type MeshParts, meshParts } from './mesh-parts.ts';
import { isOpenWay, notOpenYet } from './open-way.ts';
import { ServedHost, servedAtStart } from './served-host.ts';
import type { AgentSettings } from './settings.ts';
import { neededIdentities } from './settings-host.ts';

/** For how long a start waits for Consul's answers and for certificates before Envoy gets what there is. */
const FIRST_ANSWERS_MS = 3000;
/** The same where the last good catalogue is on disk: a Consul that hangs must not hold up a start. */
const CONFIRMATION_MS = 1000;
/** How long the start waits for certificates that are files of this host. */
const CREDENTIALS_MS = 1000;
/** How long what is called anew waits for the fleet's rules of its namespace; whoever calls it waits as well. */
const NAMESPACES_MS = 1000;
const XDS_CLOSE_MS = 500;

export interface MeshSideOptions extends Configuration {
  /** Open already, so that Envoy need not come twice. */
  readonly xdsSocket: EarlySocket;
  readonly log: Log;
  /** Pids of the Envoys that run now: one, and those that it has replaced. */
  readonly envoyPids: () => readonly number[];
  /** Where all that Envoy has acknowledged is kept; undefined: nowhere. */
  readonly lastGoodBootstrap?: LastGoodBootstrap;
  /** What of settings peers may be told now; `reviewRegistrations` when that has changed. */
  readonly registrable: (settings: AgentSettings) => AgentSettings;
  /** Who listens where, but for that Envoy. */
  readonly ports: Promise<ListeningPorts>;
  /** Called when the mesh has changed, or the host, and when every way in to its services is open. */
  readonly onChange?: (change: 'mesh' | 'open') => void;
  /** How many listeners Envoy has accepted and not put in force yet; undefined: Envoy does not say. */
  readonly listenersWarming: () => Promise<number | undefined>;
}

export class MeshSide {
  readonly identity: IdentityKeeper;
  readonly loop: MeshLoop;
  readonly xds: XdsServer;
  readonly resources: ResourceDirectory;
  /** Undefined with `registry: files`. */
  readonly consul: ConsulSide | undefined;
  /** Undefined: this host takes no fleet configuration. */
  readonly fleet: FleetSide | undefined;
  readonly #options: MeshSideOptions;
  readonly #parts: MeshParts;
  readonly #served: ServedHost;
  readonly #listeners: FreeListeners;
  readonly #ended = new AbortController();

  private constructor(options: MeshSideOptions, parts: MeshParts, current: Host) {
    this.#options = options;
    this.#parts = parts;
    this.identity = parts.identity;
    this.loop = parts.loop;
    this.xds = parts.xds;
    this.resources = parts.resources;
    this.consul = parts.consul;
    this.fleet = parts.fleet;
    this.#served = new ServedHost({
      configuration: options,
      current,
      serve: (host) => {
        void this.identity.setIdentities(neededIdentities(host));
        this.#listeners.of(host);
      },
      register: (settings, keep) => this.consul?.registerAs(settings, keep),
      isOpen: async (workload, settings) =>
        isOpenWay(workload, settings, { served: this.loop.host, isSettled: async () => this.isSettled() }),
      registrar: () => this.consul?.registrar.status(),
      onOpen: () => options.onChange?.('open'),
      log: options.log,
    });
    this.#listeners = new FreeListeners({
      envoyPids: options.envoyPids,
      use: (host) => {
        if (host !== this.loop.host) this.loop.update({ host });
      },
    });
  }

  /** Starts it; resolves when xDS is open with a first configuration. */
  static async start(options: MeshSideOptions, signal: AbortSignal): Promise<MeshSide> {
    const current = await servedAtStart(options);
    const parts = await meshParts({
      configuration: options,
      serving: current,
      log: options.log,
      envoyPids: options.envoyPids,
      lastGoodBootstrap: options.lastGoodBootstrap,
      registrable: options.registrable,
      onMesh: () => options.onChange?.('mesh'),
    });
    const side = new MeshSide(options, parts, current);
    parts.fleet?.acknowledge({
      refused: () => parts.loop.refused,
      isSettled: async () => side.isSettled(),
    });
    try {
      await side.#begin(signal);
    } catch (error) {
      await side.stop();
      throw error;
    }
    return side;
  }

  /** Whether it serves what was kept on disk, since Consul has not answered so far. */
  get servesLastGood(): boolean {
    if (!this.#parts.isRestored) return false;
    const watching = this.consul?.watcher.status();
    // A host that calls nobody asks for nothing, and waits for no answer.
    return watching === undefined || (watching.services.length > 0 && watching.lastContactMs === undefined);
  }

  get diagnostics(): readonly Diagnostic[] {
    return [
      ...this.loop.diagnostics,
      ...this.#listeners.diagnostics,
      ...this.#parts.gatewayPorts.diagnostics,
      ...this.#served.opening.map(notOpenYet),
      ...this.identity.status().diagnostics,
      ...this.#parts.lastGood.diagnostics,
      ...this.#parts.credentials.diagnostics,
      ...(this.fleet?.diagnostics ?? []),
    ];
  }

  /** Whether Envoy has everything in force that it was sent. */
  async isSettled(): Promise<boolean> {
    const client = this.xds.status().clients.findLast(({ types }) => TYPE_URL.listener in types);
    // Accepted is not in force: a listener waits for its routes and certificates first.
    return !this.loop.isBehind && client?.upToDate === true && (await this.#options.listenersWarming()) === 0;
  }

  /** Registers this host's services: Envoy is ready for them. */
  register(): void {
    void this.#served.begin().then((isServed) => {
      if (isServed) this.consul?.register();
    });
  }

  /** Tells peers what they may be told by now. */
  reviewRegistrations(): void {
    this.consul?.review();
  }

  /**
   * Goes on with another configuration of the same host. Peers are served without a gap: what they use now stays open
   * until they have learnt of what replaces it.
   */
  async configure(next: Configuration): Promise<void> {
    await this.fleet?.configure(next, NAMESPACES_MS, this.#ended.signal);
    this.loop.update({ config: next.config, localServices: meshedServices(next) });
    this.#follow(next);
    this.#served.move(next);
  }

  /** Goes on with the same configuration and another host: services that are called by name come and go. */
  async callByName(host: Host): Promise<void> {
    const next = { ...this.#served.configuration, host };
    await this.fleet?.configure(next, NAMESPACES_MS, this.#ended.signal);
    this.#follow(next);
    this.#served.replace(host);
  }

  /** Whether Envoy has been told of a cluster of the service. */
  serves(serviceHost: string): boolean {
    const clusters = this.loop.served.get(TYPE_URL.cluster)?.keys() ?? [];
    return [...clusters].some((name) => name.split('~')[0]?.endsWith(`||${serviceHost}`) === true);
  }

  async stop(): Promise<void> {
    this.#ended.abort();
    await this.#served.stop();
    this.#listeners.stop();
    this.#parts.gatewayPorts.stop();
    this.consul?.close();
    this.loop.stop();
    await Promise.all([
      this.identity.stop(),
      this.#parts.credentials.stop(),
      this.resources.stop(),
      this.fleet?.stop(),
      this.xds.close(XDS_CLOSE_MS),
      this.#options.lastGoodBootstrap?.flush(),
      this.#parts.lastGood.flush(),
    ]);
  }

  async #begin(signal: AbortSignal): Promise<void> {
    const { xdsSocket, log } = this.#options;
    const { isRestored, useLocal, credentials } = this.#parts;
    const answersMs = isRestored ? CONFIRMATION_MS : FIRST_ANSWERS_MS;
    await Promise.all([
      this.identity.start().then(() => this.identity.whenReady(FIRST_ANSWERS_MS)),
      this.resources.start().then(async (local) => {
        await this.fleet?.follower.firstAnswers(answersMs, signal);
        useLocal(local);
        await this.consul?.firstAnswers(answersMs, signal);
      }),
    ]);
    if (this.consul !== undefined) this.loop.update({ catalogue: this.consul.watcher.state });
    this.#listeners.of(this.#served.current, await this.#options.ports);
    this.loop.start();
    // An Envoy that serves already must not be told that what it has does not exist.
    await Promise.race([credentials.settled(), sleep(CREDENTIALS_MS, signal)]);
    this.xds.serve(xdsSocket);
    log.info({ lastGood: this.servesLastGood }, 'xDS is open');
  }

  #follow(next: Configuration): void {
    this.consul?.useInterest({ ...next, upstreamHosts: upstreamHosts(next.host), gateways: next.host.gateways ?? [] });
  }
}
