/**
 * Whether Consul's servers have what this host's Consul agent has registered. They may lack it for more than a minute when
 * they were away while the host rebooted: they take the node for one that has left, and its agent believes that it has
 * told them. Looked at for a while after a start alone, since ten thousand hosts would ask for nothing otherwise.
 */
import type { ConsulClient } from '../consul/client.ts';

/** As long as no server answers, and so long after that. */
const WATCH_MS = 180_000;
const EVERY_MS = 10_000;
/** A token that may not read the service sees none, however often it is written. */
const MAX_REPAIRS = 3;

export interface CatalogueLookOptions {
  readonly client: Pick<ConsulClient, 'catalogHas'>;
  /** Default 10,000. */
  readonly everyMs?: number;
}

export class CatalogueLook {
  readonly #options: CatalogueLookOptions;
  readonly #repairs = new Map<string, number>();
  #untilMs = performance.now() + WATCH_MS;
  #nextMs = 0;

  constructor(options: CatalogueLookOptions) {
    this.#options = options;
    this.#nextMs = performance.now() + (options.everyMs ?? EVERY_MS);
  }

  /**
   * Ids of these services (by id: the name in Consul) that the servers lack, to be registered once more. Empty between two
   * looks, and when nothing has to be feared any more. Rejects with the signal's reason alone.
   */
  async missing(services: ReadonlyMap<string, string>, signal: AbortSignal): Promise<ReadonlySet<string>> {
    const nowMs = performance.now();
    const missing = new Set<string>();
    if (nowMs < this.#nextMs || nowMs > this.#untilMs) return missing;
    this.#nextMs = nowMs + (this.#options.everyMs ?? EVERY_MS);
    for (const [id, name] of services) {
      const repairs = this.#repairs.get(id) ?? 0;
      if (repairs >= MAX_REPAIRS) continue;
      try {
        if (await this.#options.client.catalogHas(name, id, signal)) continue;
      } catch {
        signal.throwIfAborted();
        this.#untilMs = performance.now() + WATCH_MS;
        return missing;
      }
      this.#repairs.set(id, repairs + 1);
      missing.add(id);
    }
    return missing;
  }
}
