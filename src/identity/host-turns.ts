/** One after the other for each host, so that two requests cannot both find its name free, or undo each other's record. */

export class HostTurns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Runs `work` when all earlier work for the host has ended. */
  async run<T>(host: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(host) ?? Promise.resolve();
    const mine = before.then(work, work);
    this.#last.set(host, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(host) === mine) this.#last.delete(host);
    }
  }
}
