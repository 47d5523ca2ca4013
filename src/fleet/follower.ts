/**
 * Follows the fleet's configuration on a host: the list of publishers and the heads of the namespaces that this host has
 * to do with, one blocking query each. What verifies becomes current, all namespaces of one change at once; what does not
 * is a diagnostic, and what was taken before holds.
 */
import type { KvStore } from '../consul/kv.ts';
import { Backoff } from '../lib/backoff.ts';
import { errorMessage } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { sleep } from '../lib/sleep.ts';
import { Slots } from '../lib/slots.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { ResourceSet } from '../sources/resource-set.ts';
import { missingHalves, readyNamespaces } from './change-halves.ts';
import { FleetSaver } from './fleet-saver.ts';
import { FollowedNamespace, type NamespaceStatus } from './followed-namespace.ts';
import { FollowedPublishers } from './followed-publishers.ts';
import { tooManyNamespaces, unreadable } from './follower-diagnostics.ts';
import { KeptFleet } from './kept-fleet.ts';
import type { Publishers } from './publishers.ts';
import { ResourcesInForce } from './resources-in-force.ts';
import type { VerifyingKey } from './signing-key.ts';

/** For how long one half of a change of several namespaces waits for the other. */
const OTHER_HALF_MS = 2000;
/** Reads of parts and bodies under way at once. */
const READS = 8;
const POLL_MS = 2;

export interface FollowerOptions {
  readonly kv: Pick<KvStore, 'get'>;
  /** Name of this host, by which it takes its part in changes that go out in steps. */
  readonly host: string;
  readonly roots: readonly VerifyingKey[];
  readonly stateDir: string;
  readonly log: Log;
  /** At most so many namespaces are followed. */
  readonly maxNamespaces: number;
  /** For how long one half of a change of several namespaces waits for the other, in milliseconds. Default 2,000. */
  readonly otherHalfMs?: number;
  /** Called after a change of what is in force or of what is wrong, not for the start. */
  readonly onChange: () => void;
}

export class FleetFollower {
  readonly #options: FollowerOptions;
  readonly #kept: KeptFleet;
  readonly #slots = new Slots(READS);
  readonly #stop = new AbortController();
  readonly #retry = new Backoff({ baseMs: 500, maxMs: 30_000 });
  readonly #followed = new Map<string, FollowedNamespace>();
  readonly #inForce = new ResourcesInForce();
  readonly #saver: FleetSaver;
  readonly #publishers: FollowedPublishers;
  readonly #otherHalfMs: number;
  #tooMany: Diagnostic | undefined;
  #turn: Promise<void> = Promise.resolve();
  /** Changes of what is followed that are under way. */
  #moving = 0;
  #wanted = false;
  #timer: NodeJS.Timeout | undefined;
  #reported = '';

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#otherHalfMs = options.otherHalfMs ?? OTHER_HALF_MS;
    this.#kept = new KeptFleet(options.stateDir);
    this.#saver = new FleetSaver({ kept: this.#kept, log: options.log, onChange: () => this.#report() });
    this.#publishers = new FollowedPublishers({
      ...options,
      kept: this.#kept,
      onAnswer: (isNew) => {
        if (isNew) for (const followed of this.#followed.values()) followed.doubt();
        this.#report();
        this.#kick();
      },
      onError: () => this.#report(),
      onTaken: (sealed) => this.#saver.savePublishers(sealed),
    });
  }

  /** What is in force. */
  get resources(): ResourceSet {
    return this.#inForce.set;
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
      this.#saver.problem,
      this.#tooMany,
    ].filter((one) => one !== undefined);
  }

  /** Revision of the list of publishers; undefined: none was ever seen. */
  get meshRevision(): number | undefined {
    return this.#publishers.current?.document.revision;
  }

  /** The followed namespaces. */
  status(): readonly NamespaceStatus[] {
    return [...this.#followed.values()].map((one) => one.status(this.#publishers.current));
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
    for (const followed of this.#followed.values()) followed.stop();
    await this.#turn;
    await this.#saver.flush();
  }

  #isSettled(): boolean {
    const all = [...this.#followed.values()];
    if (this.#moving > 0 || !this.#publishers.asked || all.some(({ asked }) => !asked)) return false;
    return !this.#wanted && !all.some(({ isUnjudged }) => isUnjudged);
  }

  #bounded(namespaces: ReadonlySet<string>): ReadonlySet<string> {
    const { maxNamespaces } = this.#options;
    const left = [...namespaces].slice(maxNamespaces);
    this.#tooMany = left.length === 0 ? undefined : tooManyNamespaces(namespaces.size, maxNamespaces, left);
    return new Set([...namespaces].slice(0, maxNamespaces));
  }

  async #follow(namespaces: ReadonlySet<string>): Promise<void> {
    const names = this.#bounded(namespaces);
    for (const [name, followed] of this.#followed) {
      if (names.has(name)) continue;
      followed.stop();
      this.#followed.delete(name);
    }
    this.#useRoom();
    for (const name of names) {
      if (this.#followed.has(name)) continue;
      const kept = await this.#kept.read(name, this.#publishers.current).catch((error: unknown) => {
        this.#options.log.warn({ namespace: name, error: errorMessage(error) }, 'a kept namespace is not used');
        return undefined;
      });
      if (this.#stop.signal.aborted) return;
      if (kept !== undefined) this.#inForce.add(kept.bodies);
      const followed = new FollowedNamespace({
        name,
        kept: kept?.held,
        kv: this.#options.kv,
        host: this.#options.host,
        slots: this.#slots,
        bodyBytes: (hash) => this.#inForce.bodyBytes(hash),
        textOfOthers: () => this.#textBeside(name),
        onHead: () => this.#kick(),
        onError: () => this.#report(),
      });
      this.#followed.set(name, followed);
    }
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
    const all = [...this.#followed.values()];
    await Promise.all(all.map(async (followed) => followed.judge(publishers)));
    const failed = all.some(({ isUnjudged }) => isUnjudged);
    if (!failed) this.#retry.reset();
    await this.#fetchOtherHalves(publishers);
    this.#enforce();
    this.#useRoom();
    const waiting = all.flatMap(({ next }) => (next === undefined ? [] : [next.sinceMs]));
    const now = performance.now();
    if (failed) this.#kickIn(this.#retry.nextMs());
    else if (waiting.length > 0) this.#kickIn(Math.max(10, Math.min(...waiting) + this.#otherHalfMs - now));
    this.#report();
  }

  /** Heads of one change were written at once: who has one of them can read the others without waiting for their watches. */
  async #fetchOtherHalves(publishers: Publishers): Promise<void> {
    const missing = new Set(
      [...this.#followed.values()].flatMap(({ next }) =>
        next === undefined ? [] : missingHalves(this.#followed, next.held),
      ),
    );
    await Promise.all([...missing].map(async (name) => this.#followed.get(name)?.askLeader(publishers)));
  }

  /** Puts in force what is whole, or has waited for long enough. */
  #enforce(): void {
    const now = performance.now();
    const ready = readyNamespaces(this.#followed, (sinceMs) => now - sinceMs >= this.#otherHalfMs);
    if (ready.size === 0) return;
    for (const name of ready) this.#putInForce(name);
    if (this.#rebuild()) this.#options.onChange();
  }

  /** The text of the followed namespaces but one, in bytes. */
  #textBeside(namespace: string): number {
    return [...this.#followed].reduce((sum, [name, { textBytes }]) => sum + (name === namespace ? 0 : textBytes), 0);
  }

  /** Looks anew at what had no room beside namespaces that are smaller now, or not followed any more. */
  #useRoom(): void {
    const wanting = [...this.#followed.values()].filter((followed) => followed.hasRoomNow);
    for (const followed of wanting) followed.doubt();
    if (wanting.length > 0) this.#kick();
  }

  #putInForce(namespace: string): void {
    const followed = this.#followed.get(namespace);
    const next = followed?.next;
    if (followed === undefined || next === undefined) return;
    const { held } = next;
    followed.putInForce(next, missingHalves(this.#followed, held));
    this.#inForce.add(next.bodies);
    this.#saver.saveNamespace(held, this.#inForce.bodiesOf(held));
    this.#options.log.info({ namespace, revision: held.head.revision }, 'a revision of the fleet is in force');
  }

  /** Reads all that is in force. Returns whether that changed the resources. */
  #rebuild(): boolean {
    const all = [...this.#followed.values()];
    return this.#inForce.rebuild(
      all.flatMap(({ held }) => held ?? []),
      all.flatMap(({ next }) => next?.held ?? []),
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
