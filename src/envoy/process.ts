/**
 * The life of the host's Envoy: started apart from the agent by way of the launcher, adopted by the next agent, started
 * again when it ends by itself, replaced by hot restart when another one is wanted.
 *
 * Every way out of a running Envoy:
 * 1. it ends by itself (crash, SIGTERM by a person, OOM): `backoff`, then a new one;
 * 2. `stop()`: drain, SIGTERM, SIGKILL; with a launcher of systemd's the same as 3;
 * 3. `leave()`: nothing happens to it, we let go;
 * 4. another bootstrap, other arguments or another program are wanted: a hot restart. Its successor initialises, takes
 *    the listening sockets over and ends it when its connections had time to close. A successor that fails leaves it
 *    serving, and is tried again;
 * 5. the same where the two cannot share: drained, ended, then the new one is started.
 */
import { mkdir } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { Backoff } from '../lib/backoff.ts';
import { errorMessage } from '../lib/errors.ts';
import { sleep } from '../lib/sleep.ts';
import { AdminClient } from './admin.ts';
import type { Wanted } from './adoption.ts';
import { parentShutdownMs, withWorkersOf } from './arguments.ts';
import { bootstrapText } from './bootstrap.ts';
import type { DrainOptions } from './drain.ts';
import { DueRestart } from './due-restart.ts';
import { EnvoyLog } from './envoy-log.ts';
import { EnvoyStanding } from './envoy-standing.ts';
import type { EnvoyStatus } from './envoy-state.ts';
import { type EnvoyFailure, exitFailure, spawnFailure } from './failure.ts';
import { type EnvoyFiles, envoyFiles } from './files.ts';
import { Generations } from './generations.ts';
import { keepRecord } from './keep-record.ts';
import { type LiveEnvoy, terminate } from './live-envoy.ts';
import { commandLine } from './process-identity.ts';
import { type EnvoyChange, type EnvoyProcessOptions, wantedOf } from './process-options.ts';
import { describeWait } from './readiness.ts';
import { type Retirement, retire } from './retire.ts';
import { runDirError, startEnvoy } from './start-envoy.ts';
import { Succession } from './succession.ts';
import { type Stock, takeStock } from './take-stock.ts';
import { type Watching, watchEnvoy } from './watch-envoy.ts';

/** An Envoy that ran for this long is a new story: its next end is met with the shortest wait. */
const STABLE_MS = 10_000;
/** Nobody accepts connections between the old Envoy's drain and the new one's start: keep it short. */
const REPLACE_DRAIN_MS = 2000;
/** Between two tries of a hot restart: what failed once costs the running Envoy its admin interface each time. */
const HOT_RESTART_BACKOFF = { baseMs: 2000, maxMs: 300_000 } as const;

/** The supervisor of one Envoy. `start` once; then `stop` or `leave` once. */
export class EnvoyProcess {
  readonly admin: AdminClient;
  #options: EnvoyProcessOptions;
  readonly #launcherDir: string;
  readonly #files: EnvoyFiles;
  #text: string;
  readonly #backoff: Backoff;
  readonly #envoyLog: EnvoyLog;
  readonly #standing: EnvoyStanding;
  readonly #generations = new Generations();
  /** The hot restart that the running Envoy is to be replaced by. */
  readonly #due: DueRestart;
  readonly #succession: Succession;
  #wanted: Wanted;
  readonly #ending = new AbortController();
  #supervision: Promise<void> = Promise.resolve();

  constructor(options: EnvoyProcessOptions) {
    this.#options = options;
    this.#launcherDir = options.launcher.dir ?? options.runDir;
    this.#files = envoyFiles(options.runDir);
    this.#text = bootstrapText(options.bootstrap);
    this.#backoff = new Backoff(options.backoff ?? { baseMs: 50, maxMs: 10_000 });
    this.#due = new DueRestart(options.hotRestartBackoff ?? HOT_RESTART_BACKOFF);
    this.#standing = new EnvoyStanding(options.onChange);
    this.#succession = new Succession({
      standing: this.#standing,
      generations: this.#generations,
      due: this.#due,
      log: options.log,
      launch: async (from) => this.#launch(from),
    });
    this.admin = new AdminClient(options.adminSocket);
    this.#envoyLog = new EnvoyLog(this.#files.log, options.log);
    this.#wanted = wantedOf(options, this.#files, this.#launcherDir, this.#text);
  }

  get status(): EnvoyStatus {
    return this.#standing.status;
  }

  /** The processes whose listeners are this Envoy's, those of Envoys that it has replaced included. */
  get pids(): readonly number[] {
    return this.#generations.pids;
  }

  /**
   * Adopts the Envoy that runs already, or starts one, and keeps it running. Resolves when a process runs, or when the
   * first try has failed: `status` tells which, and tries go on.
   * @throws TrysailError ENVOY_RUN_DIR when the run folder cannot be used
   */
  async start(): Promise<void> {
    try {
      await mkdir(this.#options.runDir, { recursive: true, mode: 0o700 });
      await this.#envoyLog.start();
    } catch (error) {
      throw runDirError(this.#options.runDir, errorMessage(error), error);
    }
    const first = this.#takeStock();
    this.#supervision = first.then(async () => this.#supervise());
    await first;
  }

  /**
   * Resolves when Envoy is ready, whatever it takes.
   * @throws TrysailError with the code of the last failure, or ENVOY_NOT_READY, when `signal` aborts first
   */
  async ready(signal: AbortSignal): Promise<void> {
    return this.#standing.ready(signal, async () => this.#waitingFor());
  }

  /**
   * What is wanted from now on. An Envoy that runs with something else is replaced by hot restart; returns whether it is
   * something else than before.
   */
  reconfigure(change: EnvoyChange): boolean {
    const before = this.#wanted;
    this.#options = { ...this.#options, ...change };
    this.#text = bootstrapText(change.bootstrap);
    this.#wanted = wantedOf(this.#options, this.#files, this.#launcherDir, this.#text);
    const after = { ...this.#wanted, args: this.#argsAfter(this.#generations.newest) };
    if (isDeepStrictEqual(before, this.#wanted) || isDeepStrictEqual(before, after)) return false;
    const what = before.bootstrapHash === this.#wanted.bootstrapHash ? 'arguments' : 'bootstrap';
    this.#due.anew(`another ${what} is wanted`);
    return true;
  }

  /**
   * Drains and ends Envoy, within `drainTimeMs` and some seconds; lets go of it where it is systemd's to end. Never rejects.
   * @param drain how long it may take; default: the drain time that Envoy was started with
   */
  async stop(options: Partial<DrainOptions> = {}): Promise<Retirement | undefined> {
    if (this.#options.launcher.kind === 'systemd') {
      await this.leave();
      return undefined;
    }
    this.#ending.abort();
    await this.#supervision;
    const { newest } = this.#generations;
    const result = newest === undefined ? undefined : await this.#retire(newest, options);
    await Promise.all(this.#generations.older.map(async (older) => terminate(older)));
    this.#generations.release();
    await this.#envoyLog.stop();
    this.#standing.become({ kind: 'stopped' });
    return result;
  }

  /** Lets go: Envoy serves on, and the next agent adopts it. */
  async leave(): Promise<void> {
    this.#ending.abort();
    await this.#supervision;
    const pid = this.#generations.newest?.identity.pid;
    this.#generations.release();
    await this.#envoyLog.stop();
    this.#standing.become({ kind: 'left', pid });
  }

  async #supervise(): Promise<void> {
    const { signal } = this.#ending;
    const aborted = new Promise<'aborted'>((resolve) => {
      signal.addEventListener('abort', () => resolve('aborted'), { once: true });
    });
    while (!signal.aborted) {
      const live = this.#generations.newest;
      if (live !== undefined) {
        const watching = new AbortController();
        const watched = AbortSignal.any([signal, watching.signal]);
        const health = this.#watch(live, watched);
        const reconsidered = this.#due.reconsidered();
        const due = this.#due.until(() => this.#generations.survivor() === undefined, watched);
        const outcome = await Promise.race([live.exited, aborted, due, reconsidered]);
        watching.abort();
        await health;
        if (outcome === 'aborted' || signal.aborted) return;
        if (outcome === 'reconsider') continue;
        if (outcome === 'due') {
          await this.#succession.begin(live, this.#due.take());
          continue;
        }
        const failure = exitFailure(this.#options.binary, outcome, await this.#envoyLog.lastLines());
        if (await this.#succession.fallBack(failure)) continue;
        if (Date.now() - (this.status.startedAtMs ?? 0) > STABLE_MS) this.#backoff.reset();
        this.#fail(failure);
      }
      const { state, restarts } = this.status;
      if (state.kind === 'backoff') {
        const waited = await sleep(state.retryAtMs - Date.now(), signal);
        if (!waited) return;
      }
      this.#standing.note({ restarts: restarts + 1 });
      // Somebody else's launcher may have started one meanwhile.
      if (this.#options.launcher.kind === 'systemd' && this.#generations.older.length === 0) await this.#takeStock();
      else await this.#startNew(this.#generations.survivor());
    }
  }

  /** What runs already: adopted, or replaced. Starts an Envoy where there is none. */
  async #takeStock(): Promise<void> {
    const { log, lastGoodBootstrap, launcher } = this.#options;
    const stock = await takeStock({
      files: this.#files,
      wanted: this.#wanted,
      launcher: { kind: launcher.kind, dir: this.#launcherDir },
      lastGoodBootstrap,
      admin: this.admin,
      log,
    });
    if (stock === undefined) {
      await this.#startNew(undefined);
      return;
    }
    const { live, older } = stock;
    const { pid } = live.identity;
    this.#generations.find(live, older);
    switch (stock.kind) {
      case 'adopt':
        await this.#adopt(stock);
        return;
      case 'end-first': {
        const { reason, cannotShare } = stock;
        log.warn(
          { pid, reason, cannotShare },
          'replacing the running Envoy, with an interruption: no hot restart is possible',
        );
        await this.#startNew(undefined, live);
        return;
      }
      case 'hot-restart':
        this.#generations.judge({ serves: true, answers: stock.info !== undefined });
        this.#standing.note({ adopted: true, version: stock.info?.version, epoch: live.epoch });
        await this.#succession.begin(live, stock.reason);
        return;
    }
  }

  async #adopt({ live, found, info, outdated }: Extract<Stock, { kind: 'adopt' }>): Promise<void> {
    const { version, epoch } = info;
    const { pid } = live.identity;
    const startedAtMs = found.record?.startedAtMs;
    this.#generations.judge({ serves: info.state === 'LIVE', answers: true });
    this.#standing.note({ adopted: true, version, epoch, outdated, startedAtMs });
    this.#standing.become({ kind: 'starting', pid, sinceMs: Date.now() });
    this.#options.log.info({ pid, version, epoch, outdated }, 'Envoy adopted');
    if (outdated !== undefined) this.#due.now(outdated);
    else if (found.record === undefined) await this.#record(live, Date.now());
  }

  /**
   * Starts a process; returns why that failed.
   * @param from the Envoy that it succeeds by hot restart
   * @param instead the one that has to end first
   */
  async #launch(from: LiveEnvoy | undefined, instead?: LiveEnvoy): Promise<EnvoyFailure | undefined> {
    const { binary, log, launcher, drainTimeMs } = this.#options;
    const epoch = from === undefined ? 0 : from.epoch + 1;
    const ending = async (): Promise<void> => {
      if (instead !== undefined)
        await this.#retire(instead, { drainTimeMs: Math.min(REPLACE_DRAIN_MS, drainTimeMs), minimumDrainMs: 0 });
    };
    // With what is wanted now.
    this.#due.take();
    try {
      await this.#envoyLog.next();
      const startedAtMs = Date.now();
      const live = await startEnvoy({
        binary,
        args: this.#argsAfter(from),
        epoch,
        files: this.#files,
        bootstrap: { text: this.#text, hash: this.#wanted.bootstrapHash },
        launcher: { kind: launcher.kind, script: launcher.script, dir: this.#launcherDir },
        ...(instead === undefined ? {} : { ending }),
      });
      const { pid } = live.identity;
      this.#generations.start(live, from);
      this.#standing.note({ adopted: false, epoch, startedAtMs, readyAfterMs: undefined, outdated: undefined });
      this.#standing.become({ kind: 'starting', pid, sinceMs: startedAtMs });
      log.info({ pid, binary, epoch }, 'Envoy started');
      // The record is the old one's until that has handed over.
      if (from === undefined) await this.#record(live, startedAtMs);
      return undefined;
    } catch (error) {
      return spawnFailure(binary, error);
    }
  }

  /** Fewer workers than a running Envoy has come with the next start that is no hot restart. */
  #argsAfter(from: LiveEnvoy | undefined): readonly string[] {
    return from === undefined ? this.#wanted.args : withWorkersOf(commandLine(from.identity.pid), this.#wanted.args);
  }

  /** Starts a process; state `backoff` when that fails. */
  async #startNew(from: LiveEnvoy | undefined, instead?: LiveEnvoy): Promise<void> {
    const failure = await this.#launch(from, instead);
    if (failure === undefined) return;
    this.#generations.lose();
    this.#fail(failure);
  }

  async #watch(live: LiveEnvoy, signal: AbortSignal): Promise<void> {
    const { log, healthIntervalMs, drainTimeMs } = this.#options;
    const watching: Watching = {
      admin: this.admin,
      standing: this.#standing,
      generations: this.#generations,
      log,
      healthIntervalMs,
      parentShutdownMs: parentShutdownMs({ drainTimeMs }),
      waitingFor: async () => this.#waitingFor(),
      onTakeOver: async (startedAtMs) => {
        this.#due.succeeded();
        await this.#record(live, startedAtMs);
      },
    };
    await watchEnvoy(live, watching, signal);
  }

  async #retire(live: LiveEnvoy, options: Partial<DrainOptions>): Promise<Retirement> {
    const { log, drainTimeMs } = this.#options;
    const hasServed = this.status.state.kind !== 'starting' || live.adopted;
    this.#standing.become({ kind: 'draining', pid: live.identity.pid, sinceMs: Date.now() });
    return retire(live, {
      admin: this.admin,
      drain: hasServed ? { drainTimeMs, ...options } : undefined,
      record: this.#files.record,
      log,
    });
  }

  async #record(live: LiveEnvoy, startedAtMs: number): Promise<void> {
    const { adminSocket, log } = this.#options;
    await keepRecord(this.#files.record, live, { startedAtMs, wanted: this.#wanted, adminSocket, log });
  }

  async #waitingFor(): Promise<string> {
    const { kind } = this.status.state;
    return kind === 'starting' ? describeWait(this.admin) : `it is ${kind}`;
  }

  #fail(failure: EnvoyFailure): void {
    const retryAfterMs = this.#backoff.nextMs();
    const { code, message, remedy } = failure;
    this.#options.log.error({ code, reason: message, remedy, retryAfterMs }, 'Envoy does not run');
    this.#standing.note({ lastFailure: failure });
    this.#standing.become({ kind: 'backoff', failure, retryAtMs: Date.now() + retryAfterMs });
  }
}
