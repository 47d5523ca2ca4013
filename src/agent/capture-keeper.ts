/**
 * Keeps the rules in the kernel what agent.yaml and the host's units ask for, once somebody has applied them: loads them
 * when Envoy has its listeners, again when a unit starts or the holder has died, and takes a first application back.
 */
import type { CaptureReport } from '../api/capture.ts';
import { Backoff } from '../lib/backoff.ts';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { AppliedCapture, CaptureHolder } from '../platform/vm/capture-holder.ts';
import { CgroupWatcher, type UnitCgroup } from '../platform/vm/cgroup-watcher.ts';
import type { PlannedCapture } from './capture-plan-of.ts';
import { type CaptureState, NEVER_APPLIED, readCaptureState, writeCaptureState } from './capture-state.ts';

/** How long a first application stays without a confirmation. */
const TRIAL_MS = 60_000;
/** Between two looks whether the holder of the rules lives: it dies with Envoy, and comes again with it. */
const ALIVE_MS = 500;
/** How many of them to one question to the kernel. */
const LOOKS_PER_VERIFICATION = 20;
/** Between two looks whether a new Envoy listens. */
const LISTENING_MS = 100;

/** What is to be captured. */
export interface WantedCapture {
  /** Systemd units whose cgroups the plan needs. */
  readonly units: readonly string[];
  plan(cgroups: ReadonlyMap<string, UnitCgroup>): PlannedCapture;
  /** Asked before rules are loaded, since Envoy may have started anew. Absent: as `CaptureKeeper.listening` says. */
  isListening?(): Promise<boolean>;
}

export interface CaptureKeeperOptions {
  readonly holder: CaptureHolder;
  /** `<state>/capture.json`. */
  readonly stateFile: string;
  readonly log: Log;
  /** Called when rules were applied, confirmed or taken back. */
  readonly onChange?: () => void;
  readonly trialMs?: number;
  /** Where the cgroups are; tests only. */
  readonly cgroupRoot?: string;
}

const NOTHING: PlannedCapture['waitingFor'] = [];
const NO_CGROUPS: ReadonlyMap<string, UnitCgroup> = new Map();
/** Of one load, while units come and go. */
const MOST_ATTEMPTS = 5;

export class CaptureKeeper {
  readonly #options: CaptureKeeperOptions;
  readonly #trialMs: number;
  readonly #backoff = new Backoff({ baseMs: 500, maxMs: 30_000 });
  #state: CaptureState = NEVER_APPLIED;
  #wanted: WantedCapture | undefined;
  #listening = false;
  #watcher: CgroupWatcher | undefined;
  #applied: AppliedCapture | undefined;
  #planned: PlannedCapture | undefined;
  #error: CaptureReport['error'];
  #trialTimer: NodeJS.Timeout | undefined;
  #nextTimer: NodeJS.Timeout | undefined;
  /** All work in one row: two transactions never overtake each other. */
  #work: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: CaptureKeeperOptions) {
    this.#options = options;
    this.#trialMs = options.trialMs ?? TRIAL_MS;
  }

  /**
   * Reads what an earlier agent knew; a trial goes on with the time it has left. To be called before Envoy starts, which
   * needs `holder.control`.
   */
  async start(): Promise<void> {
    this.#state = await readCaptureState(this.#options.stateFile);
    const { applied, confirmed, trialEndsAtMs } = this.#state;
    if (!applied || confirmed) return;
    // Never longer than a whole trial, wherever the clock has jumped.
    const leftMs = Math.min((trialEndsAtMs ?? 0) - Date.now(), this.#trialMs);
    if (leftMs > 0) this.#takeBackIn(leftMs);
    else await this.#queue(async () => this.#takeBack());
  }

  /** What is to be captured from now on; undefined: nothing. */
  want(wanted: WantedCapture | undefined): void {
    this.#wanted = wanted;
    this.#watcher?.close();
    this.#watcher =
      wanted === undefined || wanted.units.length === 0
        ? undefined
        : new CgroupWatcher({
            units: wanted.units,
            onChange: () => this.#reconcileSoon(),
            ...(this.#options.cgroupRoot === undefined ? {} : { root: this.#options.cgroupRoot }),
          });
    this.#reconcileSoon();
  }

  /** Whether Envoy has all listeners that captured connections go to: without them, no rules. */
  listening(listening: boolean): void {
    this.#listening = listening;
    if (listening) this.#reconcileSoon();
  }

  /**
   * Puts the rules in force; on trial, where nobody has confirmed them on this host before.
   * @throws TrysailError `CAPTURE_UNCONFIGURED`, and whatever the holder refuses
   */
  async apply(confirmed = false): Promise<CaptureReport> {
    if (this.#wanted === undefined)
      throw new TrysailError('CAPTURE_UNCONFIGURED', 'agent.yaml captures nothing on this host', {
        remedy: 'Set capture.outbound, or capture of a service; docs/capture.md shows how.',
      });
    if (!this.#listening)
      throw new TrysailError(
        'CAPTURE_NOT_LISTENING',
        'Envoy does not have the listeners yet that captured connections go to',
        {
          remedy: 'Try again in a moment; "trysail status" says what Envoy is waiting for.',
        },
      );
    const trial = !confirmed && !this.#state.confirmed;
    const before = this.#state;
    await this.#queue(async () => {
      await this.#save(
        trial
          ? { applied: true, confirmed: false, trialEndsAtMs: Date.now() + this.#trialMs }
          : { applied: true, confirmed: true },
      );
      try {
        await this.#load(trial ? this.#trialMs : undefined);
      } catch (error) {
        if (!before.applied) await this.#save(before);
        throw error;
      }
    });
    clearTimeout(this.#trialTimer);
    if (trial) this.#takeBackIn(this.#trialMs);
    this.#options.onChange?.();
    return this.report();
  }

  /**
   * Keeps what is on trial, and applies changes from now on without one.
   * @throws TrysailError `CAPTURE_UNCONFIRMABLE` when nothing is on trial
   */
  async confirm(): Promise<CaptureReport> {
    if (!this.#state.applied)
      throw new TrysailError('CAPTURE_UNCONFIRMABLE', 'nothing is on trial: it was not applied, or was taken back', {
        remedy: 'Apply it again: trysail capture apply.',
      });
    clearTimeout(this.#trialTimer);
    await this.#queue(async () => {
      await this.#save({ applied: true, confirmed: true });
      await this.#options.holder.confirm();
    });
    this.#options.onChange?.();
    return this.report();
  }

  /** Removes all rules, and forgets that anybody has confirmed them. */
  async clean(): Promise<CaptureReport> {
    clearTimeout(this.#trialTimer);
    await this.#queue(async () => this.#takeBack());
    return this.report();
  }

  /** Whether somebody wants the rules in force, for good or on trial. */
  get isApplied(): boolean {
    return this.#state.applied;
  }

  /** Whether somebody wants the rules in force for good. */
  get isConfirmed(): boolean {
    return this.#state.applied && this.#state.confirmed;
  }

  report(): CaptureReport {
    const { applied, confirmed, trialEndsAtMs } = this.#state;
    const inForce = this.#applied;
    const state = (): CaptureReport['state'] => {
      if (this.#wanted === undefined) return 'unconfigured';
      if (!applied) return 'unapplied';
      if (this.#error !== undefined) return 'failed';
      if (inForce === undefined) return 'waiting';
      return confirmed ? 'on' : 'trial';
    };
    return {
      state: state(),
      ...(applied && !confirmed && trialEndsAtMs !== undefined
        ? { trialEndsAt: new Date(trialEndsAtMs).toISOString() }
        : {}),
      ...(inForce === undefined ? {} : { revision: inForce.revision, owned: inForce.owned }),
      waitingFor: this.#planned?.waitingFor ?? NOTHING,
      unknownUsers: this.#planned?.unknownUsers ?? NOTHING,
      ...(this.#error === undefined ? {} : { error: this.#error }),
    };
  }

  /** Ends the watching; the rules stay as long as Envoy does. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#watcher?.close();
    clearTimeout(this.#trialTimer);
    clearTimeout(this.#nextTimer);
    await this.#work;
  }

  async #queue<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#work.then(work);
    this.#work = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  }

  #reconcileSoon(): void {
    clearTimeout(this.#nextTimer);
    if (this.#closed) return;
    this.#queue(async () => this.#reconcile()).catch((error: unknown) =>
      this.#options.log.error({ error: errorMessage(error) }, 'capture'),
    );
  }

  async #reconcile(): Promise<void> {
    if (this.#closed || !this.#state.applied || !this.#listening) return;
    try {
      if (this.#wanted === undefined) {
        if (this.#applied !== undefined) await this.#options.holder.clean();
        this.#applied = undefined;
        return;
      }
      if (this.#wanted.isListening !== undefined && !(await this.#wanted.isListening())) {
        if ((await this.#options.holder.status()).applied === undefined) this.#applied = undefined;
        this.#error = undefined;
        this.#next(LISTENING_MS, async () => this.#reconcile());
        return;
      }
      const leftMs = (this.#state.trialEndsAtMs ?? 0) - Date.now();
      await this.#load(this.#state.confirmed ? undefined : Math.max(1000, Math.min(leftMs, this.#trialMs)));
      this.#backoff.reset();
      this.#next(ALIVE_MS, async () => this.#look(1));
    } catch (error) {
      const message = errorMessage(error);
      if (this.#error?.message !== message)
        this.#options.log.error({ error: message }, 'the rules of capture are not in force');
      this.#error = {
        message,
        ...(error instanceof TrysailError && error.remedy !== undefined ? { remedy: error.remedy } : {}),
      };
      this.#next(this.#backoff.nextMs(), async () => this.#reconcile());
    }
  }

  async #look(count: number): Promise<void> {
    const { holder } = this.#options;
    const isThere =
      count % LOOKS_PER_VERIFICATION === 0 ? await holder.verify() : (await holder.status()).applied !== undefined;
    if (isThere) this.#next(ALIVE_MS, async () => this.#look(count + 1));
    else {
      this.#options.log.warn('the rules of capture are gone with their holder, as after the end of Envoy');
      this.#applied = undefined;
      await this.#reconcile();
    }
  }

  #next(ms: number, work: () => Promise<void>): void {
    clearTimeout(this.#nextTimer);
    if (this.#closed) return;
    this.#nextTimer = setTimeout(() => {
      this.#queue(work).catch((error: unknown) => this.#options.log.error({ error: errorMessage(error) }, 'capture'));
    }, ms).unref();
  }

  async #load(trialMs: number | undefined, attempts = 1): Promise<void> {
    const wanted = this.#wanted;
    if (wanted === undefined) return;
    const cgroups = this.#watcher?.refresh() ?? NO_CGROUPS;
    const planned = wanted.plan(cgroups);
    try {
      this.#applied = await this.#options.holder.apply(planned.plan, trialMs === undefined ? {} : { trialMs });
    } catch (error) {
      // A unit that has ended meanwhile has no cgroup for the rules.
      if (attempts < MOST_ATTEMPTS && (this.#watcher?.refresh() ?? NO_CGROUPS) !== cgroups)
        return this.#load(trialMs, attempts + 1);
      throw error;
    } finally {
      this.#planned = planned;
    }
    this.#error = undefined;
    const { waitingFor, unknownUsers } = planned;
    this.#options.log.info({ ...this.#applied, waitingFor, unknownUsers }, 'capture rules in force');
  }

  #takeBackIn(ms: number): void {
    clearTimeout(this.#trialTimer);
    this.#trialTimer = setTimeout(() => {
      this.#options.log.warn('nobody has confirmed capture: it is taken back');
      this.#queue(async () => this.#takeBack()).catch((error: unknown) =>
        this.#options.log.error({ error: errorMessage(error) }, 'capture cannot be taken back'),
      );
    }, ms).unref();
  }

  async #takeBack(): Promise<void> {
    await this.#save(NEVER_APPLIED);
    this.#applied = undefined;
    this.#error = undefined;
    this.#options.onChange?.();
    await this.#options.holder.clean();
  }

  async #save(state: CaptureState): Promise<void> {
    this.#state = state;
    await writeCaptureState(this.#options.stateFile, state);
  }
}
