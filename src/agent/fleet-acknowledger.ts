/**
 * Says in Consul what this host understands and follows, and of a change that goes out in steps whether Envoy has it. One
 * small key, written when there is something new to say, and once an hour.
 */

import { VERSION } from '../api/version.ts';
import type { KvStore } from '../consul/kv.ts';
import type { NamespaceStatus } from '../fleet/followed-namespace.ts';
import { FLEET_LEVEL, type HostGateway, type HostRollout, type HostStatus, PRESENCE_MS } from '../fleet/host-status.ts';
import { statusKey } from '../fleet/layout.ts';
import { takesPart } from '../fleet/stage.ts';
import { Backoff } from '../lib/backoff.ts';
import { errorMessage } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Diagnostic } from '../model/diagnostic.ts';

/** How often Envoy is looked at while it has not answered: at first, and later on. */
const LOOK_MS = { baseMs: 50, maxMs: 1000 };
/** Errors that are told, and the longest. */
const MAX_ERRORS = 3;
const MAX_ERROR = 300;

export interface FleetAcknowledgerOptions {
  readonly kv: Pick<KvStore, 'put'>;
  /** Name of this host. */
  readonly host: string;
  /** Whether there is a fleet's configuration at all. */
  readonly hasFleet: () => boolean;
  readonly followed: () => readonly NamespaceStatus[];
  /** Gateways that are not registered. */
  readonly gateways: () => readonly HostGateway[];
  /** What translation could not make and what Envoy refuses now. */
  readonly refused: () => readonly Diagnostic[];
  /** Whether Envoy has all in force that it was sent. */
  readonly isSettled: () => Promise<boolean>;
  readonly log: Log;
  /** Called when `diagnostics` has changed. */
  readonly onChange: () => void;
}

type Said = Omit<HostStatus, 'atMs'>;

const errorText = ({ code, object = '', message }: Diagnostic): string => `${code} ${object}: ${message}`;

export class FleetAcknowledger {
  readonly #options: FleetAcknowledgerOptions;
  readonly #stop = new AbortController();
  readonly #retry = new Backoff({ baseMs: 1000, maxMs: 300_000 });
  /** By roll-out: what was refused before it came. */
  readonly #before = new Map<string, ReadonlySet<string>>();
  #said: Said | undefined;
  #saidAtMs = Number.NEGATIVE_INFINITY;
  /** Roll-outs that Envoy was found to have, at the look before. */
  #settled = '';
  /** Roll-outs whose answer was spread over time already. */
  #spread = '';
  readonly #looks = new Backoff(LOOK_MS);
  /** What is waited for. */
  #asked = '';
  #error: string | undefined;
  #again = false;
  #work: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: FleetAcknowledgerOptions) {
    this.#options = options;
  }

  get diagnostics(): readonly Diagnostic[] {
    if (this.#error === undefined) return [];
    const { host } = this.#options;
    return [
      {
        code: 'TRY0711',
        severity: 'warning',
        object: 'fleet configuration',
        message: `this host cannot say in Consul what it has in force: ${this.#error}; changes that go out in steps do not wait for it`,
        remedy: `Give its token \`key "${statusKey(host)}" { policy = "write" }\`.`,
      },
    ];
  }

  /** To be called when something has come, before it is made into configuration: what is refused already is not its fault. */
  noteBefore(): void {
    const ids = new Set(this.#options.followed().flatMap(({ stage }) => stage?.id ?? []));
    for (const id of this.#before.keys()) if (!ids.has(id)) this.#before.delete(id);
    for (const id of ids)
      if (!this.#before.has(id)) this.#before.set(id, new Set(this.#options.refused().map(errorText)));
  }

  /** Looks at what there is to say. */
  kick(): void {
    if (this.#stop.signal.aborted) return;
    this.#again = true;
    this.#work ??= this.#run().finally(() => {
      this.#work = undefined;
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#work;
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#stop.signal.aborted) {
      this.#again = false;
      let nextMs: number;
      try {
        nextMs = await this.#look();
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        this.#fail(errorMessage(error).replace(/\.$/, ''));
        nextMs = this.#retry.nextMs();
      }
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.kick(), nextMs).unref();
    }
  }

  #fail(error: string | undefined): void {
    if (error === this.#error) return;
    const { log, onChange } = this.#options;
    if (error !== undefined) log.warn({ error }, 'this host cannot say what it has in force');
    this.#error = error;
    onChange();
  }

  /** One look; returns after how many milliseconds to look again, unless something comes before. */
  async #look(): Promise<number> {
    const { hasFleet, followed, gateways } = this.#options;
    if (!hasFleet()) return PRESENCE_MS;
    const revisions = this.#inForce();
    const asked = JSON.stringify([...revisions]);
    if (asked !== this.#asked) this.#looks.reset();
    this.#asked = asked;
    let rollouts: readonly HostRollout[] = [];
    if (revisions.size > 0) {
      rollouts = [...revisions].map(([id, of]) => this.#answer(id, of));
      const isRefused = rollouts.some(({ envoy }) => envoy === 'rejected');
      // What is sent now may be refused a moment later: only what stays so is said.
      const settled = isRefused || (await this.#options.isSettled()) ? JSON.stringify(rollouts) : '';
      const isSure = settled !== '' && settled === this.#settled;
      this.#settled = settled;
      if (!isSure) return this.#looks.nextMs();
    }
    const said: Said = {
      version: VERSION,
      level: FLEET_LEVEL,
      namespaces: followed()
        .map(({ namespace }) => namespace)
        .sort(),
      gateways: [...gateways()],
      // Of a roll-out that is over nothing need be taken back.
      rollouts: rollouts.length === 0 ? [...(this.#said?.rollouts ?? [])] : [...rollouts],
    };
    const now = performance.now();
    const isNew = JSON.stringify(said) !== JSON.stringify(this.#said);
    if (!isNew && now - this.#saidAtMs < PRESENCE_MS) return PRESENCE_MS - (now - this.#saidAtMs);
    if (rollouts.length > 0 && this.#spread !== asked) {
      this.#spread = asked;
      const spreadMs = Math.max(...followed().map(({ stage }) => stage?.spreadMs ?? 0));
      if (spreadMs > 0) return Math.random() * spreadMs;
    }
    await this.#write(said);
    return PRESENCE_MS;
  }

  async #write(said: Said): Promise<void> {
    const { kv, host } = this.#options;
    const status: HostStatus = { ...said, atMs: Date.now() };
    await kv.put(statusKey(host), Buffer.from(JSON.stringify(status)));
    this.#said = said;
    this.#saidAtMs = performance.now();
    this.#retry.reset();
    this.#fail(undefined);
  }

  /** Revisions that go out in steps and are in force here, by roll-out and namespace. */
  #inForce(): ReadonlyMap<string, Readonly<Record<string, number>>> {
    const { host, followed } = this.#options;
    const found = new Map<string, Record<string, number>>();
    for (const { namespace, revision, stage, current } of followed()) {
      if (stage === undefined || revision === undefined || !current || !takesPart(stage, host)) continue;
      found.set(stage.id, { ...found.get(stage.id), [namespace]: revision });
    }
    return found;
  }

  #answer(id: string, revisions: Readonly<Record<string, number>>): HostRollout {
    const before = this.#before.get(id);
    const errors = this.#options
      .refused()
      .map(errorText)
      .filter((text) => before?.has(text) !== true);
    return {
      id,
      revisions,
      envoy: errors.length === 0 ? 'accepted' : 'rejected',
      errors: errors.slice(0, MAX_ERRORS).map((text) => text.slice(0, MAX_ERROR)),
    };
  }
}
