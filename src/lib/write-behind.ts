/** Writing down a state that changes often: a moment after a change, seldom while changes go on, and again after a failure. */
import { errorMessage } from './errors.ts';

export interface WriteBehindOptions<T> {
  readonly write: (state: T) => Promise<void>;
  /** From a change to the write, when nothing was written for a while. */
  readonly soonMs: number;
  /** Between two writes at least. */
  readonly betweenMs: number;
  /** From a failure to the next try. */
  readonly retryMs: number;
  /** Gets why a write has failed, unless it is the same as before. */
  readonly onFailure: (reason: string) => void;
}

/** Keeps the newest state alone: what changes before it is written is never written. */
export class WriteBehind<T> {
  readonly #options: WriteBehindOptions<T>;
  #wanted: T | undefined;
  #written: T | undefined;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #writtenAtMs = Number.NEGATIVE_INFINITY;
  #failure: string | undefined;

  constructor(options: WriteBehindOptions<T>) {
    this.#options = options;
  }

  /** What is written, or to be written. */
  get newest(): T | undefined {
    return this.#wanted ?? this.#written;
  }

  /** Why the last write has failed; undefined where it has not. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Has `state` written soon. */
  keep(state: T): void {
    const { soonMs, betweenMs } = this.#options;
    this.#wanted = state;
    this.#writeIn(Math.max(soonMs, this.#writtenAtMs + betweenMs - performance.now()));
  }

  /** Has the newest state written soon, though it is written: it would be written otherwise now. */
  again(): void {
    this.#wanted ??= this.#written;
    this.#written = undefined;
    if (this.#wanted !== undefined) this.#writeIn(this.#options.soonMs);
  }

  /** What was to be written is not, until there is something newer. */
  doubt(): void {
    this.#wanted = undefined;
  }

  /** Writes what is still to be written; what fails is tried again. Never rejects. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#writing;
    await this.#write();
  }

  async #write(): Promise<void> {
    const state = this.#wanted;
    if (state === undefined) return;
    this.#wanted = undefined;
    this.#writtenAtMs = performance.now();
    const { write, retryMs, onFailure } = this.#options;
    try {
      await write(state);
      this.#written = state;
      this.#failure = undefined;
    } catch (error) {
      const reason = errorMessage(error);
      if (reason !== this.#failure) onFailure(reason);
      this.#failure = reason;
      this.#wanted ??= state;
      this.#writeIn(retryMs);
    }
  }

  #writeIn(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#writing = this.#write();
    }, ms).unref();
  }
}
