/** What comes of a hot restart: the successor takes over, or the Envoy of before serves on and it is tried again. */
import type { Log } from '../lib/log.ts';
import type { DueRestart } from './due-restart.ts';
import type { EnvoyStanding } from './envoy-standing.ts';
import type { EnvoyFailure } from './failure.ts';
import type { Generations } from './generations.ts';
import { type LiveEnvoy, terminate } from './live-envoy.ts';

export interface SuccessionOptions {
  readonly standing: EnvoyStanding;
  readonly generations: Generations;
  readonly due: DueRestart;
  readonly log: Log;
  /** Starts the successor, as the newest generation; resolves to why it could not. */
  readonly launch: (from: LiveEnvoy) => Promise<EnvoyFailure | undefined>;
}

export class Succession {
  readonly #options: SuccessionOptions;

  constructor(options: SuccessionOptions) {
    this.#options = options;
  }

  /** Starts the successor of a running Envoy; when that cannot be started, the running one stays. */
  async begin(from: LiveEnvoy, reason: string): Promise<void> {
    const { standing, generations, log, launch } = this.#options;
    const { pid } = from.identity;
    log.info({ pid, reason, epoch: from.epoch + 1 }, 'hot restart of Envoy');
    standing.beginHotRestart({ reason, fromPid: pid });
    const failure = await launch(from);
    if (failure === undefined) standing.changeHotRestart({ toPid: generations.newest?.identity.pid });
    else this.#keep(from, failure);
  }

  /** After the newest has ended: back to the one before, if that still serves. Returns whether it does. */
  async fallBack(failure: EnvoyFailure): Promise<boolean> {
    const { generations, log } = this.#options;
    generations.lose();
    const older = generations.survivor();
    if (generations.hasServed || older === undefined) return false;
    if (generations.accepts(older)) {
      this.#keep(older, failure);
      return true;
    }
    const { pid } = older.identity;
    log.warn({ pid, reason: failure.message }, 'an Envoy that serves no more hands nothing over; ending it');
    await terminate(older);
    generations.release();
    return false;
  }

  /** The Envoy of before serves on; the hot restart is tried again. */
  #keep(older: LiveEnvoy, failure: EnvoyFailure): void {
    const { standing, generations, due, log } = this.#options;
    const { pid } = older.identity;
    const reason = standing.status.hotRestart?.reason ?? 'it is of an earlier start';
    generations.returnTo(older);
    const retryAfterMs = due.again(reason);
    const { code, message, remedy } = failure;
    log.error(
      { pid, code, reason: message, remedy, retryAfterMs },
      'the hot restart of Envoy has failed; the old one serves on',
    );
    standing.changeHotRestart({ phase: 'failed', failure });
    standing.note({
      adopted: older.adopted,
      epoch: older.epoch,
      lastFailure: failure,
      outdated: `${reason}; the hot restart failed: ${message}`,
    });
    standing.become({ kind: 'unresponsive', pid, sinceMs: Date.now() });
  }
}
