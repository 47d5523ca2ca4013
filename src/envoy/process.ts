/**
 * The life of the host's Envoy: started apart from the agent, adopted by the next agent, started again when it ends by
 * itself, drained before it is stopped.
 *
 * Every way out of a running Envoy:
 * 1. it ends by itself (crash, SIGTERM by a person, OOM): `backoff`, then a new one;
 * 2. `stop()`: drain, SIGTERM, SIGKILL;
 * 3. `leave()`: nothing happens to it, we let go;
 * 4. it was started with another bootstrap or other arguments than ours: `start()` replaces it, by 2.
 */
import { access, mkdir } from 'node:fs/promises';
import { Backoff } from '../lib/backoff.ts';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { sleep } from '../lib/sleep.ts';
import { AdminClient } from './admin.ts';
import { judge, type Verdict, type Wanted } from './adoption.ts';
import { type ArgumentOptions, argumentsHash, envoyArguments } from './arguments.ts';
import { type Bootstrap, bootstrapText, hashText, writeBootstrap } from './bootstrap.ts';
import { type DrainResult, drain } from './drain.ts';
import { EnvoyLog } from './envoy-log.ts';
import type { EnvoyState, EnvoyStatus } from './envoy-state.ts';
import { type EnvoyFailure, exitFailure, spawnFailure } from './failure.ts';
import { type EnvoyFiles, envoyFiles } from './files.ts';
import { adoptProcess, type LiveEnvoy, spawnEnvoy, terminate } from './live-envoy.ts';
import type { ProcessIdentity } from './process-identity.ts';
import { describeWait, isReady, untilReady } from './readiness.ts';
import { binaryStamp, fileHash, findRunning } from './running-envoy.ts';
import { removeRecord, writeRecord } from './state-file.ts';

/** An Envoy that ran for this long is a new story: its next end is met with the shortest wait. */
const STABLE_MS = 10_000;
const HEALTH_INTERVAL_MS = 5000;
/** After SIGTERM, before SIGKILL. Envoy ends within milliseconds. */
const TERMINATE_MS = 3000;
/** When a person should hear what Envoy waits for. */
const SLOW_START_MS = 10_000;
/** Nobody accepts connections between the old Envoy's drain and the new one's start: keep it short. */
const REPLACE_DRAIN_MS = 2000;

export interface EnvoyProcessOptions extends Omit<ArgumentOptions, 'bootstrapPath'> {
  /** Path of the program. */
  readonly binary: string;
  readonly bootstrap: Bootstrap;
  /** The admin socket that the bootstrap names. */
  readonly adminSocket: string;
  /** Folder of the bootstrap, the log and the record of the process (`envoyFiles`); one per Envoy. */
  readonly runDir: string;
  readonly log: Log;
  /** Called on every change of the state. */
  readonly onChange?: (status: EnvoyStatus) => void;
  /** How often a ready Envoy is asked whether it still is; default 5,000. */
  readonly healthIntervalMs?: number;
  /** Wait before a restart; default 50 ms to 10 s. */
  readonly backoff?: { readonly baseMs: number; readonly maxMs: number };
}

/** The supervisor of one Envoy. `start` once; then `stop` or `leave` once. */
export class EnvoyProcess {
  readonly admin: AdminClient;
  readonly #options: EnvoyProcessOptions;
  readonly #files: EnvoyFiles;
  readonly #args: readonly string[];
  readonly #text: string;
  readonly #backoff: Backoff;
  readonly #envoyLog: EnvoyLog;
  readonly #wanted: Wanted;
  readonly #ending = new AbortController();
  #supervision: Promise<void> = Promise.resolve();
  #live: LiveEnvoy | undefined;
  #status: EnvoyStatus = {
    state: { kind: 'stopped' },
    version: undefined,
    adopted: false,
    startedAtMs: undefined,
    readyAfterMs: undefined,
    restarts: 0,
    lastFailure: undefined,
    outdated: undefined,
  };
  #changed = Promise.withResolvers<void>();

  constructor(options: EnvoyProcessOptions) {
    this.#options = options;
    this.#files = envoyFiles(options.runDir);
    this.#args = envoyArguments({ ...options, bootstrapPath: this.#files.bootstrap });
    this.#text = bootstrapText(options.bootstrap);
    this.#backoff = new Backoff(options.backoff ?? { baseMs: 50, maxMs: 10_000 });
    this.admin = new AdminClient(options.adminSocket);
    this.#envoyLog = new EnvoyLog(this.#files.log, options.log);
    this.#wanted = {
      binary: options.binary,
      bootstrapHash: hashText(this.#text),
      argumentsHash: argumentsHash(this.#args),
    };
  }

  get status(): EnvoyStatus {
    return this.#status;
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
      throw new TrysailError('ENVOY_RUN_DIR', `${this.#options.runDir} cannot be used: ${errorMessage(error)}`, {
        remedy: 'Make the folder writable for the agent’s user, or set paths.run to another.',
        cause: error,
      });
    }
    const first = (async () => {
      this.#live = await this.#adopt();
      return this.#live ?? (await this.#launch());
    })();
    this.#supervision = first.then(async (live) => this.#supervise(live));
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
   * Drains and ends Envoy, within `drainTimeMs` and some seconds. Never rejects.
   * @param drain how long it may take; default: the drain time that Envoy was started with
   */
  async stop(
    options: { readonly drainTimeMs?: number; readonly minimumDrainMs?: number } = {},
  ): Promise<{ readonly drained: DrainResult; readonly ended: 'terminated' | 'killed' } | undefined> {
    this.#ending.abort();
    await this.#supervision;
    const live = this.#live;
    const result = live === undefined ? undefined : await this.#retire(live, options);
    this.#live = undefined;
    await this.#envoyLog.stop();
    this.#set({ kind: 'stopped' });
    return result;
  }

  /** Lets go: Envoy serves on, and the next agent adopts it. */
  async leave(): Promise<void> {
    this.#ending.abort();
    await this.#supervision;
    const pid = this.#live?.identity.pid;
    this.#live?.release();
    this.#live = undefined;
    await this.#envoyLog.stop();
    this.#set({ kind: 'left', pid });
  }

  async #supervise(first: LiveEnvoy | undefined): Promise<void> {
    const { signal } = this.#ending;
    const ended = new Promise<undefined>((resolve) => {
      signal.addEventListener('abort', () => resolve(undefined), { once: true });
    });
    let live = first;
    while (!signal.aborted) {
      if (live !== undefined) {
        const watching = new AbortController();
        const watcher = this.#watchHealth(live, AbortSignal.any([signal, watching.signal]));
        const exit = await Promise.race([live.exited, ended]);
        watching.abort();
        await watcher;
        if (exit === undefined) return;
        this.#live = undefined;
        if (Date.now() - (this.#status.startedAtMs ?? 0) > STABLE_MS) this.#backoff.reset();
        this.#fail(exitFailure(this.#options.binary, exit, await this.#envoyLog.lastLines()));
      }
      if (this.#status.state.kind === 'backoff') {
        const waited = await sleep(this.#status.state.retryAtMs - Date.now(), signal);
        if (!waited) return;
      }
      this.#status = { ...this.#status, restarts: this.#status.restarts + 1 };
      live = await this.#launch();
    }
  }

  /** Starts a process; undefined, and state `backoff`, when that fails. */
  async #launch(): Promise<LiveEnvoy | undefined> {
    const { binary, log } = this.#options;
    try {
      await access(binary);
      await this.#envoyLog.next();
      if ((await fileHash(this.#files.bootstrap)) !== this.#wanted.bootstrapHash)
        await writeBootstrap(this.#files.bootstrap, this.#text);
      const startedAtMs = Date.now();
      const live = await spawnEnvoy(binary, this.#args, this.#files.log);
      this.#live = live;
      this.#status = { ...this.#status, adopted: false, startedAtMs, readyAfterMs: undefined, outdated: undefined };
      this.#set({ kind: 'starting', pid: live.identity.pid, sinceMs: startedAtMs });
      log.info({ pid: live.identity.pid, binary }, 'Envoy started');
      await this.#record(live.identity, startedAtMs);
      return live;
    } catch (error) {
      this.#fail(spawnFailure(binary, error));
      return undefined;
    }
  }

  /** A record that cannot be written costs the next agent a search, and is no reason to end a good Envoy. */
  async #record(identity: ProcessIdentity, startedAtMs: number): Promise<void> {
    const { binary, adminSocket, log } = this.#options;
    const { bootstrapHash, argumentsHash } = this.#wanted;
    const path = this.#files.record;
    try {
      const stamp = await binaryStamp(binary);
      await writeRecord(path, {
        ...identity,
        epoch: 0,
        startedAtMs,
        bootstrapHash,
        argumentsHash,
        binary: stamp,
        adminSocket,
      });
    } catch (err) {
      log.warn({ err, path }, 'the record of the Envoy process cannot be written');
    }
  }

  /** The Envoy of an earlier agent, if it is what we would start; any other that has our files is ended. */
  async #adopt(): Promise<LiveEnvoy | undefined> {
    const { log, drainTimeMs } = this.#options;
    let adopted: LiveEnvoy | undefined;
    for (const found of await findRunning(this.#files.record, this.#files.bootstrap)) {
      const { identity, record } = found;
      const { pid } = identity;
      const live = adoptProcess(identity);
      const verdict: Verdict =
        adopted === undefined
          ? await judge(found, this.#wanted, this.#files, this.admin)
          : { kind: 'end', reason: 'there is another one' };
      switch (verdict.kind) {
        case 'end':
          log.warn({ pid, reason: verdict.reason }, 'an Envoy of an earlier agent cannot be adopted; ending it');
          await terminate(live, TERMINATE_MS);
          live.release();
          break;
        case 'replace':
          log.info({ pid, reason: verdict.reason }, 'replacing the running Envoy');
          await this.#retire(live, { drainTimeMs: Math.min(REPLACE_DRAIN_MS, drainTimeMs), minimumDrainMs: 0 });
          break;
        case 'adopt': {
          const { version, outdated } = verdict;
          adopted = live;
          this.#status = { ...this.#status, adopted: true, version, outdated, startedAtMs: record?.startedAtMs };
          this.#set({ kind: 'starting', pid, sinceMs: Date.now() });
          log.info({ pid, version, outdated }, 'Envoy adopted');
          if (record === undefined) await this.#record(identity, Date.now());
        }
      }
    }
    return adopted;
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

  /** From `starting` to `ready`, and from there to `unresponsive` and back. */
  async #watchHealth(live: LiveEnvoy, signal: AbortSignal): Promise<void> {
    const { log } = this.#options;
    const { pid } = live.identity;
    const slow = setTimeout(() => void this.#reportSlowStart(pid, signal), SLOW_START_MS);
    const ready = await untilReady(this.admin, signal);
    clearTimeout(slow);
    if (!ready) return;
    await this.#becomeReady(pid, signal);
    const { healthIntervalMs = HEALTH_INTERVAL_MS } = this.#options;
    while (await sleep(healthIntervalMs, signal)) {
      const answers = (await isReady(this.admin)) || (await isReady(this.admin));
      if (signal.aborted) return;
      const { kind } = this.#status.state;
      if (answers && kind === 'unresponsive') this.#set({ kind: 'ready', pid, sinceMs: Date.now() });
      if (!answers && kind === 'ready') {
        log.warn({ pid }, 'Envoy does not say that it is ready any more');
        this.#set({ kind: 'unresponsive', pid, sinceMs: Date.now() });
      }
    }
  }

  async #reportSlowStart(pid: number, signal: AbortSignal): Promise<void> {
    const waitingFor = await this.#waitingFor();
    if (!signal.aborted) this.#options.log.warn({ pid, waitingFor }, 'Envoy is not ready yet');
  }

  async #becomeReady(pid: number, signal: AbortSignal): Promise<void> {
    const now = Date.now();
    const { adopted, startedAtMs } = this.#status;
    const readyAfterMs = adopted || startedAtMs === undefined ? undefined : now - startedAtMs;
    // It answered a moment ago; should it not now, the version stays unknown.
    const version = await this.admin.serverInfo().then(
      (info) => info.version,
      () => this.#status.version,
    );
    if (signal.aborted) return;
    this.#status = { ...this.#status, readyAfterMs, version };
    this.#set({ kind: 'ready', pid, sinceMs: now });
    this.#options.log.info({ pid, version, readyAfterMs }, 'Envoy is ready');
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

  #set(state: EnvoyState): void {
    this.#status = { ...this.#status, state };
    const changed = this.#changed;
    this.#changed = Promise.withResolvers();
    changed.resolve();
    this.#options.onChange?.(this.#status);
  }
}
