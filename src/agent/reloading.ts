/** A reload of the running agent: files are read, and what they change takes effect in an order that traffic survives. */
import { isDeepStrictEqual } from 'node:util';
import { errorMessage } from '../lib/errors.ts';
import type { RootLog } from '../lib/log.ts';
import { Slots } from '../lib/slots.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Notifier } from '../platform/vm/notify.ts';
import type { Allocations } from './allocations.ts';
import type { CalledService } from './called-services.ts';
import { keepDrainSettings } from './drain-record.ts';
import type { EnvoySide } from './envoy-side.ts';
import { keepHostResources } from './host-resources.ts';
import type { HostSide } from './host-side.ts';
import { keepSettingsText } from './kept-settings.ts';
import type { MeshSide } from './mesh-side.ts';
import { type Running, reloaded } from './reload.ts';
import type { AgentSettings } from './settings.ts';
import type { LoadedSettings } from './settings-load.ts';
import { type HostResources, settingsOfResources } from './settings-of-resources.ts';
import type { AgentParts } from './status-report.ts';

const NOTHING_SAID: HostResources = { workloadGroups: [], proxyConfigs: [] };
/** How long a reload waits for Consul before the health listener moves. */
const HEALTH_MOVE_MS = 3000;

export interface ReloadingOptions {
  /** agent.yaml alone, without what resources add. */
  readonly written: AgentSettings;
  readonly parts: AgentParts;
  /** Reads the settings again, as they were read for the start. */
  readonly reread: () => Promise<LoadedSettings>;
  readonly allocations: Allocations;
  readonly envoy: EnvoySide;
  readonly host: HostSide;
  readonly notifier: Notifier;
  readonly log: RootLog;
}

/** What `trysail drain` and `trysail bypass` will need, should agent.yaml be faulty by then. Never rejects. */
export async function keepInForce(settings: AgentSettings, log: Pick<RootLog, 'warn'>): Promise<void> {
  const { file, paths } = settings;
  await keepDrainSettings(paths.state, settings).catch((error: unknown) =>
    log.warn({ error: errorMessage(error) }, 'what "trysail drain" needs cannot be saved: it will read agent.yaml'),
  );
  if (file === undefined) return;
  await keepSettingsText(paths.state, file).catch((error: unknown) =>
    log.warn({ error: errorMessage(error) }, 'agent.yaml cannot be kept: "trysail bypass" needs it without faults'),
  );
}

export class Reloading {
  readonly #options: ReloadingOptions;
  readonly #turns = new Slots(1);
  #written: AgentSettings;
  /** What resources said of this host when that was last looked at. */
  #said: HostResources | undefined;

  constructor(options: ReloadingOptions) {
    this.#options = options;
    this.#written = options.written;
  }

  /** To be called whenever the mesh has changed: goes on with what resources say of this host, if that is new. */
  follow(mesh: MeshSide): void {
    const said = mesh.loop.mesh;
    const { workloadGroups, proxyConfigs } = this.#said ?? {};
    if (said === undefined || (said.workloadGroups === workloadGroups && said.proxyConfigs === proxyConfigs)) return;
    this.#said = said;
    const { log } = this.#options;
    void this.#turns
      .run(async () => this.#follow(mesh, said))
      .catch((error: unknown) => log.error({ error: errorMessage(error) }, 'what resources say of this host'));
  }

  async #follow(mesh: MeshSide, said: HostResources): Promise<void> {
    const { parts } = this.#options;
    const { settings, diagnostics } = settingsOfResources(this.#written, said, parts.config);
    parts.resourceDiagnostics = diagnostics;
    await keepHostResources(settings.paths.state, said);
    if (!isDeepStrictEqual(settings, parts.settings)) await this.#apply(mesh, { settings, config: parts.config });
  }

  /** Reads everything again, one reload at a time; resolves to what is wrong with the files. */
  async run(mesh: MeshSide): Promise<readonly Diagnostic[]> {
    return this.#turns.run(async () => this.#run(mesh));
  }

  async #run(mesh: MeshSide): Promise<readonly Diagnostic[]> {
    const { parts, reread, notifier, log } = this.#options;
    await notifier.reloading();
    const [next] = await Promise.all([
      reread().then(async (loaded) => reloaded(parts, loaded)),
      mesh.resources.reload(),
    ]);
    parts.configDiagnostics = next.diagnostics;
    // With a fault in a file everything stays, and then the settings are those that hold already.
    if (next.settings !== parts.settings) this.#written = next.settings;
    const { settings, diagnostics: said } = settingsOfResources(this.#written, this.#said ?? NOTHING_SAID, next.config);
    parts.resourceDiagnostics = said;
    if (!isDeepStrictEqual([settings, next.config], [parts.settings, parts.config]))
      await this.#apply(mesh, { settings, config: next.config });
    const diagnostics = [...next.diagnostics, ...mesh.resources.resources.diagnostics];
    log.info({ diagnostics: diagnostics.length }, 'settings, mesh configuration and resources are read again');
    await notifier.ready();
    return diagnostics;
  }

  /** Goes on with services that are called by name beside those that agent.yaml names. */
  async callByName(mesh: MeshSide, services: readonly CalledService[]): Promise<void> {
    await this.#turns.run(async () => {
      const { parts, allocations, host } = this.#options;
      allocations.call(services);
      parts.host = await allocations.host(parts.settings, parts.config);
      await mesh.callByName(parts.host);
      host.resolve();
    });
  }

  async #apply(mesh: MeshSide, { settings, config }: Running): Promise<void> {
    const { parts, allocations, envoy, host, log } = this.#options;
    const before = parts.settings;
    parts.settings = settings;
    parts.config = config;
    parts.host = await allocations.host(settings, config);
    log.setLevel(settings.log.level);
    await keepInForce(settings, log);
    if (!isDeepStrictEqual(before.envoy.healthListener, settings.envoy.healthListener))
      await mesh.consul?.withoutProxyHealth(HEALTH_MOVE_MS);
    await envoy
      .configure(settings, parts.host)
      .catch((error: unknown) => log.error({ error: errorMessage(error) }, 'the program of Envoy'));
    await host.prepare(settings);
    await mesh.configure({ settings, config, host: parts.host });
    host.resolve();
  }
}
