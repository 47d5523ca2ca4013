/**
 * Learns services when they are first called: whoever asks for a name that nobody has declared waits until Envoy has the
 * service with all of its rules, two seconds at most.
 */
import { errorMessage } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { sleep } from '../lib/sleep.ts';
import type { Host, NamedUpstream } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import { dnsAddresses } from '../translate/dns/dns-names.ts';
import { mayBeCalled, meantHost } from './called-names.ts';
import type { CalledServices } from './called-services.ts';

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

/** What a look-up gave: addresses, nothing of that name, or no answer in time. */
export type Learnt =
  | { readonly outcome: 'found'; readonly addresses: readonly string[] }
  | { readonly outcome: 'unknown' | 'failed' };

export interface LearnerOptions {
  /** Gets what is learnt. */
  readonly called: Pick<CalledServices, 'learn' | 'use'>;
  readonly mesh: () => Mesh | undefined;
  /** What is being served. */
  readonly host: () => Host;
  /** Whether Envoy has been told of a cluster of the service. */
  readonly isServed: (serviceHost: string) => boolean;
  /** Whether Envoy has everything in force. */
  readonly isSettled: () => Promise<boolean>;
  /** Whether Consul has instances of the service. @throws when Consul does not say */
  readonly exists: (serviceHost: string, signal: AbortSignal) => Promise<boolean>;
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
  #lookUps = { sinceMs: 0, count: 0 };

  constructor(options: LearnerOptions) {
    this.#options = options;
  }

  /** Whether somebody waits for an answer. */
  get isAsked(): boolean {
    return this.#pending.size > 0;
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

  /** Nobody is waited for any longer. */
  stop(): void {
    this.#stop.abort();
  }

  async #learn(mesh: Mesh, host: string): Promise<Learnt> {
    const { called, exists, log } = this.#options;
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
      called.use(host);
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
      await this.#options.called.learn(hosts);
      await this.#untilServed(hosts);
    });
    return this.#next;
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
}
