/** What the agent changes on the host around Envoy: the rules of capture and the resolver. Both follow settings and mesh. */
import type { CaptureReport, CaptureRequest } from '../api/capture.ts';
import type { Log } from '../lib/log.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { mtlsMode } from '../translate/inbound/peer-authentication.ts';
import type { Allocations } from './allocations.ts';
import { letEnvoyHoldRules, needsCapture } from './capture-need.ts';
import type { CaptureSide } from './capture-side.ts';
import { namesAreReachable } from './reachable-names.ts';
import { ResolverSide } from './resolver-side.ts';
import type { AgentSettings } from './settings.ts';
import type { AgentParts } from './status-report.ts';
import { tproxyDiagnostics } from './tproxy-privilege.ts';

/** Whether a policy guards the port of a service of this host. */
function isGuarded(
  { mesh: side, host }: AgentParts,
  service: { readonly name: string; readonly namespace: string },
): boolean {
  const mesh = side?.loop.mesh;
  const workload = host.workloads.find((one) => one.service === service.name && one.namespace === service.namespace);
  if (mesh === undefined || workload?.inbound === undefined) return false;
  const { port } = workload.inbound.listen;
  return mtlsMode(mesh.peerAuthentications, workload, port, mesh.config.rootNamespace) === 'STRICT';
}

export interface HostSideOptions {
  /** The agent as it is at any time. */
  readonly parts: AgentParts;
  readonly allocations: Allocations;
  readonly log: Log;
}

export class HostSide {
  readonly #options: HostSideOptions;
  /** Undefined where nothing is captured: not even loaded then. */
  #capture: CaptureSide | undefined;
  #resolver: ResolverSide | undefined;

  constructor(options: HostSideOptions) {
    this.#options = options;
  }

  get diagnostics(): readonly Diagnostic[] {
    const { settings, envoy } = this.#options.parts;
    return [
      ...tproxyDiagnostics(settings, envoy.pids[0]),
      ...this.#options.allocations.diagnostics,
      ...(this.#resolver?.diagnostics ?? []),
      ...(this.#capture?.diagnostics ?? []),
    ];
  }

  /** Whether rules of capture are in force for good. */
  get isCaptureConfirmed(): boolean {
    return this.#capture?.isConfirmed ?? false;
  }

  /** Whether the rules lead connections of others to this port to the proxy. */
  isKept(port: number): boolean {
    return this.#capture?.isKept(port) ?? false;
  }

  /** To be called before Envoy starts, which holds the rules. */
  async start(settings: AgentSettings): Promise<void> {
    await letEnvoyHoldRules(settings, this.#options.log);
    await this.prepare(settings);
  }

  /** To be called before the mesh goes after new settings: when all is open, the rules follow. */
  async prepare(settings: AgentSettings): Promise<void> {
    if (this.#capture === undefined && needsCapture(settings)) await this.#startCapture(settings);
  }

  /** What a person wants of capture. */
  async call(request: CaptureRequest): Promise<CaptureReport> {
    const { settings } = this.#options.parts;
    return (this.#capture ?? (await this.#startCapture(settings))).call(request, settings);
  }

  /** Goes after the mesh. @param change `open`: all that the settings ask for is open */
  follow(change: 'mesh' | 'open'): void {
    const { settings } = this.#options.parts;
    if (change === 'open') this.#capture?.configure(settings);
    else this.#capture?.review(settings);
    this.resolve();
  }

  /** Tells the resolver what Envoy answers now. */
  resolve(): void {
    const { parts, log } = this.#options;
    const side = parts.mesh;
    if (side === undefined) return;
    // Not the host of the settings: nobody is to ask a port that somebody else has.
    const { mesh, host } = side.loop;
    if (mesh === undefined || (this.#resolver === undefined && host.dns === undefined)) return;
    const runDir = parts.settings.paths.run;
    this.#resolver ??= new ResolverSide({ runDir, isSettled: async () => side.isSettled(), log });
    const { dns: _, ...nameless } = host;
    this.#resolver.follow(
      mesh,
      namesAreReachable(parts.settings, this.#capture?.isConfirmed ?? false) ? host : nameless,
    );
  }

  /** Envoy ends: nobody is to ask it for names any more. */
  async withdraw(): Promise<void> {
    await this.#resolver?.withdraw();
  }

  /** Ends the work; the rules and names stay as long as Envoy does. */
  async close(): Promise<void> {
    await Promise.all([this.#resolver?.close(), this.#capture?.close()]);
  }

  async #startCapture(settings: AgentSettings): Promise<CaptureSide> {
    const { parts, allocations, log } = this.#options;
    const { CaptureSide: Side } = await import('./capture-side.ts');
    this.#capture = await Side.start({
      settings,
      ports: () => allocations.capturePorts,
      isGuarded: (service) => isGuarded(parts, service),
      onChange: () => {
        parts.mesh?.reviewRegistrations();
        this.resolve();
      },
      log: log.child({ room: 'capture' }),
    });
    return this.#capture;
  }
}
