/**
 * Instances that were known before Consul was away or lost its data, and that it does not have now: mostly their agents
 * register them again within seconds. They are kept for a bounded time, each until it comes back.
 */
import type { CatalogueInstance } from './catalogue-state.ts';

/** For how long: agents register again within seconds, Consul's own anti-entropy takes a minute. */
export const MAX_LOST_MS = 60_000;

/** Which services are in that time, and what is kept of them. */
export class LostInstances {
  /** By service: the end of its time. */
  readonly #untilMs = new Map<string, number>();
  /** By service: how many are kept. */
  readonly #kept = new Map<string, number>();

  /** Names of the services of which instances are kept. */
  get services(): readonly string[] {
    return [...this.#kept.keys()];
  }

  /** From now until `untilMs`, what a service loses is kept. */
  begin(service: string, untilMs: number): void {
    this.#untilMs.set(service, untilMs);
  }

  end(service: string): void {
    this.#untilMs.delete(service);
    this.#kept.delete(service);
  }

  /** What is to be published: `next`, and during that time also what `published` has beyond it; sorted by id. */
  merge(
    service: string,
    published: readonly CatalogueInstance[],
    next: readonly CatalogueInstance[],
    nowMs: number,
  ): readonly CatalogueInstance[] {
    const untilMs = this.#untilMs.get(service);
    if (untilMs === undefined) return next;
    if (nowMs >= untilMs) {
      this.end(service);
      return next;
    }
    const there = new Set(next.map((instance) => instance.id));
    const lost = published.filter((instance) => !there.has(instance.id));
    if (lost.length === 0) {
      this.#kept.delete(service);
      return next;
    }
    this.#kept.set(service, lost.length);
    return [...next, ...lost].sort((a, b) => (a.id < b.id ? -1 : 1));
  }
}
