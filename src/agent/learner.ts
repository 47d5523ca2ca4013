/**
 * Learns services when they are first called: whoever asks for a name that nobody has declared waits until Envoy has the
 * service with all of its rules, two seconds at most. What is not used for a while is dropped.
 */
import { errorMessage } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { sleep } from '../lib/sleep.ts';
import type { Host, NamedUpstream } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import { dnsAddresses } from '../translate/dns/dns-names.ts';
import { importedHosts, mayBeCalled, meantHost } from './called-names.ts';
import type { LearntServices } from './learnt-services.ts';
import { usedServices } from './service-use.ts';
import type { AgentSettings } from './settings.ts';

/** How long somebody waits who calls a service for the first time; their own patience is 2 s. */
const PATIENCE_MS = 1900;
/** How long Envoy may take for what is learnt at one time. */
const SERVE_MS = 1400;
const POLL_MS = 10;
/** Names that nobody has are not looked up again for so long. */
const UNKNOWN_FOR_MS = 5000;
const MAX_UNKNOWN = 256;
/** More names than this are not looked up at a time. */
const MAX_PENDING = 32;
/** Nor is Consul asked for more of them in a second: any program of the host can ask for names. */
const MAX_LOOK_UPS_PER_S = 50;
/** How long a learnt name is answered by the agent before Envoy's own DNS gets it. */
const FRESH_MS = 1000;
/** How often it is looked what is used: a quarter of the time for which it is kept, within these bounds. */
const MIN_LOOK_MS = 250;
const MAX_LOOK_MS = 60_000;
/** For how long a service that is dropped is served: whoever was told its address knows it for 30 s. */
const LEAVE_MS = 35_000;

/** What a look-up gave: addresses, nothing of that name, or no answer in time. */
export type Learnt =
  | { readonly outcome: 'found'; readonly addresses: readonly string[] }
  | { readonly outcome: 'unknown' | 'failed' };

/** A service that is called by name although agent.yaml does not say so. */
export interface CalledService {
  readonly host: string;
  /** Both as of `NamedUpstream`. */
  readonly isFresh: boolean;
  readonly isLeaving: boolean;
}

export interface LearnerOptions {
  readonly store: LearntServices;
  readonly settings: () => AgentSettings;
  readonly mesh: () => Mesh | undefined;
  /** What is being served. */
  readonly host: () => Host;
  /** Whether Envoy has been told of a cluster of the service. */
  readonly isServed: (serviceHost: string) => boolean;
  /** Whether Envoy has everything in force. */
  readonly isSettled: () => Promise<boolean>;
  /** Whether Consul has instances of the service. @throws when Consul does not say */
  readonly exists: (serviceHost: string, signal: AbortSignal) => Promise<boolean>;
  /** Serves these, beside what agent.yaml says. */
  readonly call: (services: readonly CalledService[]) => Promise<void>;
  /** Envoy's counters, by name. */
  readonly stats: (filter: string) => Promise<ReadonlyMap<string, number>>;
  readonly log: Log;
}

export class Learner {
  readonly #options: LearnerOptions;
  readonly #stop = new AbortController();
  readonly #pending = new Map<string, Promise<Learnt>>();
  /** Hosts of `#next`. */
  readonly #arriving = new Set<string>();
  #current: Promise<void> = Promise.resolve();
  /** What is served when `#current` is, with all that arrives until then. */
  #next: Promise<void> | undefined;
  /** Until when, by canonical host. */
  readonly #unknown = new Map<string, number>();
  readonly #fresh = new Map<string, number>();
  /** Until when, by canonical host. */
  readonly #leaving = new Map<string, number>();
  #freshTimer: NodeJS.Timeout | undefined;
  #imported: readonly string[] = [];
  /** What `#imported` was made of. */
  #followed: readonly unknown[] = [];
  #lookUps = { sinceMs: 0, count: 0 };
  #counters: ReadonlyMap<string, number> = new Map();
  #looking: Promise<void> | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(options: LearnerOptions) {
    this.#options = options;
  }

  /** Learnt services, with when they were last used in milliseconds since 1970. */
  get services(): readonly { readonly host: string; readonly lastUsedMs: number }[] {
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
    this.#renew();
  }

  /** Learns what a name means; many who ask for one service at a time are one. Never rejects. */
  async learn(name: string): Promise<Learnt> {
    const mesh = this.#options.mesh();
    const host = mesh === undefined ? undefined : meantHost(mesh, name.toLowerCase());
    if (mesh === undefined) return { outcome: 'failed' };
    if (host === undefined || (this.#unknown.get(host) ?? 0) > performance.now()) return { outcome: 'unknown' };
    const pending = this.#pending.get(host);
    if (pending !== undefined) return pending;
    if (this.#pending.size >= MAX_PENDING) return { outcome: 'failed' };
    const learning = this.#learn(mesh, host)
      .catch((error: unknown): Learnt => {
        this.#options.log.warn(
          { service: host, error: errorMessage(error) },
          'a service that is called cannot be learnt',
        );
        return { outcome: 'failed' };
      })
      .finally(() => this.#pending.delete(host));
    this.#pending.set(host, learning);
    return learning;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#freshTimer);
    await this.#looking;
    await this.#save();
  }

  async #learn(mesh: Mesh, host: string): Promise<Learnt> {
    const { store, exists, log } = this.#options;
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(PATIENCE_MS)]);
    const served = this.#upstream(host);
    if (served === undefined || served.isLeaving === true) {
      if (!mayBeCalled(mesh, this.#options.host(), host)) return this.#isUnknown(host);
      if (served === undefined && !mesh.services.has(host)) {
        if (!this.#mayLookUp()) return { outcome: 'failed' };
        if (!(await exists(host, signal))) return this.#isUnknown(host);
      }
      await this.#inForce(host);
    } else {
      store.use(host, Date.now());
      await this.#untilServed([host]);
    }
    const upstream = this.#upstream(host);
    if (upstream !== undefined && this.#isServed(host)) return { outcome: 'found', addresses: dnsAddresses(upstream) };
    log.warn({ service: host }, 'a service was learnt, and Envoy does not have it in time');
    return { outcome: 'failed' };
  }

  /** Has Envoy serve a service, together with all others that are learnt at the time: Envoy is never busy with newer ones. */
  #inForce(host: string): Promise<void> {
    this.#arriving.add(host);
    this.#next ??= this.#current = this.#current.then(async () => {
      this.#next = undefined;
      const hosts = [...this.#arriving];
      this.#arriving.clear();
      await this.#serve(hosts);
    });
    return this.#next;
  }

  async #serve(hosts: readonly string[]): Promise<void> {
    const { store, settings, log } = this.#options;
    const { discovery, consul, upstreams } = settings();
    const max = Math.max(1, Math.min(discovery.max, consul.maxWatches - upstreams.length));
    for (const host of hosts) {
      this.#leave(store.learn(host, Date.now(), max));
      this.#leaving.delete(host);
      this.#fresh.set(host, performance.now() + FRESH_MS);
    }
    log.info({ services: hosts }, 'services are learnt: somebody calls them');
    await this.#options
      .call(this.#called())
      .catch((error: unknown) => log.error({ error: errorMessage(error) }, 'services that are called'));
    void this.#save();
    this.#awaitFreshness();
    await this.#untilServed(hosts);
  }

  /**
   * Waits until Envoy has all of these in force, for a bounded time: where other changes never end, it has been told of
   * these long before, and who comes too early is refused, never let past the rules.
   */
  async #untilServed(hosts: readonly string[]): Promise<void> {
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(SERVE_MS)]);
    while (!signal.aborted) {
      if (hosts.every((host) => this.#isServed(host)) && (await this.#options.isSettled())) return;
      await sleep(POLL_MS, signal);
    }
  }

  #isServed(host: string): boolean {
    const isKnown = (this.#options.mesh()?.services.get(host)?.ports.length ?? 0) > 0;
    return isKnown && this.#upstream(host) !== undefined && this.#options.isServed(host);
  }

  #upstream(host: string): NamedUpstream | undefined {
    return this.#options.host().namedUpstreams?.find(({ serviceHost }) => serviceHost === host);
  }

  #mayLookUp(): boolean {
    const now = performance.now();
    if (now - this.#lookUps.sinceMs > 1000) this.#lookUps = { sinceMs: now, count: 0 };
    this.#lookUps.count += 1;
    return this.#lookUps.count <= MAX_LOOK_UPS_PER_S;
  }

  #isUnknown(host: string): Learnt {
    const oldest = this.#unknown.keys().next();
    if (this.#unknown.size >= MAX_UNKNOWN && oldest.done !== true) this.#unknown.delete(oldest.value);
    this.#unknown.set(host, performance.now() + UNKNOWN_FOR_MS);
    return { outcome: 'unknown' };
  }

  #called(): readonly CalledService[] {
    const wanted = new Set([...this.#imported, ...this.#options.store.hosts]);
    return [...new Set([...wanted, ...this.#leaving.keys()])].map((host) => ({
      host,
      isFresh: this.#fresh.has(host),
      isLeaving: !wanted.has(host),
    }));
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

  #renew(): void {
    this.#options
      .call(this.#called())
      .catch((error: unknown) => this.#options.log.error({ error: errorMessage(error) }, 'services that are called'));
  }

  /** Gives learnt names to Envoy's DNS when nobody waits for an answer: a change of DNS loses questions under way. */
  #awaitFreshness(): void {
    if (this.#freshTimer !== undefined || this.#fresh.size === 0 || this.#stop.signal.aborted) return;
    this.#freshTimer = setTimeout(() => {
      this.#freshTimer = undefined;
      const now = performance.now();
      const ripe = [...this.#fresh].filter(([, untilMs]) => untilMs <= now);
      if (ripe.length > 0 && this.#pending.size === 0) {
        for (const [host] of ripe) this.#fresh.delete(host);
        this.#renew();
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
    const { used, counters } = await usedServices(host(), followed, this.#counters, stats);
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
    if (this.#giveUpLeft() || gone.length > 0) this.#renew();
    await this.#save();
  }

  #save(): Promise<void> {
    this.#saving = this.#saving.then(async () =>
      this.#options.store
        .save()
        .catch((error: unknown) =>
          this.#options.log.warn({ error: errorMessage(error) }, 'learnt services cannot be saved'),
        ),
    );
    return this.#saving;
  }
}
