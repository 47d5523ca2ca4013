/**
 * The half of the agent that makes and serves configuration: certificates, resources, catalogue → xDS. Loaded while
 * Envoy starts, since it is the heavy half.
 */
import { join } from 'node:path';
import type { LastGoodBootstrap } from '../envoy/last-good-bootstrap.ts';
import { ListeningPorts } from '../envoy/port-owner.ts';
import { IdentityKeeper } from '../identity/identity-keeper.ts';
import { errorMessage } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { sleep } from '../lib/sleep.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Caller, Host, Workload } from '../model/host.ts';
import { ResourceDirectory } from '../sources/resource-directory.ts';
import type { ResourceSet } from '../sources/resource-set.ts';
import type { EarlySocket } from '../xds/early-socket.ts';
import { TYPE_URL } from '../xds/resource.ts';
import type { XdsServer } from '../xds/server.ts';
import { createProvider } from './certificate-source.ts';
import { type Configuration, meshedServices, upstreamHosts } from './configuration.ts';
import { ConsulSide } from './consul-side.ts';
import { CredentialFiles } from './credential-files.ts';
import type { FleetSide, FleetSideOptions } from './fleet-side.ts';
import { FreeListeners } from './free-listeners.ts';
import { GatewayPorts } from './gateway-ports.ts';
import { Handover } from './handover.ts';
import { servedWorkloads, withFormerCallers, withWorkloads } from './inbound-ways.ts';
import { LastGood } from './last-good.ts';
import { MeshLoop } from './mesh-loop.ts';
import { meshXds } from './mesh-xds.ts';
import { isOpenWay, notOpenYet } from './open-way.ts';
import { Secrets } from './secrets.ts';
import { keepServed, readServed } from './served-before.ts';
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
/** How long the rules of the kernel may take to follow. */
const RULES_MS = 5000;
/** How long a start leaves the registrations of an earlier agent alone while Envoy opens what is new. */
const FIRST_OPENING_MS = 10_000;

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

/** Not even loaded where a host takes no fleet configuration. */
async function startFleet(options: FleetSideOptions): Promise<FleetSide> {
  const { FleetSide: Side } = await import('./fleet-side.ts');
  return Side.start(options);
}

export class MeshSide {
  readonly identity: IdentityKeeper;
  readonly loop: MeshLoop;
  readonly xds: XdsServer;
  readonly resources: ResourceDirectory;
  readonly #credentials: CredentialFiles;
  /** Undefined with `registry: files`. */
  readonly consul: ConsulSide | undefined;
  /** Undefined: this host takes no fleet configuration. */
  readonly fleet: FleetSide | undefined;
  readonly #options: MeshSideOptions;
  readonly #lastGood: LastGood;
  readonly #handover: Handover;
  #configuration: Configuration;
  /** The host with the ways in that are to be open now. */
  #serving: Host;
  #begun = false;
  /** Callers of before, whose captured calls may still arrive. */
  #formerCallers: readonly Caller[] = [];
  #forgetting: NodeJS.Timeout | undefined;
  readonly #ended = new AbortController();
  /** Resolves when all services are where they are to be reached from now on. */
  readonly #opened = Promise.withResolvers<void>();
  #keeping: Promise<void> = Promise.resolve();
  #restored = false;
  readonly #listeners: FreeListeners;
  readonly #gatewayPorts: GatewayPorts;

  private constructor(
    options: MeshSideOptions,
    parts: Pick<MeshSide, 'identity' | 'loop' | 'xds' | 'resources' | 'consul' | 'fleet'> & {
      readonly lastGood: LastGood;
      readonly credentials: CredentialFiles;
      readonly gatewayPorts: GatewayPorts;
      readonly serving: Host;
    },
  ) {
    this.#options = options;
    this.#configuration = options;
    this.#serving = parts.serving;
    this.#handover = new Handover(options.settings, parts.serving.workloads, {
      serve: (workloads) => this.#serve(workloads),
      register: (settings, keep) => this.consul?.registerAs(settings, keep),
      isOpen: async (workload, settings) =>
        isOpenWay(workload, settings, { served: this.loop.host, isSettled: async () => this.isSettled() }),
      registrar: () => this.consul?.registrar.status(),
      onOpen: () => {
        this.#opened.resolve();
        this.#forgetCallers();
        options.onChange?.('open');
      },
      log: options.log,
    });
    this.identity = parts.identity;
    this.loop = parts.loop;
    this.xds = parts.xds;
    this.resources = parts.resources;
    this.consul = parts.consul;
    this.fleet = parts.fleet;
    this.#lastGood = parts.lastGood;
    this.#credentials = parts.credentials;
    this.#gatewayPorts = parts.gatewayPorts;
    this.#listeners = new FreeListeners({
      envoyPids: options.envoyPids,
      use: (host) => {
        if (host !== this.loop.host) this.loop.update({ host });
      },
    });
  }

  /** Starts it; resolves when xDS is open with a first configuration. */
  static async start(options: MeshSideOptions, signal: AbortSignal): Promise<MeshSide> {
    const { settings, config, host, log } = options;
    const usesConsul = settings.registry === 'consul';
    const lastGood = new LastGood(settings.paths.state, log);
    const [provider, restored, before] = await Promise.all([
      createProvider(settings, config, log),
      usesConsul ? lastGood.read() : undefined,
      readServed(settings.paths.run),
    ]);
    const serving = withWorkloads(host, servedWorkloads(before ?? [], host.workloads, new Set()));
    const secrets = new Secrets();
    const { lastGoodBootstrap } = options;
    const { xds, serve } = meshXds({ loop: () => loop, lastGoodBootstrap, log });
    const gatewayPorts = new GatewayPorts({ envoyPids: options.envoyPids, onDue: () => loop.update({}) });
    const loop: MeshLoop = new MeshLoop({
      config,
      host: serving,
      usesConsul,
      localServices: meshedServices(options),
      seenMeshed: restored?.meshedHosts ?? new Set(),
      serve,
      usable: (mesh, wanted) => gatewayPorts.of(mesh, wanted),
      onFiles: (names) => credentials.follow(names),
      onMesh: (_mesh, meshedHosts) => {
        const catalogue = consul?.watcher.state;
        if (catalogue !== undefined) lastGood.keep({ catalogue, meshedHosts });
        options.onChange?.('mesh');
      },
    });
    const consul = usesConsul
      ? new ConsulSide({
          settings,
          config,
          log,
          upstreamHosts: upstreamHosts(host),
          gateways: host.gateways ?? [],
          registrable: options.registrable,
          onCatalogue: (catalogue) => loop.update({ catalogue }),
        })
      : undefined;
    const credentials = new CredentialFiles({
      folder: settings.paths.credentials,
      log: log.child({ room: 'credentials' }),
      onChange: (read) => loop.update({ credentials: read }),
    });
    const useResources = (resources: ResourceSet): void => {
      loop.update({ resources });
      consul?.useResources(resources);
    };
    const resources = new ResourceDirectory({
      dir: settings.mesh.resourcesDir,
      lastGoodFile: join(settings.paths.state, 'resources.json'),
      log: log.child({ room: 'resources' }),
      onChange: (local) => useResources(fleet?.useLocal(local) ?? local),
    });
    const fleetSettings = usesConsul ? settings.mesh.fleet : undefined;
    const fleet =
      fleetSettings === undefined
        ? undefined
        : await startFleet({
            configuration: options,
            fleet: fleetSettings,
            log: log.child({ room: 'fleet' }),
            onChange: useResources,
          });
    const identity = new IdentityKeeper({
      provider,
      identities: neededIdentities(serving),
      stateDir: settings.paths.state,
      persist: settings.identity.persist,
      log: log.child({ room: 'identity' }),
      onChange: (material) => {
        secrets.replace(material);
        loop.update({ secrets: secrets.resources });
      },
    });
    const side = new MeshSide(options, {
      identity,
      loop,
      xds,
      resources,
      consul,
      fleet,
      lastGood,
      serving,
      credentials,
      gatewayPorts,
    });
    if (restored?.catalogue !== undefined && consul !== undefined) {
      consul.watcher.restore(restored.catalogue);
      loop.update({ catalogue: consul.watcher.state });
      side.#restored = true;
    }
    fleet?.acknowledge({
      refused: () => loop.refused,
      isSettled: async () => side.isSettled(),
    });
    try {
      await side.#begin(useResources, signal);
    } catch (error) {
      await side.stop();
      throw error;
    }
    return side;
  }

  /** Whether it serves what was kept on disk, since Consul has not answered so far. */
  get servesLastGood(): boolean {
    if (!this.#restored) return false;
    const watching = this.consul?.watcher.status();
    // A host that calls nobody asks for nothing, and waits for no answer.
    return watching === undefined || (watching.services.length > 0 && watching.lastContactMs === undefined);
  }

  get diagnostics(): readonly Diagnostic[] {
    return [
      ...this.loop.diagnostics,
      ...this.#listeners.diagnostics,
      ...this.#gatewayPorts.diagnostics,
      ...this.#handover.opening.map(notOpenYet),
      ...this.identity.status().diagnostics,
      ...this.#lastGood.diagnostics,
      ...this.#credentials.diagnostics,
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
    const { settings, host } = this.#configuration;
    this.#handover.move(settings, host.workloads);
    if (this.#handover.opening.length === 0) this.consul?.register();
    // An earlier agent's registrations stay until what is to replace them is open, but not for ever.
    else
      void Promise.race([this.#opened.promise, sleep(FIRST_OPENING_MS, this.#ended.signal)]).then(() => {
        if (!this.#ended.signal.aborted) this.consul?.register();
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
    this.#configuration = next;
    clearTimeout(this.#forgetting);
    this.#formerCallers = this.#serving.callers ?? [];
    this.loop.update({ config: next.config, localServices: meshedServices(next) });
    this.consul?.useInterest({ ...next, upstreamHosts: upstreamHosts(next.host), gateways: next.host.gateways ?? [] });
    this.#handover.move(next.settings, next.host.workloads);
  }

  /** Goes on with the same configuration and another host: services that are called by name come and go. */
  async callByName(host: Host): Promise<void> {
    const next = { ...this.#configuration, host };
    await this.fleet?.configure(next, NAMESPACES_MS, this.#ended.signal);
    this.#configuration = next;
    this.consul?.useInterest({
      ...this.#configuration,
      upstreamHosts: upstreamHosts(host),
      gateways: host.gateways ?? [],
    });
    this.#serve(this.#handover.served);
  }

  /** Whether Envoy has been told of a cluster of the service. */
  serves(serviceHost: string): boolean {
    const clusters = this.loop.served.get(TYPE_URL.cluster)?.keys() ?? [];
    return [...clusters].some((name) => name.split('~')[0]?.endsWith(`||${serviceHost}`) === true);
  }

  async stop(): Promise<void> {
    this.#ended.abort();
    clearTimeout(this.#forgetting);
    await this.#handover.stop();
    await this.#keeping;
    this.#listeners.stop();
    this.#gatewayPorts.stop();
    this.consul?.close();
    this.loop.stop();
    await Promise.all([
      this.identity.stop(),
      this.#credentials.stop(),
      this.resources.stop(),
      this.fleet?.stop(),
      this.xds.close(XDS_CLOSE_MS),
      this.#options.lastGoodBootstrap?.flush(),
      this.#lastGood.flush(),
    ]);
  }

  async #begin(useResources: (resources: ResourceSet) => void, signal: AbortSignal): Promise<void> {
    const { xdsSocket, log } = this.#options;
    await Promise.all([
      this.identity.start().then(() => this.identity.whenReady(FIRST_ANSWERS_MS)),
      this.resources.start().then(async (local) => {
        await this.fleet?.follower.firstAnswers(this.#restored ? CONFIRMATION_MS : FIRST_ANSWERS_MS, signal);
        useResources(this.fleet?.useLocal(local) ?? local);
        await this.consul?.firstAnswers(this.#restored ? CONFIRMATION_MS : FIRST_ANSWERS_MS, signal);
      }),
    ]);
    if (this.consul !== undefined) this.loop.update({ catalogue: this.consul.watcher.state });
    this.#listeners.of(this.#serving, await this.#options.ports);
    this.#begun = true;
    this.loop.start();
    // An Envoy that serves already must not be told that what it has does not exist.
    await Promise.race([this.#credentials.settled(), sleep(CREDENTIALS_MS, signal)]);
    this.xds.serve(xdsSocket);
    log.info({ lastGood: this.servesLastGood }, 'xDS is open');
  }

  #serve(workloads: readonly Workload[]): void {
    this.#serving = withFormerCallers(withWorkloads(this.#configuration.host, workloads), this.#formerCallers);
    if (!this.#begun) return;
    this.#keepServed(workloads);
    void this.identity.setIdentities(neededIdentities(this.#serving));
    this.#listeners.of(this.#serving);
  }

  /** The rules of the kernel follow the settings when everything is open; the ports of before are nobody's soon after. */
  #forgetCallers(): void {
    if (this.#formerCallers.length === 0) return;
    clearTimeout(this.#forgetting);
    this.#forgetting = setTimeout(() => {
      this.#formerCallers = [];
      this.#serve(this.#handover.served);
    }, this.#configuration.settings.envoy.lingerTimeMs + RULES_MS).unref();
  }

  #keepServed(workloads: readonly Workload[]): void {
    const { settings, log } = this.#options;
    this.#keeping = this.#keeping
      .then(async () => keepServed(settings.paths.run, workloads))
      .catch((error: unknown) => log.warn({ error: errorMessage(error) }, 'the open ways in cannot be written down'));
  }
}
