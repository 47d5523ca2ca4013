/**
 * The last good state as files for the launcher, which starts an Envoy from them when no agent asks for one: a complete
 * static bootstrap, and the program with its arguments. Written a moment after a change, seldom while changes go on.
 */
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import type { Log } from '../lib/log.ts';
import { WriteBehind } from '../lib/write-behind.ts';
import type { Bootstrap } from './bootstrap.ts';
import type { SerialisedResources } from './static-bootstrap.ts';

const SOON_MS = 1000;
const BETWEEN_MS = 10_000;
const RETRY_MS = 30_000;
/** A hundred services with ten thousand endpoints are a tenth of this. */
const MAX_BYTES = 64 * 1024 * 1024;

export interface LastGoodFiles {
  readonly dir: string;
  readonly bootstrap: string;
  /** What `TRYSAIL_LAST_GOOD` of the launcher names. */
  readonly arguments: string;
}

/** @param stateDir the agent's */
export function lastGoodFiles(stateDir: string): LastGoodFiles {
  const dir = join(stateDir, 'envoy');
  return { dir, bootstrap: join(dir, 'bootstrap.json'), arguments: join(dir, 'arguments') };
}

export interface LastGoodOptions {
  readonly files: LastGoodFiles;
  /** The bootstrap with which Envoy asks for the resources. */
  readonly bootstrap: Bootstrap;
  readonly binary: string;
  /** Without the program, naming `files.bootstrap`. */
  readonly args: readonly string[];
  /** Whether private keys may be written; see `StaticOptions`. */
  readonly keys: boolean;
  /** Whether the group may read, for an Envoy of another user. */
  readonly shared: boolean;
  readonly log: Log;
  /** Default 1,000. */
  readonly soonMs?: number;
  /** Larger ones are not written; default 64 MiB. */
  readonly maxBytes?: number;
}

export class LastGoodBootstrap {
  #options: LastGoodOptions;
  readonly #behind: WriteBehind<SerialisedResources>;

  constructor(options: LastGoodOptions) {
    this.#options = options;
    this.#behind = new WriteBehind({
      write: async (resources) => this.#write(resources),
      soonMs: options.soonMs ?? SOON_MS,
      betweenMs: BETWEEN_MS,
      retryMs: RETRY_MS,
      onFailure: (error) => options.log.error({ error }, 'the last good configuration of Envoy cannot be written'),
    });
  }

  /** Why the last try to write it has failed; undefined when it has not. */
  get failure(): string | undefined {
    return this.#behind.failure;
  }

  /** Writes it with this bootstrap, program and arguments from now on. */
  reconfigure(change: Pick<LastGoodOptions, 'bootstrap' | 'binary' | 'args'>): void {
    this.#options = { ...this.#options, ...change };
    this.#behind.again();
  }

  /** Has these written soon: all that Envoy has acknowledged. */
  keep(resources: SerialisedResources): void {
    if (this.#behind.newest !== resources) this.#behind.keep(resources);
  }

  /** Envoy has refused something: what was to be written may be that. */
  doubt(): void {
    this.#behind.doubt();
  }

  /** Writes what is still to be written. Never rejects. */
  async flush(): Promise<void> {
    await this.#behind.flush();
  }

  async #write(resources: SerialisedResources): Promise<void> {
    const { files, bootstrap, binary, args, keys, shared, log, maxBytes = MAX_BYTES } = this.#options;
    const { staticBootstrap, staticResources } = await import('./static-bootstrap.ts');
    const found = await staticResources(resources, { keys });
    const text = `${JSON.stringify(staticBootstrap(bootstrap, found))}\n`;
    if (text.length > maxBytes) throw new Error(`it has ${text.length} bytes, more than the ${maxBytes} that are kept`);
    const mode = shared ? 0o640 : 0o600;
    await mkdir(files.dir, { recursive: true });
    await chmod(files.dir, shared ? 0o750 : 0o700);
    await writeFileAtomic(files.bootstrap, text, mode);
    await writeFileAtomic(files.arguments, `${[binary, ...args].join('\n')}\n`, mode);
    log.debug({ bytes: text.length, leftOut: found.leftOut }, 'the last good configuration of Envoy is written');
  }
}
