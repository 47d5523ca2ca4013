/** One namespace that a host follows: what Consul has, what of it is taken, and what is in force. */
import type { KvEntry, KvStore } from '../consul/kv.ts';
import { errorMessage, type TrysailError } from '../lib/errors.ts';
import type { Slots } from '../lib/slots.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { type Held, judgeHead } from './accept-head.ts';
import type { Next } from './change-halves.ts';
import type { Stage } from './documents.ts';
import { fetchHead } from './fetch-head.ts';
import { halfInForce, headRefused } from './follower-diagnostics.ts';
import { KeyWatch } from './key-watch.ts';
import { headKey } from './layout.ts';
import type { Publishers } from './publishers.ts';
import { isRefused } from './signed-document.ts';
import { takesPart } from './stage.ts';
import { stagedBase } from './staged-base.ts';

/** For how long the answer of a server that lags behind the leader is expected. */
const LAG_MS = 10_000;

/** How a followed namespace stands. */
export interface NamespaceStatus {
  readonly namespace: string;
  /** In force; undefined: nothing was published in it, as far as is known. */
  readonly revision: number | undefined;
  /** Milliseconds since 1970: when that was published. */
  readonly publishedMs: number | undefined;
  readonly publisher: string | undefined;
  /** Whether Consul says the same; false while something newer is refused or awaited. */
  readonly current: boolean;
  /** Of what Consul has, where that goes out in steps or has done so. */
  readonly stage: Stage | undefined;
}

export interface FollowedNamespaceOptions {
  readonly name: string;
  /** What an earlier agent held; undefined: nothing. */
  readonly kept: Held | undefined;
  readonly kv: Pick<KvStore, 'get'>;
  /** Name of this host, by which it takes its part in changes that go out in steps. */
  readonly host: string;
  /** Bounds what is read at once. */
  readonly slots: Slots;
  /** The size of a body that is there already. */
  readonly bodyBytes: (hash: string) => number | undefined;
  /** The text of the other followed namespaces, in bytes. */
  readonly textOfOthers: () => number;
  /** Consul has something to judge, or nothing any more. */
  readonly onHead: () => void;
  /** Reading has begun to fail, or fails no more. */
  readonly onError: () => void;
}

export class FollowedNamespace {
  readonly name: string;
  readonly #options: FollowedNamespaceOptions;
  readonly #watch: KeyWatch;
  readonly #stop = new AbortController();
  /** In force. */
  held: Held | undefined;
  /** Taken and not in force yet. */
  next: Next | undefined;
  /** Why what Consul has is not taken, or not as a whole. */
  problem: Diagnostic | undefined;
  error: TrysailError | undefined;
  /** What Consul has; undefined: no answer yet, or no such key. */
  #bytes: Uint8Array | undefined;
  /** Whether `#bytes` was judged, by the list of publishers that holds. */
  #judged = false;
  /** How often another list came: what was judged by the one before does not count. */
  #doubts = 0;
  /** Of the head that was judged last. */
  #stage: Stage | undefined;
  /** Text of what is in force, and of what is being read, in bytes. */
  #heldBytes: number;
  #readBytes = 0;
  /** Text of the other namespaces that left no room for what Consul has, in bytes. */
  #crowdedBy: number | undefined;
  /** What the leader said when it was asked beside the watch: Consul's index of the head, and when. */
  #leader: { readonly index: number; readonly atMs: number } | undefined;

  constructor(options: FollowedNamespaceOptions) {
    this.#options = options;
    this.name = options.name;
    this.held = options.kept;
    const kept = [...(options.kept?.entries.values() ?? [])];
    this.#heldBytes = kept.reduce((sum, { hash }) => sum + (options.bodyBytes(hash) ?? 0), 0);
    this.#watch = new KeyWatch({
      kv: options.kv,
      key: headKey(this.name),
      onValue: (entry) => this.#onHead(entry),
      onError: (error) => {
        this.error = error;
        options.onError();
      },
    });
  }

  /** Whether Consul has answered, or has failed to. */
  get asked(): boolean {
    return this.#watch.answered || this.#watch.failing;
  }

  /** Whether Consul has something that could not be judged so far. */
  get isUnjudged(): boolean {
    return this.#bytes !== undefined && !this.#judged;
  }

  /** The text that this host holds of it, or is about to, in bytes. */
  get textBytes(): number {
    return this.next?.bytes ?? Math.max(this.#heldBytes, this.#readBytes);
  }

  /** Whether what had no room beside other namespaces may have some now. */
  get hasRoomNow(): boolean {
    return this.#crowdedBy !== undefined && this.#options.textOfOthers() < this.#crowdedBy;
  }

  /** @param publishers the list that holds; undefined: none was ever seen */
  status(publishers: Publishers | undefined): NamespaceStatus {
    const { held } = this;
    return {
      namespace: this.name,
      revision: held?.head.revision,
      publishedMs: held?.head.atMs,
      publisher: held === undefined ? undefined : publishers?.byKey.get(held.key)?.publisher.name,
      current: this.next === undefined && this.problem === undefined && this.#judged && this.#bytes !== undefined,
      stage: this.#stage,
    };
  }

  /** Another list of publishers holds: what was refused may be allowed now, and the other way round. */
  doubt(): void {
    this.#doubts++;
    this.#judged = false;
    this.next = undefined;
  }

  /** Judges what Consul has, unless that is done: it becomes `next`, or a `problem`, or is in force already. Never rejects. */
  async judge(publishers: Publishers): Promise<void> {
    const bytes = this.#bytes;
    if (bytes === undefined || this.#judged) return;
    this.#crowdedBy = undefined;
    const { name, held } = this;
    const { kv, host, slots, bodyBytes, textOfOthers } = this.#options;
    const { signal } = this.#stop;
    const doubts = this.#doubts;
    // Something newer to judge, or to judge it by, has come meanwhile.
    const isOutdated = (): boolean => this.#bytes !== bytes || this.#doubts !== doubts;
    const remedy = `Find out who writes there; "trysail history -n ${name}" shows who may have.`;
    const judged = judgeHead(bytes, name, publishers, held);
    if (isRefused(judged)) {
      this.#judged = true;
      this.problem = this.#refusal('TRY0702', judged.refused, remedy);
      return;
    }
    const { stage } = judged.head;
    this.#stage = stage;
    try {
      const wanted = takesPart(stage, host)
        ? { judged, publishers }
        : await stagedBase(judged, held, publishers, { kv, signal });
      if (isOutdated()) return;
      if (wanted === undefined || (wanted.judged.hash === held?.hash && isComplete(held, bodyBytes))) {
        this.#judged = true;
        this.problem = undefined;
        return;
      }
      const onText = (bytes: number): void => {
        this.#readBytes = bytes;
      };
      const context = { kv, slots, signal, publishers: wanted.publishers, bodyBytes, textOfOthers, onText };
      const next = await fetchHead(wanted.judged, held, context);
      if (isOutdated()) return;
      this.#judged = true;
      this.#crowdedBy = 'tooMuch' in next ? next.tooMuch.others : undefined;
      if ('tooMuch' in next)
        this.problem = this.#refusal(
          'TRY0714',
          next.tooMuch.why,
          'Publish less there, or follow fewer namespaces here.',
        );
      else if (isRefused(next)) this.problem = this.#refusal('TRY0702', next.refused, remedy);
      else {
        this.problem = undefined;
        this.next = { ...next, sinceMs: this.next?.sinceMs ?? performance.now() };
      }
    } catch (error) {
      if (signal.aborted || isOutdated()) return;
      const why = errorMessage(error).replace(/\.$/, '');
      this.problem = this.#refusal('TRY0703', why, 'It is tried again; apply the resources anew if it stays.');
    } finally {
      this.#readBytes = 0;
    }
  }

  /** Asks the leader for what the watch will bring, and judges it. Never rejects. */
  async askLeader(publishers: Publishers): Promise<void> {
    try {
      const { value } = await this.#options.kv.get(headKey(this.name), { signal: this.#stop.signal });
      if (value === undefined || this.next !== undefined) return;
      this.#leader = { index: value.modifyIndex, atMs: performance.now() };
      this.#bytes = value.value;
      this.#judged = false;
      await this.judge(publishers);
    } catch {
      // The watch brings it, or the time is over.
    }
  }

  /** Puts `next` in force. @param missing namespaces of the same change of which the host does not have it */
  putInForce({ held, bytes }: Next, missing: readonly string[]): void {
    this.problem = missing.length === 0 ? undefined : halfInForce(this.name, held.head.revision, missing);
    this.held = held;
    this.#heldBytes = bytes;
    this.next = undefined;
  }

  stop(): void {
    this.#stop.abort();
    this.#watch.stop();
  }

  #onHead(entry: KvEntry | undefined): void {
    const leader = this.#leader;
    if (leader !== undefined && performance.now() - leader.atMs < LAG_MS && (entry?.modifyIndex ?? 0) < leader.index)
      return;
    this.#bytes = entry?.value;
    this.#judged = false;
    this.next = undefined;
    this.problem =
      entry === undefined && this.held !== undefined
        ? this.#refusal('TRY0702', 'it is gone', 'Find out who deletes keys there: "trysail fleet repair".')
        : undefined;
    this.#options.onHead();
  }

  #refusal(code: 'TRY0702' | 'TRY0703' | 'TRY0714', why: string, remedy: string): Diagnostic {
    return headRefused(code, this.name, this.held?.head.revision, why, remedy);
  }
}

function isComplete({ entries }: Held, bodyBytes: (hash: string) => number | undefined): boolean {
  return [...entries.values()].every(({ hash }) => bodyBytes(hash) !== undefined);
}
