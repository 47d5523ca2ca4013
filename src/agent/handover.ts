/**
 * Moves services from one way in to the next with no failed request: the new way is opened, then registered, and when
 * Consul shows it in good health the old one stays for a while, until every peer has learnt of the change.
 */
import type { Log } from '../lib/log.ts';
import { sleep } from '../lib/sleep.ts';
import type { Workload } from '../model/host.ts';
import type { RegistrarStatus } from '../register/registrar-status.ts';
import { sameWay, servedWorkloads, serviceKey, workloadKey } from './inbound-ways.ts';
import type { AgentSettings } from './settings.ts';

const POLL_MS = 200;
/** How long good health is waited for: an application may be down for reasons of its own. */
const HEALTHY_MS = 30_000;

export interface HandoverOptions {
  /** Has Envoy serve exactly these from now on. */
  readonly serve: (workloads: readonly Workload[]) => void;
  /** Registers what these settings say, but for the services (`namespace/name`) that stay as they are. */
  readonly register: (settings: AgentSettings, keep: ReadonlySet<string>) => void;
  /** Whether connections of peers would be taken where the workload is to be reached. Never rejects. */
  readonly isOpen: (workload: Workload, settings: AgentSettings) => Promise<boolean>;
  /** Undefined: nothing is registered. */
  readonly registrar: () => RegistrarStatus | undefined;
  /** Called when all new ways are open and registered. */
  readonly onOpen?: () => void;
  readonly log: Log;
  /** Default 30,000. */
  readonly healthyMs?: number;
  /** Between two looks; default 200. */
  readonly pollMs?: number;
}

type Phase =
  | { readonly kind: 'opening' }
  | { readonly kind: 'registering'; readonly healthyByMs: number | undefined }
  | { readonly kind: 'lingering'; readonly untilMs: number };

interface Move {
  readonly settings: AgentSettings;
  readonly wanted: readonly Workload[];
  /** What was served when it began. */
  readonly before: readonly Workload[];
  /** Services that are on their way. */
  readonly phases: Map<string, Phase>;
  readonly finished: Set<string>;
}

/** One move at a time; a new one takes over what the last one has left open. */
export class Handover {
  readonly #options: HandoverOptions;
  #served: readonly Workload[];
  #settings: AgentSettings;
  #move: Move | undefined;
  #turn = new AbortController();
  #running: Promise<void> = Promise.resolve();

  /** @param served what Envoy serves, or is about to serve, with these settings, registered or about to be */
  constructor(settings: AgentSettings, served: readonly Workload[], options: HandoverOptions) {
    this.#options = options;
    this.#settings = settings;
    this.#served = served;
  }

  /** What Envoy is to serve now: the wanted workloads, in their order, then old ways that stay for a while. */
  get served(): readonly Workload[] {
    return this.#served;
  }

  /** Services (`namespace/name`) whose new way is not open yet, so that they are registered as before. */
  get opening(): readonly string[] {
    return [...(this.#move?.phases ?? [])].flatMap(([key, { kind }]) => (kind === 'opening' ? [key] : []));
  }

  /** Whether an old way is still open. */
  get isMoving(): boolean {
    return this.#move !== undefined;
  }

  /** Goes to these settings, from wherever it is. Returns at once. */
  move(settings: AgentSettings, wanted: readonly Workload[]): void {
    this.#turn.abort();
    this.#turn = new AbortController();
    const before = this.#served;
    const move: Move = { settings, wanted, before, phases: new Map(), finished: new Set() };
    const known = new Map(wanted.map((workload) => [workloadKey(workload), workload]));
    for (const old of before) {
      const workload = known.get(workloadKey(old));
      if (workload === undefined) move.phases.set(workloadKey(old), { kind: 'registering', healthyByMs: undefined });
    }
    for (const [key, workload] of known)
      if (!this.#isUnchanged(key, workload, settings)) move.phases.set(key, { kind: 'opening' });
    this.#settings = settings;
    this.#move = move;
    this.#serve(servedWorkloads(before, wanted, move.finished));
    this.#options.register(settings, new Set(this.opening));
    const { signal } = this.#turn;
    this.#running = this.#running.then(async () => this.#run(move, signal));
  }

  /** Ends the work; what is open stays open. */
  async stop(): Promise<void> {
    this.#turn.abort();
    await this.#running;
  }

  /** Whether peers reach the service as before: the same port of Envoy's in the same mode, or the same application. */
  #isUnchanged(key: string, workload: Workload, settings: AgentSettings): boolean {
    const old = this.#served.filter((one) => workloadKey(one) === key);
    const [only] = old;
    if (only === undefined || old.length > 1 || !sameWay(only, workload)) return false;
    if (workload.inbound !== undefined) return true;
    const reached = ({ services }: AgentSettings): string =>
      JSON.stringify(services.find((service) => serviceKey(service) === key)?.inbound?.application);
    return reached(settings) === reached(this.#settings);
  }

  async #run(move: Move, signal: AbortSignal): Promise<void> {
    let opened = false;
    while (!signal.aborted) {
      for (const [key, phase] of move.phases) await this.#advance(move, key, phase);
      if (signal.aborted) return;
      if (!opened && this.opening.length === 0) {
        opened = true;
        this.#options.onOpen?.();
      }
      if (move.phases.size === 0) break;
      if (!(await sleep(this.#options.pollMs ?? POLL_MS, signal))) return;
    }
    if (signal.aborted) return;
    this.#move = undefined;
    this.#serve(move.wanted);
  }

  async #advance(move: Move, key: string, phase: Phase): Promise<void> {
    const { isOpen, register, registrar, log, healthyMs = HEALTHY_MS } = this.#options;
    const nowMs = performance.now();
    const lingerMs = move.settings.envoy.lingerTimeMs;
    switch (phase.kind) {
      case 'opening': {
        const workload = move.wanted.find((one) => workloadKey(one) === key);
        if (workload !== undefined && !(await isOpen(workload, move.settings))) return;
        move.phases.set(key, { kind: 'registering', healthyByMs: nowMs + healthyMs });
        if (this.#move === move) register(move.settings, new Set(this.opening));
        return;
      }
      case 'registering': {
        const status = registrar();
        const mine = status?.services.filter(({ instance }) => instance === key) ?? [];
        // What is no longer there has to be gone from Consul; what is there has to be seen in Consul.
        const known = mine.length === 0 ? (status?.current ?? true) : mine.every(({ confirmed }) => confirmed);
        if (!known) return;
        const critical = mine.some(({ application, proxy }) => application === 'critical' || proxy === 'critical');
        if (critical && nowMs < (phase.healthyByMs ?? 0)) return;
        log.info({ service: key, lingerMs, critical }, 'the new way in is registered; the old one stays for a while');
        move.phases.set(key, { kind: 'lingering', untilMs: nowMs + lingerMs });
        return;
      }
      case 'lingering': {
        if (nowMs < phase.untilMs) return;
        move.phases.delete(key);
        log.info({ service: key }, 'the old way in is closed');
        move.finished.add(key);
        if (this.#move === move) this.#serve(servedWorkloads(move.before, move.wanted, move.finished));
      }
    }
  }

  #serve(workloads: readonly Workload[]): void {
    this.#served = workloads;
    this.#options.serve(workloads);
  }
}
