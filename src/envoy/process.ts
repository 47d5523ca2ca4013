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
import { errorMessage, TrysailError } from '../lib/errors.ts';
import { sleep } from '../lib/sleep.ts';
import { AdminClient, type ServerInfo } from './admin.ts';
import { judge, type Wanted } from './adoption.ts';
import { argumentsHash, parentShutdownMs, withWorkersOf } from './arguments.ts';
import { bootstrapText } from './bootstrap.ts';
import { type DrainResult, drain } from './drain.ts';
import { EnvoyLog } from './envoy-log.ts';
import { type EnvoyState, type EnvoyStatus, type HotRestart, STOPPED } from './envoy-state.ts';
import { type EnvoyFailure, exitFailure, spawnFailure } from './failure.ts';
import { type EnvoyFiles, envoyFiles } from './files.ts';
import { watchHealth } from './health-watch.ts';
import { type LiveEnvoy, terminate, watchProcess } from './live-envoy.ts';
import { watchParent } from './parent.ts';
import { commandLine, isRunning } from './process-identity.ts';
import { type EnvoyChange, type EnvoyProcessOptions, wantedOf } from './process-options.ts';
import { describeWait } from './readiness.ts';
import { binaryStamp, type Found, findRunning } from './running-envoy.ts';
import { runDirError, startEnvoy } from './start-envoy.ts';
import { removeRecord, writeRecord } from './state-file.ts';

/** An Envoy that ran for this long is a new story: its next end is met with the shortest wait. */
const STABLE_MS = 10_000;
const HEALTH_INTERVAL_MS = 5000;
/** After SIGTERM, before SIGKILL. Envoy ends within milliseconds. */
const TERMINATE_MS = 3000;
/** Nobody accepts connections between the old Envoy's drain and the new one's start: keep it short. */
const REPLACE_DRAIN_MS = 2000;
/** How often an earlier hot restart is looked at, to whose end another one waits. */
const DUE_POLL_MS = 100;
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
  readonly #hotRestartBackoff: Backoff;
  readonly #envoyLog: EnvoyLog;
  #wanted: Wanted;
  /** Resolves when what the supervision waits for has changed. */
  #reconsider = Promise.withResolvers<'reconsider'>();
  readonly #ending = new AbortController();
  #supervision: Promise<void> = Promise.resolve();
  /** The newest Envoy, whether it serves yet or not. */
  #live: LiveEnvoy | undefined;
  /** Its predecessors that still run, oldest first. */
  #older: LiveEnvoy[] = [];
  /** Whether `#live` has been ready. */
  #hasServed = false;
  /** Why the running Envoy is to be replaced, and when that may be tried. */
  #due: { readonly reason: string; readonly atMs: number } | undefined;
  /** Of an Envoy that does not answer: if it does not hand over, it is ended. */
  #silentPid: number | undefined;
  /** Of Envoys that have handed over and accept nothing any more. */
  readonly #replaced = new Set<number>();
  #status: EnvoyStatus = STOPPED;
  #changed = Promise.withResolvers<void>();

  constructor(options: EnvoyProcessOptions) {
    this.#options = options;
    this.#launcherDir = options.launcher.dir ?? options.runDir;
    this.#files = envoyFiles(options.runDir);
    this.#text = bootstrapText(options.bootstrap);
    this.#backoff = new Backoff(options.backoff ?? { baseMs: 50, maxMs: 10_000 });
    this.#hotRestartBackoff = new Backoff(options.hotRestartBackoff ?? HOT_RESTART_BACKOFF);
    this.admin = new AdminClient(options.adminSocket);
    this.#envoyLog = new EnvoyLog(this.#files.log, options.log);
    this.#wanted = wantedOf(options, this.#files, this.#launcherDir, this.#text);
  }

  get status(): EnvoyStatus {
    return this.#status;
  }

  /** The processes whose listeners are this Envoy's, those of Envoys that it has replaced included. */
  get pids(): readonly number[] {
    return [...this.#older, ...(this.#live === undefined ? [] : [this.#live])].map(({ identity }) => identity.pid);
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
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    while (this.#status.state.kind !== 'ready') {
      if (signal.aborted) {
        const { lastFailure } = this.#status;
        if (lastFailure !== undefined)
          throw new TrysailError(lastFailure.code, lastFailure.message, { remedy: lastFailure.remedy });
        throw new TrysailError('ENVOY_NOT_READY', `Envoy is not ready: ${await this.#waitingFor()}`, {
          remedy: 'See trysail status for what Envoy has rejected or still waits for.',
        });
      }
      await Promise.race([this.#changed.promise, aborted]);
    }
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
    const after = { ...this.#wanted, args: this.#argsAfter(this.#live) };
    if (isDeepStrictEqual(before, this.#wanted) || isDeepStrictEqual(before, after)) return false;
    const what = before.bootstrapHash === this.#wanted.bootstrapHash ? 'arguments' : 'bootstrap';
    this.#due = { reason: `another ${what} is wanted`, atMs: Date.now() };
    this.#hotRestartBackoff.reset();
    this.#reconsider.resolve('reconsider');
    return true;
  }

  /**
   * Drains and ends Envoy, within `drainTimeMs` and some seconds; lets go of it where it is systemd's to end. Never rejects.
   * @param drain how long it may take; default: the drain time that Envoy was started with
   */
  async stop(
    options: { readonly drainTimeMs?: number; readonly minimumDrainMs?: number } = {},
  ): Promise<{ readonly drained: DrainResult; readonly ended: 'terminated' | 'killed' } | undefined> {
    if (this.#options.launcher.kind === 'systemd') {
      await this.leave();
      return undefined;
    }
    this.#ending.abort();
    await this.#supervision;
    const live = this.#live;
    const result = live === undefined ? undefined : await this.#retire(live, options);
    await Promise.all(this.#older.map(async (older) => terminate(older, TERMINATE_MS)));
    this.#letGo();
    await this.#envoyLog.stop();
    this.#set({ kind: 'stopped' });
    return result;
  }

  /** Lets go: Envoy serves on, and the next agent adopts it. */
  async leave(): Promise<void> {
    this.#ending.abort();
    await this.#supervision;
    const pid = this.#live?.identity.pid;
    this.#letGo();
    await this.#envoyLog.stop();
    this.#set({ kind: 'left', pid });
  }

  #letGo(): void {
    for (const each of [this.#live, ...this.#older]) each?.release();
    this.#live = undefined;
    this.#older = [];
  }

  async #supervise(): Promise<void> {
    const { signal } = this.#ending;
    const aborted = new Promise<'aborted'>((resolve) => {
      signal.addEventListener('abort', () => resolve('aborted'), { once: true });
    });
    while (!signal.aborted) {
      const live = this.#live;
      if (live !== undefined) {
        const watching = new AbortController();
        const watched = AbortSignal.any([signal, watching.signal]);
        const health = this.#watch(live, watched);
        this.#reconsider = Promise.withResolvers();
        const changed = this.#reconsider.promise;
        const outcome = await Promise.race([live.exited, aborted, this.#untilDue(watched), changed]);
        watching.abort();
        await health;
        if (outcome === 'aborted' || signal.aborted) return;
        if (outcome === 'reconsider') continue;
        if (outcome === 'due') {
          const { reason } = this.#due ?? { reason: '' };
          this.#due = undefined;
          await this.#hotRestart(live, reason);
          continue;
        }
        const failure = exitFailure(this.#options.binary, outcome, await this.#envoyLog.lastLines());
        if (await this.#fallBack(failure)) continue;
        if (Date.now() - (this.#status.startedAtMs ?? 0) > STABLE_MS) this.#backoff.reset();
        this.#fail(failure);
      }
      if (this.#status.state.kind === 'backoff') {
        const waited = await sleep(this.#status.state.retryAtMs - Date.now(), signal);
        if (!waited) return;
      }
      this.#status = { ...this.#status, restarts: this.#status.restarts + 1 };
      // Somebody else's launcher may have started one meanwhile.
      if (this.#options.launcher.kind === 'systemd' && this.#older.length === 0) await this.#takeStock();
      else await this.#startNew(this.#survivor());
    }
  }

  /** What runs already: adopted, or replaced. Starts an Envoy where there is none. */
  async #takeStock(): Promise<void> {
    const { log, lastGoodBootstrap } = this.#options;
    const bootstraps = [this.#files.bootstrap, ...(lastGoodBootstrap === undefined ? [] : [lastGoodBootstrap])];
    const places = { record: this.#files.record, bootstraps, launcherDir: this.#launcherDir };
    const [newest, ...others] = await findRunning(places);
    if (newest === undefined) {
      await this.#startNew(undefined);
      return;
    }
    const args = withWorkersOf(newest.commandLine, this.#wanted.args);
    const verdict = await judge(newest, { ...this.#wanted, args }, this.#files, this.admin);
    const live = this.#adopted(newest);
    for (const other of others) await this.#takeOlder(other, newest);
    this.#live = live;
    const { pid } = live.identity;
    if (verdict.kind === 'adopt') {
      await this.#adopt(newest, verdict.info, undefined);
      return;
    }
    const { reason, info, cannotShare } = verdict;
    if (cannotShare !== undefined) {
      log.warn(
        { pid, reason, cannotShare },
        'replacing the running Envoy, with an interruption: no hot restart is possible',
      );
      await this.#startNew(undefined, live);
    } else if (this.#older.length > 0 && info?.state === 'LIVE') {
      // A third one would cut off what the first still finishes.
      await this.#adopt(newest, info, reason);
      this.#due = { reason, atMs: Date.now() };
    } else {
      if (info === undefined) this.#silentPid = pid;
      this.#hasServed = true;
      this.#status = { ...this.#status, adopted: true, version: info?.version, epoch: live.epoch };
      await this.#hotRestart(live, reason);
    }
  }

  #adopted({ identity, epoch }: Found): LiveEnvoy {
    const { kind } = this.#options.launcher;
    return watchProcess(identity, { epoch, adopted: true, launcher: kind, launcherDir: this.#launcherDir });
  }

  async #adopt({ identity, record }: Found, info: ServerInfo, outdated: string | undefined): Promise<void> {
    const { version, epoch } = info;
    const { pid } = identity;
    const startedAtMs = record?.startedAtMs;
    this.#hasServed = info.state === 'LIVE';
    this.#status = { ...this.#status, adopted: true, version, epoch, outdated, startedAtMs };
    this.#set({ kind: 'starting', pid, sinceMs: Date.now() });
    this.#options.log.info({ pid, version, epoch, outdated }, 'Envoy adopted');
    if (record === undefined && outdated === undefined && this.#live !== undefined)
      await this.#record(this.#live, Date.now());
  }

  /** An Envoy beside the newest: its predecessor in a hot restart that an earlier agent began, or one too many. */
  async #takeOlder(other: Found, newest: Found): Promise<void> {
    const older = this.#adopted(other);
    const { pid } = other.identity;
    if (other.epoch < newest.epoch && !other.commandLine.includes('--disable-hot-restart')) {
      this.#older.unshift(older);
      return;
    }
    this.#options.log.warn(
      { pid, reason: 'there is another one' },
      'an Envoy of an earlier agent cannot be adopted; ending it',
    );
    await terminate(older, TERMINATE_MS);
    older.release();
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
    this.#due = undefined;
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
      if (from !== undefined) this.#older = [...this.#older.filter((older) => older !== from), from];
      this.#live = live;
      this.#hasServed = false;
      this.#status = {
        ...this.#status,
        adopted: false,
        epoch,
        startedAtMs,
        readyAfterMs: undefined,
        outdated: undefined,
      };
      this.#set({ kind: 'starting', pid, sinceMs: startedAtMs });
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
    this.#live = undefined;
    this.#fail(failure);
  }

  /** Starts the successor of a running Envoy; when that cannot be started, the running one stays. */
  async #hotRestart(from: LiveEnvoy, reason: string): Promise<void> {
    const { pid } = from.identity;
    this.#options.log.info({ pid, reason, epoch: from.epoch + 1 }, 'hot restart of Envoy');
    this.#setHotRestart({
      reason,
      fromPid: pid,
      toPid: undefined,
      phase: 'starting',
      connections: undefined,
      failure: undefined,
    });
    const failure = await this.#launch(from);
    if (failure === undefined) this.#changeHotRestart({ toPid: this.#live?.identity.pid });
    else this.#keep(from, failure);
  }

  /** After the newest has ended: back to the one before, if that still serves. */
  async #fallBack(failure: EnvoyFailure): Promise<boolean> {
    this.#live?.release();
    this.#live = undefined;
    const older = this.#survivor();
    if (this.#hasServed || older === undefined) return false;
    const { pid } = older.identity;
    if (pid !== this.#silentPid && !this.#replaced.has(pid)) {
      this.#keep(older, failure);
      return true;
    }
    this.#options.log.warn(
      { pid, reason: failure.message },
      'an Envoy that serves no more hands nothing over; ending it',
    );
    await terminate(older, TERMINATE_MS);
    older.release();
    this.#older = [];
    return false;
  }

  /** The Envoy of before serves on; the hot restart is tried again. */
  #keep(older: LiveEnvoy, failure: EnvoyFailure): void {
    const { pid } = older.identity;
    const reason = this.#status.hotRestart?.reason ?? 'it is of an earlier start';
    const retryAfterMs = this.#hotRestartBackoff.nextMs();
    this.#older = this.#older.filter((each) => each !== older);
    this.#live = older;
    this.#hasServed = true;
    this.#due = { reason, atMs: Date.now() + retryAfterMs };
    const { code, message, remedy } = failure;
    this.#options.log.error(
      { pid, code, reason: message, remedy, retryAfterMs },
      'the hot restart of Envoy has failed; the old one serves on',
    );
    this.#changeHotRestart({ phase: 'failed', failure });
    this.#status = {
      ...this.#status,
      adopted: older.adopted,
      epoch: older.epoch,
      lastFailure: failure,
      outdated: `${reason}; the hot restart failed: ${message}`,
    };
    this.#set({ kind: 'unresponsive', pid, sinceMs: Date.now() });
  }

  /** The newest predecessor that runs. */
  #survivor(): LiveEnvoy | undefined {
    this.#older = this.#older.filter(({ identity }) => isRunning(identity));
    return this.#older.at(-1);
  }

  /** When the hot restart that waits may be tried: at its time, and with no earlier one under way. */
  async #untilDue(signal: AbortSignal): Promise<'due' | 'aborted'> {
    const due = this.#due;
    // Whoever sets it lets the supervision begin anew.
    if (due === undefined) return new Promise(() => undefined);
    let waitMs = due.atMs - Date.now();
    while (await sleep(Math.max(0, waitMs), signal)) {
      if (this.#survivor() === undefined) return 'due';
      waitMs = DUE_POLL_MS;
    }
    return 'aborted';
  }

  /** From `starting` to `ready`, and from there to `unresponsive` and back. */
  async #watch(live: LiveEnvoy, signal: AbortSignal): Promise<void> {
    const { log, healthIntervalMs = HEALTH_INTERVAL_MS, drainTimeMs } = this.#options;
    const { pid } = live.identity;
    const parents = this.#older.map(async (older) => {
      // Until the new one serves it is no parent yet: nothing ends it.
      while (!this.#hasServed) if (!(await sleep(50, signal))) return;
      await this.#watchParent(older, parentShutdownMs({ drainTimeMs }), signal);
    });
    await watchHealth({
      admin: this.admin,
      epoch: live.epoch,
      succeeds: parents.length > 0,
      intervalMs: healthIntervalMs,
      signal,
      onReady: async () => this.#becomeReady(live, signal),
      onAnswers: (answers) => {
        const { kind } = this.#status.state;
        if (answers && kind === 'unresponsive') this.#set({ kind: 'ready', pid, sinceMs: Date.now() });
        if (!answers && kind === 'ready') {
          log.warn({ pid }, 'Envoy does not say that it is ready any more');
          this.#set({ kind: 'unresponsive', pid, sinceMs: Date.now() });
        }
      },
      onSlow: () => {
        void this.#waitingFor().then((waitingFor) => {
          if (!signal.aborted) log.warn({ pid, waitingFor }, 'Envoy is not ready yet');
        });
      },
      onStuck: () => {
        log.error({ pid }, 'the new Envoy hangs in its start; ending it');
        void live.signal('SIGKILL');
      },
    });
    await Promise.all(parents);
  }

  async #becomeReady(live: LiveEnvoy, signal: AbortSignal): Promise<void> {
    const now = Date.now();
    const { pid } = live.identity;
    const { adopted, startedAtMs, epoch } = this.#status;
    const readyAfterMs = adopted || startedAtMs === undefined ? undefined : now - startedAtMs;
    // It answered a moment ago; should it not now, the version stays unknown.
    const version = await this.admin.serverInfo().then(
      (info) => info.version,
      () => this.#status.version,
    );
    if (signal.aborted) return;
    const tookOver = !this.#hasServed && this.#older.length > 0;
    this.#hasServed = true;
    this.#status = { ...this.#status, readyAfterMs, version };
    this.#set({ kind: 'ready', pid, sinceMs: now });
    this.#options.log.info({ pid, version, epoch, readyAfterMs }, 'Envoy is ready');
    if (!tookOver) return;
    this.#silentPid = undefined;
    for (const { identity } of this.#older) this.#replaced.add(identity.pid);
    this.#hotRestartBackoff.reset();
    this.#changeHotRestart({ phase: 'draining' });
    await this.#record(live, startedAtMs ?? now);
  }

  /** Sees an Envoy that has been replaced to its end, and says what its end cost. */
  async #watchParent(parent: LiveEnvoy, shutdownMs: number, signal: AbortSignal): Promise<void> {
    const { pid } = parent.identity;
    const connections = await watchParent(parent, {
      admin: this.admin,
      shutdownMs,
      signal,
      onConnections: (count) => this.#changeHotRestart({ connections: count }),
    });
    if (signal.aborted) return;
    parent.release();
    this.#replaced.delete(pid);
    this.#older = this.#older.filter((older) => older !== parent);
    const { log } = this.#options;
    if ((connections ?? 0) > 0)
      log.warn({ pid, connections }, 'the Envoy of before has ended; connections that outlived its drain were closed');
    else log.info({ pid, connections }, 'the Envoy of before has ended');
    this.#changeHotRestart({ phase: 'done', connections });
  }

  async #retire(
    live: LiveEnvoy,
    options: { readonly drainTimeMs?: number; readonly minimumDrainMs?: number },
  ): Promise<{ readonly drained: DrainResult; readonly ended: 'terminated' | 'killed' }> {
    const { log, drainTimeMs } = this.#options;
    const neverServed = this.#status.state.kind === 'starting' && !live.adopted;
    this.#set({ kind: 'draining', pid: live.identity.pid, sinceMs: Date.now() });
    const gone = new AbortController();
    void live.exited.then(() => gone.abort());
    const drained: DrainResult = neverServed
      ? { kind: 'idle' }
      : await drain(this.admin, { drainTimeMs, ...options, signal: gone.signal });
    const ended = await terminate(live, TERMINATE_MS);
    live.release();
    await removeRecord(this.#files.record).catch(() => undefined);
    log.info({ pid: live.identity.pid, drained: drained.kind, ended }, 'Envoy stopped');
    return { drained, ended };
  }

  /** A record that cannot be written costs the next agent a search, and is no reason to end a good Envoy. */
  async #record({ identity, epoch }: LiveEnvoy, startedAtMs: number): Promise<void> {
    const { binary, adminSocket, log } = this.#options;
    const { bootstrapHash, args } = this.#wanted;
    const path = this.#files.record;
    try {
      const stamp = await binaryStamp(binary);
      const started = {
        epoch,
        startedAtMs,
        bootstrapHash,
        argumentsHash: argumentsHash(args),
        binary: stamp,
        adminSocket,
      };
      await writeRecord(path, { ...identity, ...started });
    } catch (err) {
      log.warn({ err, path }, 'the record of the Envoy process cannot be written');
    }
  }

  async #waitingFor(): Promise<string> {
    const { kind } = this.#status.state;
    return kind === 'starting' ? describeWait(this.admin) : `it is ${kind}`;
  }

  #fail(failure: EnvoyFailure): void {
    const retryAfterMs = this.#backoff.nextMs();
    const { code, message, remedy } = failure;
    this.#options.log.error({ code, reason: message, remedy, retryAfterMs }, 'Envoy does not run');
    this.#status = { ...this.#status, lastFailure: failure };
    this.#set({ kind: 'backoff', failure, retryAtMs: Date.now() + retryAfterMs });
  }

  #changeHotRestart(change: Partial<HotRestart>): void {
    const { hotRestart } = this.#status;
    if (hotRestart !== undefined) this.#setHotRestart({ ...hotRestart, ...change });
  }

  #setHotRestart(hotRestart: HotRestart): void {
    this.#status = { ...this.#status, hotRestart };
    this.#set(this.#status.state);
  }

  #set(state: EnvoyState): void {
    this.#status = { ...this.#status, state };
    const changed = this.#changed;
    this.#changed = Promise.withResolvers();
    changed.resolve();
    this.#options.onChange?.(this.#status);
  }
}
