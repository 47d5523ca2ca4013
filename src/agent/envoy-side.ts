/** Everything of the agent that starts Envoy: what it is started with, its process, and what outlives both. */
import { VERSION } from '../api/version.ts';
import { envoyArguments } from '../envoy/arguments.ts';
import { type Bootstrap, buildBootstrap } from '../envoy/bootstrap.ts';
import { LastGoodBootstrap, lastGoodFiles } from '../envoy/last-good-bootstrap.ts';
import { findLauncher } from '../envoy/launcher.ts';
import { EnvoyProcess } from '../envoy/process.ts';
import type { Log } from '../lib/log.ts';
import { sleep } from '../lib/sleep.ts';
import type { Host } from '../model/host.ts';
import { findEnvoyBinary } from '../platform/vm/envoy-binary.ts';
import { maxConnections } from '../platform/vm/limits.ts';
import { sockets } from '../platform/vm/paths.ts';
import { programDir } from './agent-files.ts';
import type { AgentSettings } from './settings.ts';

/** Whether Envoy is another user's, in a unit of its own: what it shares with us it shares by the group. */
export function isExternal({ envoy }: AgentSettings): boolean {
  return envoy.launcher === 'systemd';
}

/** What Envoy is started with. */
interface Start {
  readonly binary: string;
  readonly bootstrap: Bootstrap;
  readonly concurrency: number;
  readonly drainTimeMs: number;
}

/** @throws TrysailError when there is no program of Envoy */
async function startOf(settings: AgentSettings, host: Host): Promise<Start> {
  const { binary, concurrency, drainTimeMs, healthListener, runDir } = settings.envoy;
  return {
    binary: await findEnvoyBinary({ configured: binary, programDir: programDir() }),
    bootstrap: buildBootstrap({
      nodeId: host.nodeId,
      nodeCluster: host.nodeCluster,
      locality: host.locality,
      metadata: { trysailVersion: VERSION },
      xdsSocket: sockets(settings.paths.run).xds,
      adminSocket: sockets(runDir).admin,
      ...(isExternal(settings) ? { adminSocketMode: 0o660 } : {}),
      healthListener,
      maxConnections: await maxConnections(),
    }),
    concurrency,
    drainTimeMs,
  };
}

/** How long a reload waits for a hot restart; what is registered follows it. */
const HAND_OVER_MS = 10_000;
const HAND_OVER_POLL_MS = 20;
const WARMING = 'listener_manager.total_listeners_warming';

export class EnvoySide {
  readonly process: EnvoyProcess;
  /** Undefined: an Envoy that the agent starts itself has no life without it. */
  readonly lastGood: LastGoodBootstrap | undefined;
  #binary: string;
  readonly #stateDir: string;
  readonly #runDir: string;

  private constructor(settings: AgentSettings, start: Start, log: Log) {
    const files = lastGoodFiles(settings.paths.state);
    const { launcher, runDir } = settings.envoy;
    this.#stateDir = settings.paths.state;
    this.#runDir = runDir;
    this.#binary = start.binary;
    this.process = new EnvoyProcess({
      ...start,
      adminSocket: sockets(runDir).admin,
      runDir: settings.paths.run,
      launcher: { kind: launcher, script: findLauncher(programDir()), dir: runDir },
      lastGoodBootstrap: files.bootstrap,
      log,
    });
    this.lastGood = isExternal(settings)
      ? new LastGoodBootstrap({
          files,
          ...this.#lastGoodOf(start),
          keys: settings.identity.persist,
          shared: true,
          log,
        })
      : undefined;
  }

  /** Starts nothing yet. Rejects when there is no program of Envoy. */
  static async create(settings: AgentSettings, host: Host, log: Log): Promise<EnvoySide> {
    return new EnvoySide(settings, await startOf(settings, host), log);
  }

  /**
   * Goes on with other settings; what Envoy is started with changes by hot restart, whose end is waited for, within
   * bounds. Rejects as `create`.
   */
  async configure(settings: AgentSettings, host: Host): Promise<void> {
    const start = await startOf(settings, host);
    const { epoch = 0 } = this.process.status;
    this.#binary = start.binary;
    this.lastGood?.reconfigure(this.#lastGoodOf(start));
    if (this.process.reconfigure(start)) await this.#handedOver(epoch);
  }

  /** Waits until an Envoy after that of `epoch` serves, or has failed to. */
  async #handedOver(epoch: number): Promise<void> {
    const end = performance.now() + HAND_OVER_MS;
    while (performance.now() < end) {
      await sleep(HAND_OVER_POLL_MS);
      const { state, epoch: now = 0, hotRestart } = this.process.status;
      if ((state.kind === 'ready' && now > epoch) || hotRestart?.phase === 'failed') return;
    }
  }

  /** Path of the program. */
  get binary(): string {
    return this.#binary;
  }

  /** How many listeners Envoy has accepted and not put in force yet; undefined: it does not say. */
  async listenersWarming(): Promise<number | undefined> {
    const stats = await this.process.admin.stats(`^${WARMING}$`).catch(() => undefined);
    return stats?.get(WARMING);
  }

  #lastGoodOf({ binary, bootstrap, concurrency, drainTimeMs }: Start): {
    readonly binary: string;
    readonly bootstrap: Bootstrap;
    readonly args: readonly string[];
  } {
    const bootstrapPath = lastGoodFiles(this.#stateDir).bootstrap;
    const args = envoyArguments({ bootstrapPath, launcherDir: this.#runDir, concurrency, drainTimeMs });
    return { binary, bootstrap, args };
  }
}
