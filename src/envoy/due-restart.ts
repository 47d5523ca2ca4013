/** The hot restart that is still to be done: why, and when it may be tried. */
import { Backoff, type BackoffOptions } from '../lib/backoff.ts';
import { sleep } from '../lib/sleep.ts';

/** How often an earlier hot restart is looked at, to whose end another one waits. */
const POLL_MS = 100;

export class DueRestart {
  #due: { readonly reason: string; readonly atMs: number } | undefined;
  readonly #backoff: Backoff;
  #reconsider = Promise.withResolvers<'reconsider'>();

  /** @param backoff between two tries */
  constructor(backoff: BackoffOptions) {
    this.#backoff = new Backoff(backoff);
  }

  /** It may be tried at once. */
  now(reason: string): void {
    this.#due = { reason, atMs: Date.now() };
  }

  /** Something else is wanted than before: at once, and whoever waits for an earlier one waits for this. */
  anew(reason: string): void {
    this.now(reason);
    this.#backoff.reset();
    this.#reconsider.resolve('reconsider');
  }

  /** It has failed, and is tried again. Returns after how many milliseconds. */
  again(reason: string): number {
    const retryAfterMs = this.#backoff.nextMs();
    this.#due = { reason, atMs: Date.now() + retryAfterMs };
    return retryAfterMs;
  }

  /** One has succeeded. */
  succeeded(): void {
    this.#backoff.reset();
  }

  /** It is done now: what for. */
  take(): string {
    const { reason = '' } = this.#due ?? {};
    this.#due = undefined;
    return reason;
  }

  /** Resolves when another one is wanted, from now on. */
  async reconsidered(): Promise<'reconsider'> {
    this.#reconsider = Promise.withResolvers();
    return this.#reconsider.promise;
  }

  /**
   * When the one that waits may be tried: at its time, and with no earlier one under way.
   * @param isFree whether there is no earlier one
   */
  async until(isFree: () => boolean, signal: AbortSignal): Promise<'due' | 'aborted'> {
    const due = this.#due;
    // Whoever sets it lets the supervision begin anew.
    if (due === undefined) return new Promise(() => undefined);
    let waitMs = due.atMs - Date.now();
    while (await sleep(Math.max(0, waitMs), signal)) {
      if (isFree()) return 'due';
      waitMs = POLL_MS;
    }
    return 'aborted';
  }
}
