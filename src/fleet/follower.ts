/**
 * Follows the fleet's configuration on a host: the list of publishers and the heads of the namespaces that this host has
 * to do with, one blocking query each. What verifies becomes current, all namespaces of one change at once; what does not
 * is a diagnostic, and what was taken before holds.
 */
import type { KvEntry, KvStore } from '../consul/kv.ts';
import { Backoff } from '../lib/backoff.ts';
import { errorMessage } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { sleep } from '../lib/sleep.ts';
import { Slots } from '../lib/slots.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { type ReadingState, readResources } from '../sources/resource-reader.ts';
import { EMPTY_RESOURCES, type ResourceSet } from '../sources/resource-set.ts';
import { type Held, judgeHead } from './accept-head.ts';
import type { Stage } from './documents.ts';
import { fetchHead } from './fetch-head.ts';
import { resourceFiles } from './fleet-resources.ts';
import { type Followed, missingHalves, readyNamespaces } from './followed-namespace.ts';
import { FollowedPublishers } from './followed-publishers.ts';
import { halfInForce, headRefused, tooManyNamespaces, unreadable, unsaved } from './follower-diagnostics.ts';
import { KeptFleet } from './kept-fleet.ts';
import { KeyWatch } from './key-watch.ts';
import { headKey } from './layout.ts';
import type { Publishers } from './publishers.ts';
import { isRefused } from './signed-document.ts';
import type { VerifyingKey } from './signing-key.ts';
import { takesPart } from './stage.ts';
import { stagedBase } from './staged-base.ts';

/** For how long one half of a change of several namespaces waits for the other. */
const OTHER_HALF_MS = 2000;
/** Reads of parts and bodies under way at once. */
const READS = 8;
const POLL_MS = 2;
/** For how long the answer of a server that lags behind the leader is expected. */
const LAG_MS = 10_000;

/** How a followed namespace stands. */
export interface FollowedNamespace {
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

export interface FollowerOptions {
  readonly kv: Pick<KvStore, 'get'>;
  /** Name of this host, by which it takes its part in changes that go out in steps. */
  readonly host: string;
  readonly roots: readonly VerifyingKey[];
  readonly stateDir: string;
  readonly log: Log;
  /** At most so many namespaces are followed. */
  readonly maxNamespaces: number;
  /** Called after a change of what is in force or of what is wrong, not for the start. */
  readonly onChange: () => void;
}

export class FleetFollower {
  readonly #options: FollowerOptions;
  readonly #kept: KeptFleet;
  readonly #slots = new Slots(READS);
  readonly #stop = new AbortController();
  readonly #retry = new Backoff({ baseMs: 500, maxMs: 30_000 });
  readonly #followed = new Map<string, Followed>();
  readonly #bodies = new Map<string, string>();
  readonly #publishers: FollowedPublishers;
  #tooMany: Diagnostic | undefined;
  #unsaved: string | undefined;
  #state: ReadingState | undefined;
  #turn: Promise<void> = Promise.resolve();
  /** Changes of what is followed that are under way. */
  #moving = 0;
  #wanted = false;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #reported = '';

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#kept = new KeptFleet(options.stateDir);
    this.#publishers = new FollowedPublishers({
      ...options,
      kept: this.#kept,
      onAnswer: (isNew) => {
        // What was refused may be allowed now, and the other way round.
        if (isNew) for (const followed of this.#followed.values()) followed.judged = false;
        this.#report();
        this.#kick();
      },
      onError: () => this.#report(),
      write: (work) => this.#write(work),
    });
  }

  /** What is in force. */
  get resources(): ResourceSet {
    return this.#state?.set ?? EMPTY_RESOURCES;
  }

  /** Whether resource files of this host count beside it: while there is no fleet's configuration, they do. */
  get localResources(): 'allow' | 'deny' {
    return this.#publishers.current?.document.localResources ?? 'allow';
  }

  /** Of the following itself; those of resources are in `resources`. */
  get diagnostics(): readonly Diagnostic[] {
    const errors = [this.#publishers.error, ...[...this.#followed.values()].map(({ error }) => error)];
    const error = errors.find((one) => one !== undefined);
    const problems = [...this.#followed.values()].map(({ problem }) => problem);
    return [
      this.#publishers.problem,
      ...problems,
      error === undefined ? undefined : unreadable(error),
      this.#unsaved === undefined ? undefined : unsaved(this.#unsaved),
      this.#tooMany,
    ].filter((one) => one !== undefined);
  }

  /** Revision of the list of publishers; undefined: none was ever seen. */
  get meshRevision(): number | undefined {
    return this.#publishers.current?.document.revision;
  }

  /** The followed namespaces, by name. */
  status(): readonly FollowedNamespace[] {
    return [...this.#followed].map(([namespace, { held, next, problem, bytes, judged, stage }]) => ({
      namespace,
      revision: held?.head.revision,
      publishedMs: held?.head.atMs,
      publisher: held === undefined ? undefined : this.#publishers.current?.byKey.get(held.key)?.publisher.name,
      current: next === undefined && problem === undefined && judged && bytes !== undefined,
      stage,
    }));
  }

  /** Takes what an earlier agent kept, and begins to follow. Never rejects. */
  async start(namespaces: ReadonlySet<string>): Promise<void> {
    await this.#publishers.restore();
    await this.#follow(namespaces);
    this.#rebuild();
    this.#publishers.start();
  }

  /**
   * Follows these from now on, and no others. What is kept of a namespace that comes new is in force at once. Returns
   * whether anything changes.
   */
  setNamespaces(namespaces: ReadonlySet<string>): boolean {
    const names = this.#bounded(namespaces);
    if (names.size === this.#followed.size && [...names].every((name) => this.#followed.has(name))) return false;
    this.#moving += 1;
    this.#turn = this.#turn
      .then(async () => this.#follow(namespaces))
      .then(() => {
        if (this.#rebuild()) this.#options.onChange();
      })
      .catch((error: unknown) => this.#options.log.error({ error: errorMessage(error) }, 'following namespaces failed'))
      .finally(() => {
        this.#moving -= 1;
      });
    return true;
  }

  /** Waits, at most `ms`, until Consul has answered for everything, or has failed to, and it was judged. */
  async firstAnswers(ms: number, signal: AbortSignal): Promise<void> {
    const end = performance.now() + ms;
    while (performance.now() < end && !this.#isSettled()) if (!(await sleep(POLL_MS, signal))) return;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    this.#publishers.stop();
    for (const { watch } of this.#followed.values()) watch.stop();
    await this.#turn;
    await this.#writing;
  }

  #isSettled(): boolean {
    const watches = [...this.#followed.values()].map(({ watch }) => watch);
    if (this.#moving > 0 || !this.#publishers.asked || watches.some(({ answered, failing }) => !answered && !failing))
      return false;
    return !this.#wanted && [...this.#followed.values()].every((one) => one.bytes === undefined || one.judged);
  }

  #bounded(namespaces: ReadonlySet<string>): ReadonlySet<string> {
    const { maxNamespaces } = this.#options;
    const left = [...namespaces].slice(maxNamespaces);
    this.#tooMany = left.length === 0 ? undefined : tooManyNamespaces(namespaces.size, maxNamespaces, left);
    return new Set([...namespaces].slice(0, maxNamespaces));
  }

  async #follow(namespaces: ReadonlySet<string>): Promise<void> {
    const names = this.#bounded(namespaces);
    for (const [namespace, { watch }] of this.#followed) {
      if (names.has(namespace)) continue;
      watch.stop();
      this.#followed.delete(namespace);
    }
    for (const namespace of names) {
      if (this.#followed.has(namespace) || this.#stop.signal.aborted) continue;
      const kept = await this.#kept.read(namespace, this.#publishers.current).catch((error: unknown) => {
        this.#options.log.warn({ namespace, error: errorMessage(error) }, 'a kept namespace is not used');
        return undefined;
      });
      for (const [hash, text] of kept?.bodies ?? []) this.#bodies.set(hash, text);
      const followed: Followed = {
        held: kept?.held,
        bytes: undefined,
        judged: false,
        next: undefined,
        problem: undefined,
        error: undefined,
        watch: new KeyWatch({
          kv: this.#options.kv,
          key: headKey(namespace),
          onValue: (entry) => this.#onHead(namespace, entry),
          onError: (error) => {
            followed.error = error;
            this.#report();
          },
        }),
      };
      this.#followed.set(namespace, followed);
    }
  }

  #onHead(namespace: string, entry: KvEntry | undefined): void {
    const followed = this.#followed.get(namespace);
    if (followed === undefined) return;
    const { leader } = followed;
    if (leader !== undefined && performance.now() - leader.atMs < LAG_MS && (entry?.modifyIndex ?? 0) < leader.index)
      return;
    followed.bytes = entry?.value;
    followed.judged = false;
    followed.next = undefined;
    followed.problem =
      entry === undefined && followed.held !== undefined
        ? this.#refusal(namespace, 'TRY0702', 'it is gone', 'Find out who deletes keys there: "trysail fleet repair".')
        : undefined;
    this.#kick();
  }

  #refusal(namespace: string, code: 'TRY0702' | 'TRY0703', why: string, remedy: string): Diagnostic {
    return headRefused(code, namespace, this.#followed.get(namespace)?.held?.head.revision, why, remedy);
  }

  /** Goes over all that is not judged yet, one round at a time. */
  #kick(): void {
    if (this.#wanted || this.#stop.signal.aborted) return;
    this.#wanted = true;
    this.#turn = this.#turn
      .then(async () => {
        this.#wanted = false;
        await this.#round();
      })
      .catch((error: unknown) => {
        this.#options.log.error({ error: errorMessage(error) }, 'the fleet configuration cannot be looked at');
        this.#kickIn(this.#retry.nextMs());
      });
  }

  #kickIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#kick(), ms).unref();
  }

  async #round(): Promise<void> {
    const publishers = this.#publishers.current;
    if (publishers === undefined) return;
    await Promise.all(
      [...this.#followed].map(async ([namespace, followed]) => this.#judge(namespace, followed, publishers)),
    );
    const failed = [...this.#followed.values()].some(({ bytes, judged }) => bytes !== undefined && !judged);
    if (!failed) this.#retry.reset();
    await this.#fetchOtherHalves(publishers);
    this.#enforce();
    const waiting = [...this.#followed.values()].flatMap(({ next }) => (next === undefined ? [] : [next.sinceMs]));
    const now = performance.now();
    if (failed) this.#kickIn(this.#retry.nextMs());
    else if (waiting.length > 0) this.#kickIn(Math.max(10, Math.min(...waiting) + OTHER_HALF_MS - now));
    this.#report();
  }

  async #judge(namespace: string, followed: Followed, publishers: Publishers): Promise<void> {
    const { bytes, held } = followed;
    if (bytes === undefined || followed.judged) return;
    const remedy = `Find out who writes there; "trysail history -n ${namespace}" shows who may have.`;
    const judged = judgeHead(bytes, namespace, publishers, held);
    if (isRefused(judged)) {
      followed.judged = true;
      followed.problem = this.#refusal(namespace, 'TRY0702', judged.refused, remedy);
      return;
    }
    followed.stage = judged.head.stage;
    const { kv, host } = this.#options;
    const { signal } = this.#stop;
    try {
      const wanted = takesPart(judged.head.stage, host)
        ? { judged, publishers }
        : await stagedBase(judged, held, publishers, { kv, signal });
      if (wanted === undefined || (wanted.judged.hash === held?.hash && this.#isComplete(held))) {
        followed.judged = true;
        followed.problem = undefined;
        return;
      }
      const next = await fetchHead(wanted.judged, held, {
        kv,
        slots: this.#slots,
        signal,
        publishers: wanted.publishers,
        hasBody: (hash) => this.#bodies.has(hash),
      });
      // Something newer has come meanwhile.
      if (followed.bytes !== bytes) return;
      followed.judged = true;
      if ('refused' in next) followed.problem = this.#refusal(namespace, 'TRY0702', next.refused, remedy);
      else {
        followed.problem = undefined;
        followed.next = { ...next, sinceMs: followed.next?.sinceMs ?? performance.now() };
      }
    } catch (error) {
      if (this.#stop.signal.aborted || followed.bytes !== bytes) return;
      const why = errorMessage(error).replace(/\.$/, '');
      followed.problem = this.#refusal(
        namespace,
        'TRY0703',
        why,
        'It is tried again; apply the resources anew if it stays.',
      );
    }
  }

  #isComplete({ entries }: Held): boolean {
    return [...entries.values()].every(({ hash }) => this.#bodies.has(hash));
  }

  /** Heads of one change were written at once: who has one of them can read the others without waiting for their watches. */
  async #fetchOtherHalves(publishers: Publishers): Promise<void> {
    const missing = new Set(
      [...this.#followed.values()].flatMap(({ next }) =>
        next === undefined ? [] : missingHalves(this.#followed, next.held),
      ),
    );
    await Promise.all(
      [...missing].map(async (namespace) => {
        const followed = this.#followed.get(namespace);
        if (followed === undefined) return;
        try {
          const { value } = await this.#options.kv.get(headKey(namespace), { signal: this.#stop.signal });
          if (value === undefined || followed.next !== undefined) return;
          followed.leader = { index: value.modifyIndex, atMs: performance.now() };
          followed.bytes = value.value;
          followed.judged = false;
          await this.#judge(namespace, followed, publishers);
        } catch {
          // Its watch brings it, or the time is over.
        }
      }),
    );
  }

  /** Puts in force what is whole, or has waited for long enough. */
  #enforce(): void {
    const now = performance.now();
    const ready = readyNamespaces(this.#followed, (sinceMs) => now - sinceMs >= OTHER_HALF_MS);
    if (ready.size === 0) return;
    for (const name of ready) this.#putInForce(name);
    if (this.#rebuild()) this.#options.onChange();
  }

  #putInForce(namespace: string): void {
    const followed = this.#followed.get(namespace);
    const next = followed?.next;
    if (followed === undefined || next === undefined) return;
    const missing = missingHalves(this.#followed, next.held);
    followed.problem = missing.length === 0 ? undefined : halfInForce(namespace, next.held.head.revision, missing);
    followed.held = next.held;
    followed.next = undefined;
    for (const [hash, text] of next.bodies) this.#bodies.set(hash, text);
    const { held } = followed;
    const texts = new Map([...held.entries.values()].map(({ hash }) => [hash, this.#bodies.get(hash)]));
    this.#write(async () => this.#kept.write(held, (hash) => texts.get(hash)));
    this.#options.log.info({ namespace, revision: held.head.revision }, 'a revision of the fleet is in force');
  }

  /** Reads all that is in force. Returns whether that changed the resources. */
  #rebuild(): boolean {
    const files = [...this.#followed.values()].flatMap(({ held }) =>
      held === undefined ? [] : resourceFiles(held, (hash) => this.#bodies.get(hash)),
    );
    const used = new Set(
      [...this.#followed.values()].flatMap(({ held, next }) =>
        [held, next?.held].flatMap((one) => [...(one?.entries.values() ?? [])].map(({ hash }) => hash)),
      ),
    );
    for (const hash of this.#bodies.keys()) if (!used.has(hash)) this.#bodies.delete(hash);
    const before = this.#state?.set;
    this.#state = readResources(this.#state, files);
    return this.#state.set !== before;
  }

  #write(work: () => Promise<void>): void {
    this.#writing = this.#writing.then(work).then(
      () => {
        if (this.#unsaved === undefined) return;
        this.#unsaved = undefined;
        this.#report();
      },
      (error: unknown) => {
        const reason = errorMessage(error);
        if (reason === this.#unsaved) return;
        this.#options.log.error({ error: reason }, 'the fleet configuration cannot be saved');
        this.#unsaved = reason;
        this.#report();
      },
    );
  }

  /** Tells of what has changed beside the resources. */
  #report(): void {
    const now = JSON.stringify([this.diagnostics, this.meshRevision, this.localResources, this.status()]);
    if (now === this.#reported) return;
    this.#reported = now;
    if (!this.#stop.signal.aborted) this.#options.onChange();
  }
}
