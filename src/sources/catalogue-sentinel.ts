/**
 * Whether an empty answer can be believed: Consul gives a token that may read nothing an empty list, not an error. The
 * sentinel is a service that every token of the mesh sees; while it is invisible, empty means nothing.
 */
import type { ConsulClient } from '../consul/client.ts';

/** Asks for the sentinel, once for all who ask at the same time. */
export class Sentinel {
  readonly #client: Pick<ConsulClient, 'health'>;
  readonly #service: string;
  readonly #signal: AbortSignal;
  #current: { readonly startedAt: number; readonly visible: Promise<boolean> } | undefined;

  constructor(client: Pick<ConsulClient, 'health'>, service: string, signal: AbortSignal) {
    this.#client = client;
    this.#service = service;
    this.#signal = signal;
  }

  /**
   * Whether the sentinel is visible to the token, found out after `since` (of performance.now()): an older finding would
   * not see a right that was taken away just before the empty answer. Rejects with what the client rejects with.
   */
  visible(since: number): Promise<boolean> {
    if (this.#current !== undefined && this.#current.startedAt >= since) return this.#current.visible;
    const visible = this.#client
      .health(this.#service, { stale: true, signal: this.#signal })
      .then((answer) => answer.value.length > 0);
    this.#current = { startedAt: performance.now(), visible };
    return visible;
  }
}
