/** The Envoys of one host that run side by side in a hot restart, and which of them serves. */
import type { LiveEnvoy } from './live-envoy.ts';
import { isRunning } from './process-identity.ts';

export class Generations {
  #newest: LiveEnvoy | undefined;
  #older: readonly LiveEnvoy[] = [];
  #hasServed = false;
  /** Of an Envoy that does not answer: if it does not hand over, it is ended. */
  #silentPid: number | undefined;
  /** Of Envoys that have handed over and accept nothing any more. */
  readonly #replaced = new Set<number>();

  /** Whether it serves yet or not. */
  get newest(): LiveEnvoy | undefined {
    return this.#newest;
  }

  /** Predecessors of the newest, oldest first. */
  get older(): readonly LiveEnvoy[] {
    return this.#older;
  }

  /** Whether the newest has been ready. */
  get hasServed(): boolean {
    return this.#hasServed;
  }

  get pids(): readonly number[] {
    return [...this.#older, ...(this.#newest === undefined ? [] : [this.#newest])].map(({ identity }) => identity.pid);
  }

  /** What an earlier agent left. */
  find(newest: LiveEnvoy, older: readonly LiveEnvoy[]): void {
    this.#newest = newest;
    this.#older = [...older, ...this.#older];
  }

  /** What is known of the newest, which was found. @param answers whether its admin interface does */
  judge({ serves, answers }: { readonly serves: boolean; readonly answers: boolean }): void {
    this.#hasServed = serves;
    if (!answers) this.#silentPid = this.#newest?.identity.pid;
  }

  /** A new one has been started. @param from the one that it succeeds */
  start(envoy: LiveEnvoy, from: LiveEnvoy | undefined): void {
    if (from !== undefined) this.#older = [...this.#older.filter((older) => older !== from), from];
    this.#newest = envoy;
    this.#hasServed = false;
  }

  /** The newest is ready. Returns whether it has taken over from others by that. */
  serve(): boolean {
    const tookOver = !this.#hasServed && this.#older.length > 0;
    this.#hasServed = true;
    if (!tookOver) return false;
    this.#silentPid = undefined;
    for (const { identity } of this.#older) this.#replaced.add(identity.pid);
    return true;
  }

  /** The newest is gone, or never came. */
  lose(): void {
    this.#newest?.release();
    this.#newest = undefined;
  }

  /** One of before is the newest again. */
  returnTo(older: LiveEnvoy): void {
    this.#older = this.#older.filter((each) => each !== older);
    this.#newest = older;
    this.#hasServed = true;
  }

  /** A predecessor is gone. */
  forget(older: LiveEnvoy): void {
    older.release();
    this.#replaced.delete(older.identity.pid);
    this.#older = this.#older.filter((each) => each !== older);
  }

  /** The newest predecessor that runs. */
  survivor(): LiveEnvoy | undefined {
    this.#older = this.#older.filter(({ identity }) => isRunning(identity));
    return this.#older.at(-1);
  }

  /** Whether one still accepts connections, as far as is known. */
  accepts({ identity: { pid } }: LiveEnvoy): boolean {
    return pid !== this.#silentPid && !this.#replaced.has(pid);
  }

  /** Lets go of all of them. */
  release(): void {
    for (const each of [this.#newest, ...this.#older]) each?.release();
    this.#newest = undefined;
    this.#older = [];
  }
}
