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
import { WriteBehind } from '../lib/write-behind.ts';
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
  readonly #behind: WriteBehind<LastGoodState>;
  /** What an earlier agent wrote. */
  #restored: LastGoodState | undefined;

  constructor(stateDir: string, log: Log) {
    this.#files = { catalogue: join(stateDir, 'catalogue.json'), meshed: join(stateDir, 'meshed-hosts.json') };
    this.#log = log;
    this.#behind = new WriteBehind({
      write: async (state) => this.#write(state),
      soonMs: SOON_MS,
      betweenMs: BETWEEN_MS,
      retryMs: RETRY_MS,
      onFailure: (error) => log.error({ error }, 'the last good catalogue cannot be saved'),
    });
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
    if (catalogue !== undefined) this.#restored = { catalogue, meshedHosts };
    return { catalogue, meshedHosts };
  }

  /** Has `state` written soon. */
  keep(state: LastGoodState): void {
    const last = this.#behind.newest ?? this.#restored;
    if (last?.catalogue.services === state.catalogue.services && last.meshedHosts === state.meshedHosts) return;
    this.#behind.keep(state);
  }

  /** Writes what is still to be written. */
  async flush(): Promise<void> {
    await this.#behind.flush();
  }

  get diagnostics(): readonly Diagnostic[] {
    const { failure } = this.#behind;
    return failure === undefined
      ? []
      : [
          {
            code: 'TRY0102',
            severity: 'warning',
            object: this.#files.catalogue,
            message: `the last good catalogue cannot be saved: ${failure}`,
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

  async #write({ catalogue, meshedHosts }: LastGoodState): Promise<void> {
    // Which services are meshed is the security-relevant half: never newer than the catalogue that shows it.
    await writeFileAtomic(this.#files.meshed, JSON.stringify([...meshedHosts].sort()));
    await writeFileAtomic(this.#files.catalogue, writeCatalogueSnapshot(catalogue));
  }
}
