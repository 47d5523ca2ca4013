/** The clocks by which resources with a time to live are renewed. */
import type { TypeTable } from './type-table.ts';

/** One timer for each type that has such resources. */
export class Heartbeats {
  readonly #beat: (typeUrl: string) => void;
  readonly #timers = new Map<string, { readonly periodMs: number; readonly timer: NodeJS.Timeout }>();

  /** @param beat is to renew what clients hold of a type */
  constructor(beat: (typeUrl: string) => void) {
    this.#beat = beat;
  }

  /** To be called when the table may have changed. Beats at a third of its shortest time to live. */
  plan({ typeUrl, expiring }: TypeTable): void {
    const planned = this.#timers.get(typeUrl);
    let shortestMs = Number.POSITIVE_INFINITY;
    for (const { resource } of expiring.values()) shortestMs = Math.min(shortestMs, resource.ttlMs ?? shortestMs);
    const periodMs = shortestMs / 3;
    if (periodMs === (planned?.periodMs ?? Number.POSITIVE_INFINITY)) return;
    clearInterval(planned?.timer);
    this.#timers.delete(typeUrl);
    if (periodMs === Number.POSITIVE_INFINITY) return;
    this.#timers.set(typeUrl, { periodMs, timer: setInterval(() => this.#beat(typeUrl), periodMs).unref() });
  }

  stop(): void {
    for (const { timer } of this.#timers.values()) clearInterval(timer);
    this.#timers.clear();
  }
}
