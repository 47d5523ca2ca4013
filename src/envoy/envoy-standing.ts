/** How the host's Envoy stands at the moment, for whoever asks for it or waits for it. */
import { TrysailError } from '../lib/errors.ts';
import { type EnvoyState, type EnvoyStatus, type HotRestart, STOPPED } from './envoy-state.ts';

export class EnvoyStanding {
  #status: EnvoyStatus = STOPPED;
  #changed = Promise.withResolvers<void>();
  readonly #onChange: ((status: EnvoyStatus) => void) | undefined;

  /** @param onChange called on every change of the state */
  constructor(onChange: ((status: EnvoyStatus) => void) | undefined) {
    this.#onChange = onChange;
  }

  get status(): EnvoyStatus {
    return this.#status;
  }

  /** What belongs to a state that follows: nobody is told yet. */
  note(change: Partial<Omit<EnvoyStatus, 'state' | 'hotRestart'>>): void {
    this.#status = { ...this.#status, ...change };
  }

  become(state: EnvoyState): void {
    this.#status = { ...this.#status, state };
    const changed = this.#changed;
    this.#changed = Promise.withResolvers();
    changed.resolve();
    this.#onChange?.(this.#status);
  }

  beginHotRestart(hotRestart: Pick<HotRestart, 'reason' | 'fromPid'>): void {
    const { state } = this.#status;
    const begun = { toPid: undefined, phase: 'starting', connections: undefined, failure: undefined } as const;
    this.#status = { ...this.#status, hotRestart: { ...hotRestart, ...begun } };
    this.become(state);
  }

  /** Of the one under way; without one nothing happens. */
  changeHotRestart(change: Partial<HotRestart>): void {
    const { hotRestart, state } = this.#status;
    if (hotRestart === undefined) return;
    this.#status = { ...this.#status, hotRestart: { ...hotRestart, ...change } };
    this.become(state);
  }

  /**
   * Resolves when Envoy is ready, whatever it takes.
   * @param waitingFor says what a start waits for
   * @throws TrysailError with the code of the last failure, or ENVOY_NOT_READY, when `signal` aborts first
   */
  async ready(signal: AbortSignal, waitingFor: () => Promise<string>): Promise<void> {
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    while (this.#status.state.kind !== 'ready') {
      if (signal.aborted) {
        const { lastFailure } = this.#status;
        if (lastFailure !== undefined)
          throw new TrysailError(lastFailure.code, lastFailure.message, { remedy: lastFailure.remedy });
        throw new TrysailError('ENVOY_NOT_READY', `Envoy is not ready: ${await waitingFor()}`, {
          remedy: 'See trysail status for what Envoy has rejected or still waits for.',
        });
      }
      await Promise.race([this.#changed.promise, aborted]);
    }
  }
}
