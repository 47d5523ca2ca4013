/**
 * What the agent writes down so that it can start with Consul away: the catalogue as last believed, and which services
 * were meshed when last seen. Written a moment after a change, at most every five seconds.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import { errorCode, errorMessage } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { readCatalogueSnapshot, writeCatalogueSnapshot } from '../sources/catalogue-snapshot.ts';
import type { CatalogueState } from '../sources/catalogue-state.ts';

/** From a change to the write, while nothing was written for a while. */
const SOON_MS = 250;
/** Between two writes: ten thousand endpoints are a megabyte. */
const BETWEEN_MS = 5000;
const RETRY_MS = 10_000;

const MeshedHosts = z.array(z.string());

export interface LastGoodState {
  readonly catalogue: CatalogueState;
  /** Canonical hosts. */
  readonly meshedHosts: ReadonlySet<string>;
}

/** What is left of it after a restart. */
export interface Restored {
  /** Undefined where there is none that can be used. */
  readonly catalogue: CatalogueState | undefined;
  readonly meshedHosts: ReadonlySet<string>;
}

/** The files of the last good state, in the agent's state folder. */
export class LastGood {
  readonly #files: { readonly catalogue: string; readonly meshed: string };
  readonly #log: Log;
  #written: LastGoodState | undefined;
  #wanted: LastGoodState | undefined;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #failure: string | undefined;
  #writtenAtMs = Number.NEGATIVE_INFINITY;

  constructor(stateDir: string, log: Log) {
    this.#files = { catalogue: join(stateDir, 'catalogue.json'), meshed: join(stateDir, 'meshed-hosts.json') };
    this.#log = log;
  }

  /**
   * What an earlier agent wrote. The two files stand alone: a catalogue that cannot be used, such as another version's,
   * takes nothing from what is known of who is meshed. Never rejects.
   */
  async read(): Promise<Restored> {
    const [catalogue, meshedHosts = new Set<string>()] = await Promise.all([
      this.#read(this.#files.catalogue, readCatalogueSnapshot),
      this.#read(this.#files.meshed, (text) => new Set(MeshedHosts.parse(JSON.parse(text)))),
    ]);
    if (catalogue !== undefined) this.#written = { catalogue, meshedHosts };
    return { catalogue, meshedHosts };
  }

  /** Has `state` written soon. */
  keep(state: LastGoodState): void {
    const last = this.#wanted ?? this.#written;
    if (last?.catalogue.services === state.catalogue.services && last.meshedHosts === state.meshedHosts) return;
    this.#wanted = state;
    this.#writeIn(Math.max(SOON_MS, this.#writtenAtMs + BETWEEN_MS - performance.now()));
  }

  /** Writes what is still to be written. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#writing;
    await this.#write();
  }

  get diagnostics(): readonly Diagnostic[] {
    return this.#failure === undefined
      ? []
      : [
          {
            code: 'TRY0102',
            severity: 'warning',
            object: this.#files.catalogue,
            message: `the last good catalogue cannot be saved: ${this.#failure}`,
            remedy: 'Free space in the state folder, or make it writable for the agent: it is needed after a restart.',
          },
        ];
  }

  async #read<T>(file: string, parse: (text: string) => T): Promise<T | undefined> {
    try {
      return parse(await readFile(file, 'utf8'));
    } catch (error) {
      if (errorCode(error) !== 'ENOENT')
        this.#log.warn({ file, error: errorMessage(error) }, 'a file of the last good state is not used');
      return undefined;
    }
  }

  async #write(): Promise<void> {
    const state = this.#wanted;
    if (state === undefined) return;
    this.#wanted = undefined;
    this.#writtenAtMs = performance.now();
    try {
      // Which services are meshed is the security-relevant half: never newer than the catalogue that shows it.
      await writeFileAtomic(this.#files.meshed, JSON.stringify([...state.meshedHosts].sort()));
      await writeFileAtomic(this.#files.catalogue, writeCatalogueSnapshot(state.catalogue));
      this.#written = state;
      this.#failure = undefined;
    } catch (error) {
      const failure = errorMessage(error);
      if (failure !== this.#failure) this.#log.error({ error: failure }, 'the last good catalogue cannot be saved');
      this.#failure = failure;
      this.#wanted ??= state;
      this.#writeIn(RETRY_MS);
    }
  }

  #writeIn(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#writing = this.#write();
    }, ms).unref();
  }
}
