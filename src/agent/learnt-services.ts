/** The services that were learnt when they were first called: bounded, kept while used, and over restarts of the agent. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { writeFileAtomic } from '../lib/atomic-file.ts';

const STORED = z.object({
  version: z.literal(1),
  services: z.array(
    z.object({
      host: z.string().check(z.minLength(1), z.maxLength(253)),
      lastUsedMs: z.number().check(z.minimum(0)),
    }),
  ),
});

/** Such as `/var/lib/trysail/learnt.json`. */
export function learntFile(stateDir: string): string {
  return join(stateDir, 'learnt.json');
}

/** Canonical hosts, each with when it was last used, in milliseconds since 1970. */
export class LearntServices {
  readonly #file: string;
  readonly #lastUsed: Map<string, number>;
  #stored: string;

  private constructor(file: string, lastUsed: Map<string, number>) {
    this.#file = file;
    this.#lastUsed = lastUsed;
    this.#stored = JSON.stringify([...lastUsed]);
  }

  /** Reads what an earlier agent has learnt. A file that cannot be read is as none: it is learnt again. Never rejects. */
  static async open(stateDir: string, nowMs = Date.now()): Promise<LearntServices> {
    const file = learntFile(stateDir);
    const stored = await readFile(file, 'utf8')
      .then((text) => z.parse(STORED, JSON.parse(text)).services)
      .catch(() => []);
    // A clock that was ahead must not keep a service for ever.
    return new LearntServices(file, new Map(stored.map(({ host, lastUsedMs }) => [host, Math.min(lastUsedMs, nowMs)])));
  }

  /** Sorted. */
  get hosts(): readonly string[] {
    return [...this.#lastUsed.keys()].toSorted();
  }

  has(host: string): boolean {
    return this.#lastUsed.has(host);
  }

  lastUsedMs(host: string): number | undefined {
    return this.#lastUsed.get(host);
  }

  /** Learns a service. Of more than `max` those go that are unused for longest; returns them. */
  learn(host: string, nowMs: number, max: number): readonly string[] {
    this.#lastUsed.set(host, nowMs);
    const others = [...this.#lastUsed].filter(([other]) => other !== host).toSorted(([, a], [, b]) => a - b);
    const gone = others.slice(0, Math.max(0, others.length + 1 - max)).map(([other]) => other);
    for (const old of gone) this.#lastUsed.delete(old);
    return gone;
  }

  /** A service is used now. One that is not known stays unknown. */
  use(host: string, nowMs: number): void {
    if (this.#lastUsed.has(host)) this.#lastUsed.set(host, nowMs);
  }

  /** Drops what was last used before `sinceMs`; returns what is gone. */
  dropUnused(sinceMs: number): readonly string[] {
    const gone = [...this.#lastUsed].flatMap(([host, lastUsedMs]) => (lastUsedMs < sinceMs ? [host] : []));
    for (const host of gone) this.#lastUsed.delete(host);
    return gone;
  }

  /** Writes the file if what it should hold has changed. @throws what the file system says */
  async save(): Promise<void> {
    const stored = JSON.stringify([...this.#lastUsed]);
    if (stored === this.#stored) return;
    const services = [...this.#lastUsed].map(([host, lastUsedMs]) => ({ host, lastUsedMs }));
    await writeFileAtomic(this.#file, `${JSON.stringify({ version: 1, services }, undefined, 1)}\n`);
    this.#stored = stored;
  }
}
