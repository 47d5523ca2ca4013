/** Transparent capture as part of the running agent: its rules follow the settings, and Envoy's listeners go before them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { CaptureReport, CaptureRequest } from '../api/capture.ts';
import { ListeningPorts } from '../envoy/port-owner.ts';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { sleep } from '../lib/sleep.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { CaptureHolder } from '../platform/vm/capture-holder.ts';
import { capturePorts } from '../platform/vm/capture-plan.ts';
import { programDir } from './agent-files.ts';
import { capturedCallers } from './callers.ts';
import { captureCall } from './capture-calls.ts';
import { captureDiagnostics, holderAway } from './capture-diagnostics.ts';
import { CaptureKeeper } from './capture-keeper.ts';
import { captureDir } from './capture-need.ts';
import { captureFiles, proxyUsers } from './capture-offline.ts';
import { capturedUnits, captureFacts, capturePlanOf, capturesAnything } from './capture-plan-of.ts';
import type { AgentSettings } from './settings.ts';

const POLL_MS = 200;
/** How long `apply` waits for Envoy's listeners. */
const APPLY_MS = 10_000;

/** The script beside the program, as a package has it, or in the checkout that the program is in. */
function findHolder(dir: string): string {
  const packaged = join(dir, 'capture-holder');
  return existsSync(packaged) ? packaged : join(dir, '../platform/vm/capture-holder.sh');
}

export interface CaptureSideOptions {
  readonly settings: AgentSettings;
  /** By `CapturedCaller.key`; those of now. */
  readonly ports: () => ReadonlyMap<string, number>;
  /** Whether a policy guards a service's port, which must not be reached past the proxy then. */
  readonly isGuarded: (service: { readonly name: string; readonly namespace: string }) => boolean;
  /** Called when rules were applied, confirmed or taken back. */
  readonly onChange?: () => void;
  readonly log: Log;
}

export class CaptureSide {
  readonly #options: CaptureSideOptions;
  readonly #holder: CaptureHolder;
  readonly #keeper: CaptureKeeper;
  #captures: boolean;
  #turn = new AbortController();
  #inForce: ReadonlySet<number> = new Set();
  /** The services that policies guarded when the rules were planned. */
  #guarded = '';

  private constructor(options: CaptureSideOptions) {
    const { settings, log } = options;
    const files = captureFiles(settings.paths.state);
    this.#options = options;
    this.#captures = capturesAnything(settings);
    this.#holder = new CaptureHolder({
      dir: captureDir(settings),
      script: settings.envoy.launcher === 'systemd' ? undefined : findHolder(programDir()),
      guardFile: files.guard,
      log,
    });
    this.#keeper = new CaptureKeeper({
      holder: this.#holder,
      stateFile: files.state,
      log,
      onChange: () => options.onChange?.(),
    });
  }

  /**
   * To be made before Envoy starts, which holds the rules. Never rejects: what is missing for capture is told when
   * somebody applies it.
   */
  static async start(options: CaptureSideOptions): Promise<CaptureSide> {
    const side = new CaptureSide(options);
    // A unit's is not waited for: Envoy holds what leads to it, and status says when it is not there.
    if (capturesAnything(options.settings) && options.settings.envoy.launcher === 'agent') await side.#hold();
    await side.#keeper.start();
    return side;
  }

  /** Goes after these settings, as soon as Envoy listens where they lead connections to. Returns at once. */
  configure(settings: AgentSettings): void {
    this.#turn.abort();
    this.#turn = new AbortController();
    this.#keeper.listening(false);
    this.#guarded = this.#guardedOf(settings);
    const { signal } = this.#turn;
    this.#configure(settings, signal).catch((error: unknown) =>
      this.#options.log.error({ error: errorMessage(error) }, 'capture cannot be planned'),
    );
  }

  /** Plans anew when policies guard other services than before: what became STRICT must not stay open past the proxy. */
  review(settings: AgentSettings): void {
    if (this.#guardedOf(settings) !== this.#guarded) this.configure(settings);
  }

  /**
   * The local API's call. Right after a reload there is a moment in which Envoy does not listen yet where rules are to
   * lead to: `apply` waits for it.
   * @param settings those of now
   */
  async call(request: CaptureRequest, settings: AgentSettings): Promise<CaptureReport> {
    const end = performance.now() + APPLY_MS;
    for (;;)
      try {
        return await captureCall(this.#keeper, request);
      } catch (error) {
        const mayCome =
          error instanceof TrysailError &&
          (error.code === 'CAPTURE_NOT_LISTENING' || error.code === 'CAPTURE_UNCONFIGURED') &&
          capturesAnything(settings);
        if (!mayCome || performance.now() > end) throw error;
        await sleep(POLL_MS);
      }
  }

  /** Whether the rules lead connections of others to this port to the proxy. */
  isKept(port: number): boolean {
    const { state } = this.#keeper.report();
    return (state === 'on' || state === 'trial') && this.#inForce.has(port);
  }

  /** Whether somebody wants the rules in force for good: until then, calls go as they always did. */
  get isConfirmed(): boolean {
    return this.#keeper.isConfirmed;
  }

  /** That the rules are not in force, or not for good, and what to do. */
  get diagnostics(): readonly Diagnostic[] {
    const report = this.#keeper.report();
    // What it is asked for is planned when Envoy listens; that nobody has asked for the rules is known before.
    const state = report.state === 'unconfigured' && this.#isAhead ? 'unapplied' : report.state;
    const unheld = this.#captures && this.#options.settings.envoy.launcher === 'systemd' && !this.#holder.isAlive;
    return unheld ? [holderAway()] : captureDiagnostics({ ...report, state });
  }

  /** Ends the work; the rules stay as long as Envoy does. */
  async close(): Promise<void> {
    this.#turn.abort();
    await this.#keeper.close();
  }

  /** Whether the settings capture what nobody has applied. */
  get #isAhead(): boolean {
    return this.#captures && !this.#keeper.isApplied;
  }

  #guardedOf(settings: AgentSettings): string {
    const guarded = settings.services.filter((service) => this.#options.isGuarded(service));
    return guarded.map(({ namespace, name }) => `${namespace}/${name}`).join();
  }

  async #hold(): Promise<void> {
    try {
      await this.#holder.start();
    } catch (error) {
      this.#options.log.error({ error: errorMessage(error) }, 'nothing can be captured');
    }
  }

  async #configure(settings: AgentSettings, signal: AbortSignal): Promise<void> {
    this.#captures = capturesAnything(settings);
    if (!this.#captures) {
      this.#keeper.listening(true);
      this.#keeper.want(undefined);
      this.#inForce = new Set();
      return;
    }
    const { ports, isGuarded } = this.#options;
    const facts = await captureFacts(settings, await proxyUsers(settings));
    if (signal.aborted) return;
    const planned = (cgroups: Parameters<typeof capturePlanOf>[1]['cgroups']): ReturnType<typeof capturePlanOf> =>
      capturePlanOf(settings, { facts, cgroups, capturePorts: ports(), isGuarded });
    const { plan } = planned(new Map());
    const needed = [...new Set([...capturePorts(plan), ...callerPorts(settings, ports())])];
    const isListening = async (): Promise<boolean> => listened(needed);
    this.#keeper.want({ units: capturedUnits(settings), plan: planned, isListening });
    while (!(await listened(needed))) if (!(await sleep(POLL_MS, signal))) return;
    this.#inForce = new Set(plan.inbound.map(({ port }) => port));
    this.#keeper.listening(true);
  }
}

/** Ports of all callers, of units too that do not run yet. */
function callerPorts(settings: AgentSettings, ports: ReadonlyMap<string, number>): readonly number[] {
  return capturedCallers(settings).flatMap(({ key }) => ports.get(key) ?? []);
}

async function listened(needed: readonly number[]): Promise<boolean> {
  const now = await ListeningPorts.lookAside();
  return needed.every((port) => now.listeners(port).length > 0);
}
