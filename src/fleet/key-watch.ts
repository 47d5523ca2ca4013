/** Follows one key of Consul's store by blocking queries, one at a time. */
import type { KvEntry, KvStore } from '../consul/kv.ts';
import { Backoff } from '../lib/backoff.ts';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import { sleep } from '../lib/sleep.ts';

/** The longest that Consul allows. */
const WAIT_MS = 600_000;
/** A server that has not heard from its leader for longer is not asked again. */
const MAX_STALE_MS = 10_000;

export interface KeyWatchOptions {
  readonly kv: Pick<KvStore, 'get'>;
  readonly key: string;
  /** Called with each answer that brought something else than the one before; undefined: there is no such key. */
  readonly onValue: (entry: KvEntry | undefined) => void;
  /** Why there is no newer answer; undefined: there is one again. */
  readonly onError: (error: TrysailError | undefined) => void;
}

export class KeyWatch {
  readonly #options: KeyWatchOptions;
  readonly #stop = new AbortController();
  readonly #errors = new Backoff({ baseMs: 250, maxMs: 30_000 });
  /** A key that does not exist wakes its watchers whenever a neighbour is written. */
  readonly #quiet = new Backoff({ baseMs: 100, maxMs: 5000 });
  #index = 0;
  #seen: number | undefined;
  #consistent = false;
  /** Whether Consul has answered. */
  answered = false;
  failing = false;

  constructor(options: KeyWatchOptions) {
    this.#options = options;
    void this.#run();
  }

  stop(): void {
    this.#stop.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      let pauseMs: number;
      try {
        pauseMs = await this.#readOnce(signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#index = 0;
        this.failing = true;
        this.#options.onError(
          error instanceof TrysailError ? error : new TrysailError('CONSUL_WATCH_FAILED', errorMessage(error)),
        );
        pauseMs = this.#errors.nextMs();
      }
      if (pauseMs > 0) await sleep(pauseMs, signal);
    }
  }

  async #readOnce(signal: AbortSignal): Promise<number> {
    const { kv, key, onValue, onError } = this.#options;
    const stale = !this.#consistent;
    const answer = await kv.get(key, { index: this.#consistent ? 0 : this.#index, waitMs: WAIT_MS, stale, signal });
    signal.throwIfAborted();
    const tooStale = !answer.knownLeader || answer.lastContactMs > MAX_STALE_MS;
    const backwards = answer.index < this.#index;
    const again = (tooStale || backwards) && !this.#consistent;
    this.#consistent = again;
    if (again && this.answered) return 0;
    this.#index = answer.index;
    this.#errors.reset();
    this.answered = true;
    if (this.failing) {
      this.failing = false;
      onError(undefined);
    }
    const version = answer.value?.modifyIndex ?? 0;
    if (version === this.#seen) return this.#quiet.nextMs();
    this.#quiet.reset();
    this.#seen = version;
    onValue(answer.value);
    return 0;
  }
}
