/**
 * The services that are called by name beside those of agent.yaml: what Sidecars import, what somebody has called for the
 * first time, for as long as it is used, and what is dropped, until nobody can know its address any more.
 */
import { errorMessage } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { sleep } from '../lib/sleep.ts';
import type { Host } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import { outboundStatHosts } from '../translate/clusters/stat-names.ts';
import { importedHosts } from './called-names.ts';
import type { LearntServices } from './learnt-services.ts';
import { usedServices } from './service-use.ts';
import type { AgentSettings } from './settings.ts';

/** How long a learnt name is answered by the agent before Envoy's own DNS gets it. */
const FRESH_MS = 1000;
/** How often it is looked what is used: a quarter of the time for which it is kept, within these bounds. */
const MIN_LOOK_MS = 250;
const MAX_LOOK_MS = 60_000;
/** For how long a service that is dropped is served: whoever was told its address knows it for 30 s. */
const LEAVE_MS = 35_000;

/** A service that is called by name although agent.yaml does not say so. */
export interface CalledService {
  readonly host: string;
  /** Both as of `NamedUpstream`. */
  readonly isFresh: boolean;
  readonly isLeaving: boolean;
}

export interface CalledServicesOptions {
  readonly store: LearntServices;
  readonly settings: () => Pick<AgentSettings, 'discovery' | 'consul' | 'upstreams'>;
  readonly mesh: () => Mesh | undefined;
  /** What is being served. */
  readonly host: () => Host;
  /** Serves these, beside what agent.yaml says. */
  readonly call: (services: readonly CalledService[]) => Promise<void>;
  /** Whether somebody waits for an answer about a name. */
  readonly isAsked: () => boolean;
  /** Envoy's counters, by name. */
  readonly stats: (filter: string) => Promise<ReadonlyMap<string, number>>;
  readonly log: Log;
}

export class CalledServices {
  readonly #options: CalledServicesOptions;
  readonly #stop = new AbortController();
  /** Until when, by canonical host. */
  readonly #fresh = new Map<string, number>();
  /** Until when, by canonical host. */
  readonly #leaving = new Map<string, number>();
  #freshTimer: NodeJS.Timeout | undefined;
  #imported: readonly string[] = [];
  /** What `#imported` was made of. */
  #followed: readonly unknown[] = [];
  #counters: ReadonlyMap<string, number> = new Map();
  #looking: Promise<void> | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(options: CalledServicesOptions) {
    this.#options = options;
  }

  /** Learnt services, with when they were last used in milliseconds since 1970. */
  get learnt(): readonly { readonly host: string; readonly lastUsedMs: number }[] {
    const { store } = this.#options;
    return store.hosts.map((host) => ({ host, lastUsedMs: store.lastUsedMs(host) ?? 0 }));
  }

  /** Begins to look what is used. */
  start(): void {
    this.#looking ??= this.#look();
  }

  /** The mesh has changed: what Sidecars import by name is called from now on. */
  follow(): void {
    const mesh = this.#options.mesh();
    if (mesh === undefined) return;
    const host = this.#options.host();
    const followed = [mesh.sidecars, mesh.config, host.workloads, host.callers, host.callerIdentity];
    if (this.#followed.length > 0 && followed.every((part, i) => part === this.#followed[i])) return;
    this.#followed = followed;
    const imported = importedHosts(mesh, host);
    if (imported.join(' ') === this.#imported.join(' ')) return;
    this.#imported = imported;
    void this.#call();
  }

  /** A service is used now; one that is not learnt stays so. */
  use(host: string): void {
    this.#options.store.use(host, Date.now());
  }

  /** Learns services: they are called from now on. Of too many, those leave that are unused for longest. Never rejects. */
  async learn(hosts: readonly string[]): Promise<void> {
    const { store, settings, log } = this.#options;
    const { discovery, consul, upstreams } = settings();
    const max = Math.max(1, Math.min(discovery.max, consul.maxWatches - upstreams.length));
    for (const host of hosts) {
      this.#leave(store.learn(host, Date.now(), max));
      this.#leaving.delete(host);
      this.#fresh.set(host, performance.now() + FRESH_MS);
    }
    log.info({ services: hosts }, 'services are learnt: somebody calls them');
    await this.#call();
    void this.#save();
    this.#awaitFreshness();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#freshTimer);
    await this.#looking;
    await this.#save();
  }

  async #call(): Promise<void> {
    const { call, store, log } = this.#options;
    const wanted = new Set([...this.#imported, ...store.hosts]);
    const services = [...new Set([...wanted, ...this.#leaving.keys()])].map((host) => ({
      host,
      isFresh: this.#fresh.has(host),
      isLeaving: !wanted.has(host),
    }));
    await call(services).catch((error: unknown) =>
      log.error({ error: errorMessage(error) }, 'services that are called'),
    );
  }

  /** Drops services, though not at once: somebody may just have been told where they are. */
  #leave(hosts: readonly string[]): void {
    const { discovery } = this.#options.settings();
    const untilMs = performance.now() + this.#leaveMs();
    for (const host of hosts) {
      this.#fresh.delete(host);
      this.#leaving.set(host, untilMs);
    }
    for (const oldest of [...this.#leaving.keys()].slice(0, Math.max(0, this.#leaving.size - discovery.max)))
      this.#leaving.delete(oldest);
  }

  #leaveMs(): number {
    return Math.min(LEAVE_MS, this.#options.settings().discovery.keepForMs);
  }

  /** Gives up what has left; returns whether anything has. */
  #giveUpLeft(): boolean {
    const now = performance.now();
    const left = [...this.#leaving].flatMap(([host, untilMs]) => (untilMs <= now ? [host] : []));
    for (const host of left) this.#leaving.delete(host);
    return left.length > 0;
  }

  /** Gives learnt names to Envoy's DNS when nobody waits for an answer: a change of DNS loses questions under way. */
  #awaitFreshness(): void {
    if (this.#freshTimer !== undefined || this.#fresh.size === 0 || this.#stop.signal.aborted) return;
    this.#freshTimer = setTimeout(() => {
      this.#freshTimer = undefined;
      const now = performance.now();
      const ripe = [...this.#fresh].filter(([, untilMs]) => untilMs <= now);
      if (ripe.length > 0 && !this.#options.isAsked()) {
        for (const [host] of ripe) this.#fresh.delete(host);
        void this.#call();
      }
      this.#awaitFreshness();
    }, FRESH_MS / 2).unref();
  }

  async #look(): Promise<void> {
    const { signal } = this.#stop;
    for (;;) {
      const { keepForMs } = this.#options.settings().discovery;
      if (!(await sleep(Math.min(MAX_LOOK_MS, Math.max(MIN_LOOK_MS, keepForMs / 4)), signal))) return;
      await this.#dropUnused(keepForMs).catch((error: unknown) =>
        this.#options.log.debug({ error: errorMessage(error) }, 'what is used cannot be seen'),
      );
    }
  }

  async #dropUnused(keepForMs: number): Promise<void> {
    const { store, stats, host, log } = this.#options;
    const followed = [...store.hosts, ...this.#leaving.keys()];
    if (followed.length === 0) return;
    const { used, counters } = await usedServices(
      host(),
      followed,
      this.#counters,
      stats,
      this.#clusterHosts(followed),
    );
    this.#counters = counters;
    const nowMs = Date.now();
    for (const one of used) {
      store.use(one, nowMs);
      // Somebody knew its address and has come after all.
      if (this.#leaving.has(one)) this.#leaving.set(one, performance.now() + this.#leaveMs());
    }
    const gone = store.dropUnused(nowMs - keepForMs);
    if (gone.length > 0) {
      this.#leave(gone);
      log.info({ services: gone }, 'nobody calls these services any more');
    }
    if (this.#giveUpLeft() || gone.length > 0) void this.#call();
    await this.#save();
  }

  #clusterHosts(followed: readonly string[]): ReturnType<typeof outboundStatHosts> {
    const mesh = this.#options.mesh();
    if (mesh === undefined) return undefined;
    return outboundStatHosts(
      mesh.config,
      followed.flatMap((one) => mesh.services.get(one) ?? []),
    );
  }

  #save(): Promise<void> {
    const { store, log } = this.#options;
    this.#saving = this.#saving.then(async () =>
      store
        .save()
        .catch((error: unknown) => log.warn({ error: errorMessage(error) }, 'learnt services cannot be saved')),
    );
    return this.#saving;
  }
}
