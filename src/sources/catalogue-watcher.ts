/** Follows the services that this host asks for in Consul's catalogue, and judges how far its answers are to be believed. */
import type { ConsulClient } from '../consul/client.ts';
import type { HealthEntry } from '../consul/health.ts';
import { errorMessage, type TrysailError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { Slots } from '../lib/slots.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { CatalogueConfig } from '../model/mesh-config.ts';
import { catalogueDiagnostics } from './catalogue-diagnostics.ts';
import { type CatalogueReading, readInstances, sameInstances } from './catalogue-instances.ts';
import { LostInstances, MAX_LOST_MS } from './catalogue-lost-instances.ts';
import { type Hold, MassCriticalGuard } from './catalogue-mass-critical.ts';
import { Sentinel } from './catalogue-sentinel.ts';
import { ServiceWatch } from './catalogue-service-watch.ts';
import type { CatalogueInstance, CatalogueState } from './catalogue-state.ts';

/** Each watch costs Consul's servers some 50 KB and one connection of the agent's. */
export const MAX_WATCHES = 64;
const CONCURRENT_FIRST_READS = 4;

export interface CatalogueWatcherOptions {
  readonly client: Pick<ConsulClient, 'health' | 'address'>;
  readonly config: CatalogueConfig;
  readonly log: Log;
  /** Called, never before the call that causes it has returned control to Node, with every new state. */
  readonly onChange: (state: CatalogueState) => void;
  /** How many services are followed at most; `MAX_WATCHES` unless said otherwise. */
  readonly maxWatches?: number;
}

/** How the catalogue stands, for `trysail status`. Times are milliseconds since the epoch. */
export interface CatalogueStatus {
  readonly address: string;
  /** Whether the last request of at least one watch was answered. True as well when nothing is watched. */
  readonly connected: boolean;
  /** When the last believable answer came. One is due every ten minutes also when nothing changes. */
  readonly lastContactMs: number | undefined;
  /** Services of interest that are beyond the limit of watches. */
  readonly notWatched: readonly string[];
  /** Endpoints held in a mass failure. */
  readonly hold: Hold | undefined;
  readonly services: readonly {
    readonly name: string;
    readonly index: number;
    readonly answeredAtMs: number | undefined;
    /** Time since then; undefined before the first answer. */
    readonly ageMs: number | undefined;
    readonly instances: number;
    readonly error: TrysailError | undefined;
    /** Whether its answer was empty and not believed. */
    readonly hidden: boolean;
  }[];
}

/** The watches of all services of interest and the one state that comes of them. */
export class CatalogueWatcher {
  readonly #options: CatalogueWatcherOptions;
  readonly #stop = new AbortController();
  readonly #guard: MassCriticalGuard;
  readonly #sentinel: Sentinel;
  readonly #gate = new Slots(CONCURRENT_FIRST_READS);
  readonly #watches = new Map<string, ServiceWatch>();
  readonly #readings = new Map<string, CatalogueReading>();
  #notWatched: readonly string[] = [];
  #state: CatalogueState = { services: new Map(), diagnostics: [] };
  readonly #lost = new LostInstances();
  /** By service: when its lost instances are given up. */
  readonly #lostTimers = new Map<string, NodeJS.Timeout>();
  #holdTimer: NodeJS.Timeout | undefined;

  constructor(options: CatalogueWatcherOptions) {
    this.#options = options;
    this.#guard = new MassCriticalGuard(options.config);
    this.#sentinel = new Sentinel(options.client, options.config.sentinelService, this.#stop.signal);
  }

  /** What is known now. */
  get state(): CatalogueState {
    return this.#state;
  }

  /**
   * Puts a last good state in force, until real answers replace it service by service. To be called before
   * `setInterest`, which drops what is of no interest; does not call `onChange`.
   */
  restore(state: CatalogueState): void {
    this.#state = {
      services: new Map([...state.services, ...this.#state.services]),
      diagnostics: this.#state.diagnostics,
    };
    for (const [service, instances] of state.services)
      if (!this.#readings.has(service)) this.#guard.seed(service, instances);
  }

  /**
   * Follows exactly these Consul services. Of more than the limit, those that are followed already come first, then the
   * first by name; the rest is named in a diagnostic.
   */
  setInterest(names: ReadonlySet<string>): void {
    if (this.#stop.signal.aborted) return;
    const { maxWatches = MAX_WATCHES } = this.#options;
    const wanted = [...names].toSorted();
    const kept = wanted.filter((name) => this.#watches.has(name)).slice(0, maxWatches);
    const added = wanted.filter((name) => !this.#watches.has(name)).slice(0, maxWatches - kept.length);
    const chosen = new Set([...kept, ...added]);
    this.#notWatched = wanted.filter((name) => !chosen.has(name));
    for (const [name, watch] of this.#watches) {
      if (chosen.has(name)) continue;
      watch.stop();
      this.#watches.delete(name);
      this.#readings.delete(name);
      this.#giveUpLost(name);
    }
    for (const name of this.#state.services.keys()) if (!chosen.has(name)) this.#guard.forget(name);
    for (const service of added) {
      this.#watches.set(
        service,
        new ServiceWatch({
          service,
          client: this.#options.client,
          sentinel: this.#sentinel,
          gate: this.#gate,
          events: {
            onAnswer: (name, entries, afterLoss) => this.#onAnswer(name, entries, afterLoss),
            onStatus: () => this.#publish(new Map()),
            known: (name) => this.#state.services.get(name)?.length,
          },
        }),
      );
    }
    const dropped = [...this.#state.services.keys()].filter((name) => !chosen.has(name));
    queueMicrotask(() => this.#publish(new Map(dropped.map((name) => [name, undefined]))));
  }

  status(): CatalogueStatus {
    const nowMs = Date.now();
    const toEpoch = (ms: number): number => Math.round(nowMs + ms - performance.now());
    const { hold } = this.#guard;
    const watches = [...this.#watches.values()].map((watch) => watch.status);
    const answered = watches.flatMap((s) => s.answeredAtMs ?? []);
    return {
      address: this.#options.client.address,
      connected: watches.length === 0 || watches.some((s) => s.answeredAtMs !== undefined && s.error === undefined),
      lastContactMs: answered.length === 0 ? undefined : Math.max(...answered),
      notWatched: this.#notWatched,
      hold:
        hold === undefined ? undefined : { ...hold, sinceMs: toEpoch(hold.sinceMs), untilMs: toEpoch(hold.untilMs) },
      services: watches
        .map(({ service, index, answeredAtMs, error, hidden }) => ({
          name: service,
          index,
          answeredAtMs,
          ageMs: answeredAtMs === undefined ? undefined : nowMs - answeredAtMs,
          instances: this.#state.services.get(service)?.length ?? 0,
          error,
          hidden,
        }))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    };
  }

  /** Ends all watches; the state stays as it is and `onChange` is not called any more. */
  stop(): void {
    this.#stop.abort();
    clearTimeout(this.#holdTimer);
    for (const timer of this.#lostTimers.values()) clearTimeout(timer);
    for (const watch of this.#watches.values()) watch.stop();
    this.#watches.clear();
  }

  #onAnswer(service: string, entries: readonly HealthEntry[], afterLoss: boolean): boolean {
    if (afterLoss) this.#keepLost(service);
    const published = this.#state.services.get(service);
    const before = this.#readings.get(service);
    // Instances that Consul had lost are what they were when it has them again.
    const hadLost = before !== undefined && published !== undefined && before.instances.length < published.length;
    const known = hadLost ? [...published, ...before.instances] : (before?.instances ?? published);
    const reading = readInstances(entries, known);
    this.#readings.set(service, reading);
    this.#guard.observe(service, published, reading, performance.now());
    this.#judge(service);
    return before?.instances !== reading.instances || reading.odd.length !== before.odd.length;
  }

  #keepLost(service: string): void {
    this.#giveUpLost(service);
    const ms = Math.min(MAX_LOST_MS, this.#options.config.holdMs);
    this.#lost.begin(service, performance.now() + ms);
    const timer = setTimeout(() => {
      this.#giveUpLost(service);
      if (this.#readings.has(service)) this.#judge(service);
    }, ms);
    timer.unref();
    this.#lostTimers.set(service, timer);
  }

  #giveUpLost(service: string): void {
    this.#lost.end(service);
    clearTimeout(this.#lostTimers.get(service));
    this.#lostTimers.delete(service);
  }

  /** Evaluates the guard and publishes `service`, or all when a hold started or ended. */
  #judge(service?: string): void {
    const nowMs = performance.now();
    const turned = this.#guard.evaluate(nowMs);
    if (turned) {
      const { hold } = this.#guard;
      clearTimeout(this.#holdTimer);
      if (hold === undefined) this.#options.log.warn('catalogue: endpoints are no longer held');
      else {
        this.#options.log.error({ held: hold.held, of: hold.of }, 'catalogue: most instances turned critical at once');
        this.#holdTimer = setTimeout(() => this.#judge(), hold.untilMs - nowMs + 1);
        this.#holdTimer.unref();
      }
    }
    const affected = turned ? [...this.#readings.keys()] : service === undefined ? [] : [service];
    this.#publish(
      new Map(
        affected.map((name) => {
          const judged = this.#guard.publish(name, this.#readings.get(name)?.instances ?? []);
          return [name, this.#lost.merge(name, this.#state.services.get(name) ?? [], judged, nowMs)] as const;
        }),
      ),
    );
  }

  /** Replaces the given services (undefined: removes) and renews the diagnostics; tells the owner if anything differs. */
  #publish(changes: ReadonlyMap<string, readonly CatalogueInstance[] | undefined>): void {
    if (this.#stop.signal.aborted) return;
    let services: Map<string, readonly CatalogueInstance[]> | undefined;
    for (const [name, instances] of changes) {
      const before = this.#state.services.get(name);
      if (
        instances === undefined
          ? !this.#state.services.has(name)
          : before !== undefined && sameInstances(before, instances)
      )
        continue;
      services ??= new Map(this.#state.services);
      if (instances === undefined) services.delete(name);
      else services.set(name, instances);
    }
    const diagnostics = this.#diagnostics();
    if (services === undefined && diagnostics === this.#state.diagnostics) return;
    this.#state = { services: services ?? this.#state.services, diagnostics };
    try {
      this.#options.onChange(this.#state);
    } catch (error) {
      this.#options.log.error({ error: errorMessage(error) }, 'catalogue: a change could not be processed');
    }
  }

  #diagnostics(): readonly Diagnostic[] {
    const next = catalogueDiagnostics({
      address: this.#options.client.address,
      sentinel: this.#options.config.sentinelService,
      holdMs: this.#options.config.holdMs,
      hold: this.#guard.hold,
      notWatched: this.#notWatched,
      lost: this.#lost.services,
      watches: [...this.#watches.values()].map((watch) => watch.status),
      odd: [...this.#readings].flatMap(([service, { odd }]) => odd.map((sentence) => ({ service, sentence }))),
    });
    const before = this.#state.diagnostics;
    const same = next.length === before.length && next.every((d, i) => JSON.stringify(d) === JSON.stringify(before[i]));
    return same ? before : next;
  }
}
