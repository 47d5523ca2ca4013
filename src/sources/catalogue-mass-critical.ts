/**
 * Tells a failure of Consul's gossip from instances that fail one by one. When most of what was healthy is declared dead
 * at once, by the node check alone, it is far likelier that the declaration is wrong: then the endpoints from before are
 * held for a bounded time. Were they really dead, holding them would cost little, since hardly any others are left and
 * Envoy's own outlier detection judges each by its answers.
 */
import type { CatalogueConfig } from '../model/mesh-config.ts';
import type { CatalogueReading } from './catalogue-instances.ts';
import type { CatalogueInstance } from './catalogue-state.ts';

/** "At once": gossip declares the nodes of a partition dead within about this time of each other. */
const WINDOW_MS = 30_000;
/** Fewer nodes than that fail together for ordinary reasons. */
const MIN_NODES = 3;

/** A hold in force. Times are those of the clock that was passed in. */
export interface Hold {
  readonly sinceMs: number;
  readonly untilMs: number;
  /** How many instances are held. */
  readonly held: number;
  /** Of how many that were healthy. */
  readonly of: number;
}

interface Failed {
  readonly before: CatalogueInstance;
  readonly atMs: number;
}

/** The judgement over all watched services together. Its owner calls `evaluate` after readings and when a hold ends. */
export class MassCriticalGuard {
  readonly #config: Pick<CatalogueConfig, 'massCriticalShare' | 'holdMs'>;
  /** By service: how many instances are not critical. */
  readonly #healthy = new Map<string, number>();
  /** By service and instance: those that were healthy before their node was declared dead. */
  readonly #failed = new Map<string, Map<string, Failed>>();
  #hold: { readonly sinceMs: number; readonly untilMs: number } | undefined;

  constructor(config: Pick<CatalogueConfig, 'massCriticalShare' | 'holdMs'>) {
    this.#config = config;
  }

  get hold(): Hold | undefined {
    if (this.#hold === undefined) return undefined;
    const { failed, healthy } = this.#count();
    return { ...this.#hold, held: failed, of: failed + healthy };
  }

  /** Takes instances of a last good state for known ones. */
  seed(service: string, instances: readonly CatalogueInstance[]): void {
    this.#healthy.set(service, instances.filter((i) => i.status !== 'critical').length);
  }

  /** Takes note of a reading. `published` is what was last published of the service. */
  observe(
    service: string,
    published: readonly CatalogueInstance[] | undefined,
    reading: CatalogueReading,
    nowMs: number,
  ): void {
    this.seed(service, reading.instances);
    const known = this.#failed.get(service);
    if (reading.gossipFailed.size === 0) {
      this.#failed.delete(service);
      return;
    }
    const next = new Map<string, Failed>();
    for (const [id, failed] of known ?? []) if (reading.gossipFailed.has(id)) next.set(id, failed);
    for (const before of published ?? []) {
      if (before.status === 'critical' || next.has(before.id) || !reading.gossipFailed.has(before.id)) continue;
      next.set(before.id, { before, atMs: nowMs });
    }
    if (next.size === 0) this.#failed.delete(service);
    else this.#failed.set(service, next);
  }

  /** A service that is no longer watched. */
  forget(service: string): void {
    this.#healthy.delete(service);
    this.#failed.delete(service);
  }

  /** Starts or ends a hold. Returns whether that happened: then what is published of every service may differ. */
  evaluate(nowMs: number): boolean {
    const { massCriticalShare, holdMs } = this.#config;
    if (this.#hold === undefined) {
      this.#dropOlderThan(nowMs - WINDOW_MS);
      const { failed, healthy, nodes } = this.#count();
      if (nodes < MIN_NODES || failed < massCriticalShare * (failed + healthy) || holdMs <= 0) return false;
      this.#hold = { sinceMs: nowMs, untilMs: nowMs + holdMs };
      return true;
    }
    const { failed, healthy } = this.#count();
    // Half the share: a recovery that has only begun must not end the hold for those that are still to come.
    if (nowMs < this.#hold.untilMs && failed > 0 && failed >= (massCriticalShare / 2) * (failed + healthy))
      return false;
    this.#hold = undefined;
    this.#failed.clear();
    return true;
  }

  /** What is to be published of a service: the reading's instances, with the held ones as they were before. */
  publish(service: string, instances: readonly CatalogueInstance[]): readonly CatalogueInstance[] {
    const failed = this.#hold === undefined ? undefined : this.#failed.get(service);
    return failed === undefined ? instances : instances.map((instance) => failed.get(instance.id)?.before ?? instance);
  }

  #dropOlderThan(limitMs: number): void {
    for (const [service, failed] of this.#failed) {
      for (const [id, { atMs }] of failed) if (atMs < limitMs) failed.delete(id);
      if (failed.size === 0) this.#failed.delete(service);
    }
  }

  #count(): { readonly failed: number; readonly healthy: number; readonly nodes: number } {
    const nodes = new Set<string>();
    let failed = 0;
    for (const instances of this.#failed.values()) {
      failed += instances.size;
      for (const { before } of instances.values()) nodes.add(before.node);
    }
    let healthy = 0;
    for (const count of this.#healthy.values()) healthy += count;
    return { failed, healthy, nodes: nodes.size };
  }
}
