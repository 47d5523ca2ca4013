/** Follows one service in Consul by blocking queries: one request at a time, for as long as the service is of interest. */
import type { Answer } from '../consul/answer.ts';
import type { ConsulClient } from '../consul/client.ts';
import type { HealthEntry } from '../consul/health.ts';
import { Backoff } from '../lib/backoff.ts';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import { sleep } from '../lib/sleep.ts';
import type { Slots } from '../lib/slots.ts';
import type { Sentinel } from './catalogue-sentinel.ts';

/** The longest that Consul allows. */
const WAIT_MS = 600_000;
/** A server that has not heard from the leader for longer is asked again through the leader. */
const MAX_STALE_MS = 10_000;
/** The gap before the next read: a millisecond for so many bytes of the last answer. */
const BYTES_PER_MS = 10_000;
const MAX_GAP_MS = 5000;
/** The first gap after an answer that brought nothing new, before the wait was over. */
const QUIET_GAP_MS = 20;
const MAX_QUIET_GAP_MS = 1000;

/** What a watch tells its owner. */
export interface ServiceWatchEvents {
  /**
   * A believable answer. Returns whether it brought anything new.
   * @param afterLoss whether Consul was away before it or has started over, so that what is missing may come back
   */
  onAnswer(service: string, entries: readonly HealthEntry[], afterLoss: boolean): boolean;
  /** `status` has changed without an answer. */
  onStatus(): void;
  /** How many instances are known; undefined before the first answer. */
  known(service: string): number | undefined;
}

/** How a watch stands. */
export interface ServiceWatchStatus {
  readonly service: string;
  /** Consul's index of the last answer; 0 when the next read starts over. */
  readonly index: number;
  /** When the last believable answer came, in milliseconds since the epoch. */
  readonly answeredAtMs: number | undefined;
  /** For how long the server that answered had not heard from its leader, in milliseconds. */
  readonly lastContactMs: number;
  /** Why there is no newer answer. */
  readonly error: TrysailError | undefined;
  /** Whether an empty answer was not believed. */
  readonly hidden: boolean;
}

export interface ServiceWatchOptions {
  readonly service: string;
  readonly client: Pick<ConsulClient, 'health'>;
  readonly sentinel: Sentinel;
  readonly gate: Slots;
  readonly events: ServiceWatchEvents;
}

function asTrysailError(error: unknown): TrysailError {
  return error instanceof TrysailError
    ? error
    : new TrysailError('CONSUL_WATCH_FAILED', errorMessage(error), { cause: error });
}

/** A running watch; it starts with its construction and ends with `stop`. */
export class ServiceWatch {
  readonly #options: ServiceWatchOptions;
  readonly #stop = new AbortController();
  readonly #errorBackoff = new Backoff({ baseMs: 250, maxMs: 30_000 });
  readonly #hiddenBackoff = new Backoff({ baseMs: 1000, maxMs: 30_000 });
  readonly #quietBackoff = new Backoff({ baseMs: QUIET_GAP_MS, maxMs: MAX_QUIET_GAP_MS });
  #status: ServiceWatchStatus;
  /** Whether the leader itself has to answer next. */
  #consistent = false;
  /** The highest index seen since Consul last started over. */
  #highest = 0;

  constructor(options: ServiceWatchOptions) {
    this.#options = options;
    this.#status = {
      service: options.service,
      index: 0,
      answeredAtMs: undefined,
      lastContactMs: 0,
      error: undefined,
      hidden: false,
    };
    void this.#run();
  }

  get status(): ServiceWatchStatus {
    return this.#status;
  }

  stop(): void {
    this.#stop.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      let pauseMs: number;
      try {
        pauseMs = await this.#readOnce();
      } catch (error) {
        if (signal.aborted) return;
        // A Consul that comes back may count from the start again and would let us wait for an index it never reaches.
        this.#set({ index: 0, error: asTrysailError(error) });
        pauseMs = this.#errorBackoff.nextMs();
      }
      if (pauseMs > 0) await sleep(pauseMs, signal);
    }
  }

  /** One request and what follows from it; returns the pause before the next one in milliseconds. */
  async #readOnce(): Promise<number> {
    const { service, events, sentinel } = this.#options;
    const asked = this.#status.index;
    const startedAt = performance.now();
    const answer = await this.#ask(asked);
    const arrivedAt = performance.now();
    this.#stop.signal.throwIfAborted();

    const known = events.known(service);
    const fromLeader = this.#consistent;
    const backwards = answer.index < this.#highest;
    const tooStale = !answer.knownLeader || answer.lastContactMs > MAX_STALE_MS;
    // A lower index comes from a server that lags behind, or from a Consul that has lost its data: the leader knows.
    this.#consistent = (tooStale || backwards) && !fromLeader;
    if (this.#consistent && this.#status.answeredAtMs !== undefined) {
      if (!tooStale) return 0;
      this.#set({ index: 0, lastContactMs: answer.lastContactMs });
      return this.#errorBackoff.nextMs();
    }
    if (answer.value.length === 0 && known !== 0) {
      const believable = !answer.filteredByAcl && (await sentinel.visible(arrivedAt));
      this.#stop.signal.throwIfAborted();
      if (!believable) {
        this.#errorBackoff.reset();
        this.#set({ index: 0, error: undefined, hidden: true });
        return this.#hiddenBackoff.nextMs();
      }
    }

    this.#errorBackoff.reset();
    this.#hiddenBackoff.reset();
    const statusBefore = this.#status;
    this.#highest = answer.index;
    this.#status = {
      service,
      index: tooStale ? 0 : Math.max(1, answer.index),
      answeredAtMs: Date.now(),
      lastContactMs: answer.lastContactMs,
      error: undefined,
      hidden: false,
    };
    const isNew = events.onAnswer(service, answer.value, backwards || statusBefore.error !== undefined);

    const gapMs = Math.min(MAX_GAP_MS, answer.bytes / BYTES_PER_MS);
    const early = arrivedAt - startedAt < WAIT_MS;
    if (!isNew && (asked === 0 || early)) return Math.max(gapMs, this.#quietBackoff.nextMs());
    this.#quietBackoff.reset();
    return gapMs < 1 ? 0 : gapMs;
  }

  #ask(index: number): Promise<Answer<readonly HealthEntry[]>> {
    const { service, client, gate } = this.#options;
    const { signal } = this.#stop;
    const mode = this.#consistent ? {} : { stale: true, cached: true };
    const read = (): Promise<Answer<readonly HealthEntry[]>> =>
      // The leader is asked for what is, not for the next change.
      client.health(service, { index: this.#consistent ? 0 : index, waitMs: WAIT_MS, signal, ...mode });
    return index === 0 || this.#consistent ? gate.run(read) : read();
  }

  #set(change: Partial<ServiceWatchStatus>): void {
    this.#status = { ...this.#status, ...change };
    this.#options.events.onStatus();
  }
}
