/** Writes what a host takes of the fleet to its disk, one thing after another; what cannot be written is a diagnostic. */
import { errorMessage } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Held } from './accept-head.ts';
import { unsaved } from './follower-diagnostics.ts';
import type { KeptFleet } from './kept-fleet.ts';

export interface FleetSaverOptions {
  readonly kept: KeptFleet;
  readonly log: Log;
  /** Called when `problem` has changed. */
  readonly onChange: () => void;
}

export class FleetSaver {
  readonly #options: FleetSaverOptions;
  #writing: Promise<void> = Promise.resolve();
  #failure: string | undefined;

  constructor(options: FleetSaverOptions) {
    this.#options = options;
  }

  /** Why the last write has failed; undefined where it has not. */
  get problem(): Diagnostic | undefined {
    return this.#failure === undefined ? undefined : unsaved(this.#failure);
  }

  /** @param sealed the list of publishers as it was signed */
  savePublishers(sealed: string): void {
    this.#write(async () => this.#options.kept.writeMesh(sealed));
  }

  /** @param bodies of the namespace, by hash */
  saveNamespace(held: Held, bodies: ReadonlyMap<string, string>): void {
    this.#write(async () => this.#options.kept.write(held, (hash) => bodies.get(hash)));
  }

  /** Resolves when all is written, or has failed. Never rejects. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  #write(work: () => Promise<void>): void {
    this.#writing = this.#writing.then(work).then(
      () => this.#tell(undefined),
      (error: unknown) => this.#tell(errorMessage(error)),
    );
  }

  #tell(failure: string | undefined): void {
    if (failure === this.#failure) return;
    if (failure !== undefined) this.#options.log.error({ error: failure }, 'the fleet configuration cannot be saved');
    this.#failure = failure;
    this.#options.onChange();
  }
}
