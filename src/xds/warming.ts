/** The endpoints that changed clusters of one client wait for before they are in service: who refers to them waits too. */

export class Warming {
  /** By name of the endpoints: the change that waits for them, and since when by `performance.now()`. */
  readonly #waiting = new Map<string, { readonly generation: number; readonly sinceMs: number }>();

  /** A cluster that was sent waits for these. */
  begin(name: string, generation: number, sinceMs: number): void {
    this.#waiting.set(name, { generation, sinceMs });
  }

  /** Whether a change up to `generation` waits, and has not done so since before `oldestMs`. */
  isUnderWay(generation: number, oldestMs: number): boolean {
    for (const waiting of this.#waiting.values())
      if (waiting.generation <= generation && waiting.sinceMs > oldestMs) return true;
    return false;
  }

  /** The client has these, as of then. */
  end(endpoints: Iterable<{ readonly name: string }>, sentAtMs: number): void {
    if (this.#waiting.size === 0) return;
    for (const { name } of endpoints) {
      const waiting = this.#waiting.get(name);
      if (waiting !== undefined && waiting.sinceMs <= sentAtMs) this.#waiting.delete(name);
    }
  }

  /** The client will not ask for these. */
  giveUp(names: Iterable<string>): void {
    for (const name of names) this.#waiting.delete(name);
  }

  /** Nobody waits any longer for what was awaited before `oldestMs`. */
  expire(oldestMs: number): void {
    for (const [name, { sinceMs }] of this.#waiting) if (sinceMs <= oldestMs) this.#waiting.delete(name);
  }

  clear(): void {
    this.#waiting.clear();
  }
}
