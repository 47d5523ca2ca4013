/** The list of publishers as a host follows it: only the root's, never an older one, kept on disk. */
import type { KvEntry, KvStore } from '../consul/kv.ts';
import { errorMessage, type TrysailError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { listRefused } from './follower-diagnostics.ts';
import type { KeptFleet } from './kept-fleet.ts';
import { KeyWatch } from './key-watch.ts';
import { MESH_KEY } from './layout.ts';
import { openPublishers, type Publishers } from './publishers.ts';
import { isRefused } from './signed-document.ts';
import type { VerifyingKey } from './signing-key.ts';

export interface FollowedPublishersOptions {
  readonly kv: Pick<KvStore, 'get'>;
  readonly roots: readonly VerifyingKey[];
  /** What an earlier agent kept. */
  readonly kept: Pick<KeptFleet, 'readMesh'>;
  readonly log: Log;
  /** Consul has answered: another list holds, or one was refused. */
  readonly onAnswer: (isNew: boolean) => void;
  /** Reading has begun to fail, or fails no more. */
  readonly onError: () => void;
  /** Gets a list that is taken, as it was signed. */
  readonly onTaken: (sealed: string) => void;
}

export class FollowedPublishers {
  readonly #options: FollowedPublishersOptions;
  /** The list that holds; undefined: none was ever seen. */
  current: Publishers | undefined;
  /** Why what Consul has is not taken. */
  problem: Diagnostic | undefined;
  error: TrysailError | undefined;
  #watch: KeyWatch | undefined;

  constructor(options: FollowedPublishersOptions) {
    this.#options = options;
  }

  /** Takes what an earlier agent kept. Never rejects. */
  async restore(): Promise<void> {
    const { kept, roots, log } = this.#options;
    try {
      const sealed = await kept.readMesh();
      const publishers = sealed === undefined ? undefined : openPublishers(sealed, roots);
      if (publishers !== undefined && !isRefused(publishers)) this.current = publishers;
    } catch (error) {
      log.warn({ error: errorMessage(error) }, 'the kept list of publishers is not used');
    }
  }

  start(): void {
    this.#watch = new KeyWatch({
      kv: this.#options.kv,
      key: MESH_KEY,
      onValue: (entry) => {
        const before = this.current;
        const refusal = this.#take(entry);
        this.problem = refusal === undefined ? undefined : listRefused(refusal, before !== undefined);
        this.#options.onAnswer(this.current !== before);
      },
      onError: (error) => {
        this.error = error;
        this.#options.onError();
      },
    });
  }

  /** Whether Consul has answered, or has failed to. */
  get asked(): boolean {
    return this.#watch?.answered === true || this.#watch?.failing === true;
  }

  stop(): void {
    this.#watch?.stop();
  }

  /** Why the list is not taken; undefined: it is. */
  #take(entry: KvEntry | undefined): string | undefined {
    const { roots, onTaken } = this.#options;
    const before = this.current;
    if (entry === undefined) return 'it does not exist';
    const next = openPublishers(entry.value, roots);
    if (isRefused(next)) return next.refused;
    if (before?.hash === next.hash) return undefined;
    if (before !== undefined) {
      const { revision, fleet } = before.document;
      if (next.document.fleet !== fleet) return 'it is that of another fleet than this host has seen';
      if (next.document.revision <= revision)
        return `its revision ${next.document.revision} is not above ${revision}, which this host has seen`;
    }
    this.current = next;
    onTaken(Buffer.from(entry.value).toString('utf8'));
    return undefined;
  }
}
