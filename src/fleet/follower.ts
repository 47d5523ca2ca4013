/**
 * Follows the fleet's configuration on a host: the list of publishers and the heads of the namespaces that this host has
 * to do with, one blocking query each. What verifies becomes current, all namespaces of one change at once; what does not
 * is a diagnostic, and what was taken before holds.
 */
import type { KvEntry, KvStore } from '../consul/kv.ts';
import { Backoff } from '../lib/backoff.ts';
import { errorMessage, type TrysailError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { sleep } from '../lib/sleep.ts';
import { Slots } from '../lib/slots.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { type ReadingState, readResources } from '../sources/resource-reader.ts';
import { EMPTY_RESOURCES, type ResourceSet } from '../sources/resource-set.ts';
import { type Held, inlineBodies, type Judged, judgeHead, takeHead } from './accept-head.ts';
import { resourceFiles } from './fleet-resources.ts';
import { readContent } from './fleet-store.ts';
import { KeptFleet } from './kept-fleet.ts';
import { KeyWatch } from './key-watch.ts';
import { bodyKey, headKey, indexKey, MESH_KEY } from './layout.ts';
import { openPublishers, type Publishers } from './publishers.ts';
import { isRefused } from './signed-document.ts';
import type { VerifyingKey } from './signing-key.ts';

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
}

export interface FollowerOptions {
  readonly kv: Pick<KvStore, 'get'>;
  readonly roots: readonly VerifyingKey[];
  readonly stateDir: string;
  readonly log: Log;
  /** At most so many namespaces are followed. */
  readonly maxNamespaces: number;
  /** Called after a change of what is in force or of what is wrong, not for the start. */
  readonly onChange: () => void;
}

interface Followed {
  readonly watch: KeyWatch;
  held: Held | undefined;
  /** What Consul has; undefined: no answer yet, or no such key. */
  bytes: Uint8Array | undefined;
  /** Whether `bytes` was judged, by the list of publishers that holds. */
  judged: boolean;
  /** Taken and not in force yet, with when it was first wanted. */
  next: { readonly held: Held; readonly bodies: ReadonlyMap<string, string>; readonly sinceMs: number } | undefined;
  problem: Diagnostic | undefined;
  error: TrysailError | undefined;
  /** What the leader said when it was asked beside the watch: Consul's index of the head, and when. */
  leader?: { readonly index: number; readonly atMs: number };
}

export class FleetFollower {
  readonly #options: FollowerOptions;
  readonly #kept: KeptFleet;
  readonly #slots = new Slots(READS);
  readonly #stop = new AbortController();
  readonly #retry = new Backoff({ baseMs: 500, maxMs: 30_000 });
  readonly #followed = new Map<string, Followed>();
  readonly #bodies = new Map<string, string>();
  #meshWatch: KeyWatch | undefined;
  #publishers: Publishers | undefined;
  #meshProblem: Diagnostic | undefined;
  #meshError: TrysailError | undefined;
  #tooMany: Diagnostic | undefined;
  #unsaved: string | undefined;
  #state: ReadingState | undefined;
  #turn: Promise<void> = Promise.resolve();
  #wanted = false;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #reported = '';

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#kept = new KeptFleet(options.stateDir);
  }

  /** What is in force. */
  get resources(): ResourceSet {
    return this.#state?.set ?? EMPTY_RESOURCES;
  }

  /** Whether resource files of this host count beside it: while there is no fleet's configuration, they do. */
  get localResources(): 'allow' | 'deny' {
    return this.#publishers?.document.localResources ?? 'allow';
  }

  /** Of the following itself; those of resources are in `resources`. */
  get diagnostics(): readonly Diagnostic[] {
    const errors = [this.#meshError, ...[...this.#followed.values()].map(({ error }) => error)];
    const error = errors.find((one) => one !== undefined);
    const unreadable: Diagnostic | undefined =
      error === undefined
        ? undefined
        : {
            code: 'TRY0704',
            severity: 'warning',
            object: 'fleet configuration',
            message: `it cannot be read; the last good one holds: ${error.message}`,
            ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
          };
    const unsaved: Diagnostic | undefined =
      this.#unsaved === undefined
        ? undefined
        : {
            code: 'TRY0706',
            severity: 'warning',
            object: 'fleet configuration',
            message: `it cannot be saved in the state folder: ${this.#unsaved}`,
            remedy: 'Free space there, or make it writable for the agent: it is needed after a restart.',
          };
    const problems = [...this.#followed.values()].map(({ problem }) => problem);
    return [this.#meshProblem, ...problems, unreadable, unsaved, this.#tooMany].filter((one) => one !== undefined);
  }

  /** Revision of the list of publishers; undefined: none was ever seen. */
  get meshRevision(): number | undefined {
    return this.#publishers?.document.revision;
  }

  /** The followed namespaces, by name. */
  status(): readonly FollowedNamespace[] {
    return [...this.#followed].map(([namespace, { held, next, problem, bytes, judged }]) => ({
      namespace,
      revision: held?.head.revision,
      publishedMs: held?.head.atMs,
      publisher: held === undefined ? undefined : this.#publishers?.byKey.get(held.key)?.publisher.name,
      current: next === undefined && problem === undefined && judged && bytes !== undefined,
    }));
  }

  /** Takes what an earlier agent kept, and begins to follow. Never rejects. */
  async start(namespaces: ReadonlySet<string>): Promise<void> {
    const { roots, kv, log } = this.#options;
    try {
      const sealed = await this.#kept.readMesh();
      const publishers = sealed === undefined ? undefined : openPublishers(sealed, roots);
      if (publishers !== undefined && !isRefused(publishers)) this.#publishers = publishers;
    } catch (error) {
      log.warn({ error: errorMessage(error) }, 'the kept list of publishers is not used');
    }
    await this.#follow(namespaces);
    this.#rebuild();
    this.#meshWatch = new KeyWatch({
      kv,
      key: MESH_KEY,
      onValue: (entry) => this.#onMesh(entry),
      onError: (error) => {
        this.#meshError = error;
        this.#report();
      },
    });
  }

  /** Follows these from now on. What is kept of a namespace that comes new is in force at once. */
  setNamespaces(namespaces: ReadonlySet<string>): void {
    const names = this.#bounded(namespaces);
    if (names.size === this.#followed.size && [...names].every((name) => this.#followed.has(name))) return;
    this.#turn = this.#turn
      .then(async () => this.#follow(namespaces))
      .then(() => {
        if (this.#rebuild()) this.#options.onChange();
      })
      .catch((error: unknown) =>
        this.#options.log.error({ error: errorMessage(error) }, 'following namespaces failed'),
      );
  }

  /** Waits, at most `ms`, until Consul has answered for everything, or has failed to, and it was judged. */
  async firstAnswers(ms: number, signal: AbortSignal): Promise<void> {
    const end = performance.now() + ms;
    while (performance.now() < end && !this.#isSettled()) if (!(await sleep(POLL_MS, signal))) return;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    this.#meshWatch?.stop();
    for (const { watch } of this.#followed.values()) watch.stop();
    await this.#turn;
    await this.#writing;
  }

  #isSettled(): boolean {
    const watches = [this.#meshWatch, ...[...this.#followed.values()].map(({ watch }) => watch)];
    if (watches.some((watch) => watch?.answered !== true && watch?.failing !== true)) return false;
    return !this.#wanted && [...this.#followed.values()].every((one) => one.bytes === undefined || one.judged);
  }

  #bounded(namespaces: ReadonlySet<string>): ReadonlySet<string> {
    const { maxNamespaces } = this.#options;
    const left = [...namespaces].slice(maxNamespaces);
    this.#tooMany =
      left.length === 0
        ? undefined
        : {
            code: 'TRY0709',
            severity: 'warning',
            object: 'fleet configuration',
            message: `${namespaces.size} namespaces are needed and ${maxNamespaces} followed; left out: ${left.join(', ')}`,
            remedy: 'Call services of fewer namespaces from this host.',
          };
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
      const kept = await this.#kept.read(namespace).catch((error: unknown) => {
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

  #onMesh(entry: KvEntry | undefined): void {
    const refusal = this.#takeMesh(entry);
    this.#meshProblem =
      refusal === undefined
        ? undefined
        : {
            code: 'TRY0701',
            severity: 'error',
            object: 'fleet configuration',
            message: `the list of publishers in Consul (${MESH_KEY}) is not taken: ${refusal}; ${this.#publishers === undefined ? 'there is no fleet configuration' : 'the last good one holds'}`,
            remedy: 'Check mesh.fleet.trust, and find out who writes there.',
          };
    this.#report();
    this.#kick();
  }

  /** Why the list is not taken; undefined: it is. */
  #takeMesh(entry: KvEntry | undefined): string | undefined {
    const before = this.#publishers;
    if (entry === undefined) return 'it does not exist';
    const next = openPublishers(entry.value, this.#options.roots);
    if (isRefused(next)) return next.refused;
    if (before?.hash === next.hash) return undefined;
    if (before !== undefined) {
      const { revision, fleet } = before.document;
      if (next.document.fleet !== fleet) return 'it is that of another fleet than this host has seen';
      if (next.document.revision <= revision)
        return `its revision ${next.document.revision} is not above ${revision}, which this host has seen`;
    }
    this.#publishers = next;
    for (const followed of this.#followed.values()) followed.judged = false;
    this.#write(async () => this.#kept.writeMesh(Buffer.from(entry.value).toString('utf8')));
    return undefined;
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

  #refusal(namespace: string, code: string, why: string, remedy: string): Diagnostic {
    const held = this.#followed.get(namespace)?.held;
    const rest = held === undefined ? 'nothing of it is in force' : `revision ${held.head.revision} holds`;
    return {
      code,
      severity: 'error',
      object: `namespace ${namespace}`,
      message: `its head in Consul (${headKey(namespace)}) is not taken: ${why}; ${rest}`,
      remedy,
    };
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
    const publishers = this.#publishers;
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
    if (judged.hash === held?.hash && this.#isComplete(held)) {
      followed.judged = true;
      followed.problem = undefined;
      return;
    }
    try {
      const next = await this.#take(judged, held, publishers);
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

  async #take(
    judged: Judged,
    before: Held | undefined,
    publishers: Publishers,
  ): Promise<{ readonly held: Held; readonly bodies: ReadonlyMap<string, string> } | { readonly refused: string }> {
    const { kv } = this.#options;
    const { namespace } = judged;
    const { signal } = this.#stop;
    const read = (key: string, hash: string): Promise<string> =>
      this.#slots.run(async () => readContent(kv, key, hash, signal));
    const same = before?.hash === judged.hash;
    const held = same
      ? before
      : await takeHead(judged, before, publishers, (hash) => read(indexKey(namespace, hash), hash));
    if (isRefused(held)) return held;
    const inline = inlineBodies(judged);
    const bodies = new Map<string, string>();
    await Promise.all(
      [...held.entries.values()].map(async ({ hash }) => {
        if (this.#bodies.has(hash)) return;
        bodies.set(hash, inline.get(hash) ?? (await read(bodyKey(namespace, hash), hash)));
      }),
    );
    return { held, bodies };
  }

  /** Which namespaces of the same change are not there yet. */
  #missingHalves({ held }: { readonly held: Held }): readonly string[] {
    return Object.entries(held.head.transaction.revisions).flatMap(([namespace, revision]) => {
      const other = this.#followed.get(namespace);
      if (other === undefined || namespace === held.namespace) return [];
      const known = Math.max(other.held?.head.revision ?? 0, other.next?.held.head.revision ?? 0);
      return known >= revision ? [] : [namespace];
    });
  }

  /** Heads of one change were written at once: who has one of them can read the others without waiting for their watches. */
  async #fetchOtherHalves(publishers: Publishers): Promise<void> {
    const missing = new Set(
      [...this.#followed.values()].flatMap(({ next }) => (next === undefined ? [] : this.#missingHalves(next))),
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
    const ready = new Set([...this.#followed].flatMap(([name, { next }]) => (next === undefined ? [] : [name])));
    const now = performance.now();
    for (let changed = true; changed; ) {
      changed = false;
      for (const name of ready) {
        const next = this.#followed.get(name)?.next;
        if (next === undefined || now - next.sinceMs >= OTHER_HALF_MS) continue;
        const waits = Object.entries(next.held.head.transaction.revisions).some(([other, revision]) => {
          const partner = this.#followed.get(other);
          if (partner === undefined || other === name) return false;
          if ((partner.held?.head.revision ?? 0) >= revision) return false;
          return !ready.has(other) || (partner.next?.held.head.revision ?? 0) < revision;
        });
        if (!waits) continue;
        ready.delete(name);
        changed = true;
      }
    }
    if (ready.size === 0) return;
    for (const name of ready) this.#putInForce(name);
    if (this.#rebuild()) this.#options.onChange();
  }

  #putInForce(namespace: string): void {
    const followed = this.#followed.get(namespace);
    const next = followed?.next;
    if (followed === undefined || next === undefined) return;
    const missing = this.#missingHalves(next);
    followed.problem =
      missing.length === 0
        ? undefined
        : {
            code: 'TRY0710',
            severity: 'warning',
            object: `namespace ${namespace}`,
            message: `revision ${next.held.head.revision} is in force without the other half of its change, in ${missing.join(', ')}`,
            remedy: 'See what is wrong with those namespaces.',
          };
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

  /** Tells of changed diagnostics. */
  #report(): void {
    const now = JSON.stringify([this.diagnostics, this.localResources]);
    if (now === this.#reported) return;
    this.#reported = now;
    if (!this.#stop.signal.aborted) this.#options.onChange();
  }
}
