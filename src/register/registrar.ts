/** Keeps this host's services registered with the local Consul agent, whatever happens to Consul, until told otherwise. */
import type { ConsulClient } from '../consul/client.ts';
import type { CheckStatus } from '../consul/health.ts';
import { Backoff } from '../lib/backoff.ts';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { sleep } from '../lib/sleep.ts';
import { META } from '../model/registration.ts';
import { CatalogueLook } from './catalogue-look.ts';
import { type CommandResult, repeatCommand } from './command-check.ts';
import { noteError, replacedEntries, takeFresh } from './entries.ts';
import { type Entry, isRegistered } from './entry.ts';
import type { LocalInstance } from './instance.ts';
import { type RegistrarStatus, registeredService } from './registrar-status.ts';

/** How often Consul's view is compared with ours while nothing happens. */
const COMPARE_EVERY_MS = 5000;
/** Between two comparisons at least, so that somebody who keeps changing our registration costs little. */
const MIN_GAP_MS = 250;
const DEREGISTER_TIMEOUT_MS = 10_000;

export interface RegistrarOptions {
  readonly client: Pick<ConsulClient, 'agent' | 'address' | 'catalogHas'>;
  readonly log: Log;
  /** Part of the ids, so that several hosts may share one Consul agent. */
  readonly hostName: string;
  readonly instances: readonly LocalInstance[];
  /** Between two looks at Consul's servers, while something has to be feared; default 10,000. */
  readonly catalogueEveryMs?: number;
}

function asTrysailError(error: unknown): TrysailError {
  return error instanceof TrysailError
    ? error
    : new TrysailError('REGISTRATION_FAILED', errorMessage(error), { cause: error });
}

/** Starts with `start`; ends with `stop`, which leaves the registrations, or with `deregister`, which removes them. */
export class Registrar {
  readonly #options: RegistrarOptions;
  readonly #stop = new AbortController();
  readonly #backoff = new Backoff({ baseMs: 250, maxMs: 5000 });
  /** Former services of this host whose removal was refused; said once. */
  readonly #abandoned = new Set<string>();
  #entries: ReadonlyMap<string, Entry>;
  #wake = new AbortController();
  #look: CatalogueLook | undefined;
  #connected = false;
  #current = false;
  #loop: Promise<void> | undefined;

  constructor(options: RegistrarOptions) {
    this.#options = options;
    this.#entries = replacedEntries(new Map(), options.instances, options);
  }

  /** Begins to register; never fails, tries for ever. */
  start(): void {
    if (this.#loop !== undefined || this.#stop.signal.aborted) return;
    const { client, catalogueEveryMs } = this.#options;
    this.#look = new CatalogueLook({ client, ...(catalogueEveryMs !== undefined && { everyMs: catalogueEveryMs }) });
    this.#loop = this.#run();
    for (const entry of this.#entries.values()) this.#startCommand(entry);
  }

  /** Registers these instead: changed ones anew, and those that are gone are removed. */
  setInstances(instances: readonly LocalInstance[]): void {
    this.#current = false;
    this.#entries = replacedEntries(this.#entries, instances, this.#options);
    if (this.#loop === undefined) return;
    for (const entry of this.#entries.values()) this.#startCommand(entry);
    this.#wake.abort();
  }

  /**
   * Reports a `ttl` check on behalf of the application. False: there is no such check in Consul now.
   * @param id the service's id, as in `status()`
   * @throws TrysailError `CONSUL_…`
   */
  async reportTtl(id: string, status: CheckStatus): Promise<boolean> {
    const entry = this.#entries.get(id);
    const checkId = entry?.registration.applicationCheckId;
    if (entry?.instance.check?.kind !== 'ttl' || checkId === undefined) return false;
    return this.#options.client.agent.updateCheck(checkId, status, `reported as ${status}`, this.#stop.signal);
  }

  status(): RegistrarStatus {
    return {
      address: this.#options.client.address,
      connected: this.#connected,
      current: this.#current,
      services: [...this.#entries.values()].map(registeredService),
    };
  }

  /** Ends the work and leaves the registrations in Consul: Envoy keeps serving without the agent. */
  stop(): void {
    this.#stop.abort();
    for (const { stop } of this.#entries.values()) stop.abort();
  }

  /**
   * Removes the registrations, then ends. Takes at most `timeoutMs`; what could not be removed is logged, and Consul
   * finds out by its checks. Returns whether all are removed.
   */
  async deregister(timeoutMs = DEREGISTER_TIMEOUT_MS): Promise<boolean> {
    this.stop();
    const signal = AbortSignal.timeout(timeoutMs);
    await this.#loop;
    const { client, log } = this.#options;
    const outcomes = await Promise.all(
      [...this.#entries].map(async ([id, entry]) => {
        const name = entry.registration.definition.Name;
        try {
          await client.agent.deregister(id, { name, signal });
          entry.sinceMs = undefined;
          return true;
        } catch (error) {
          log.warn({ service: name, id, error: errorMessage(error) }, 'registration: could not be removed from Consul');
          return false;
        }
      }),
    );
    return outcomes.every(Boolean);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      const either = AbortSignal.any([signal, this.#wake.signal]);
      let good: boolean;
      try {
        good = await this.#reconcile();
        this.#connected = true;
      } catch (error) {
        if (signal.aborted) return;
        good = false;
        this.#connected = false;
        const failure = asTrysailError(error);
        for (const entry of this.#entries.values()) noteError(entry, failure, this.#options.log);
      }
      if (good) {
        this.#backoff.reset();
        await sleep(MIN_GAP_MS, signal);
        if (!takeFresh(this.#entries.values())) await this.#untilSomethingHappens(either);
      } else await sleep(this.#backoff.nextMs(), either);
    }
  }

  /**
   * Waits for the time between two comparisons, on a blocking query of one of our services: a Consul agent that stops,
   * or starts without its data, ends it at once.
   */
  async #untilSomethingHappens(signal: AbortSignal): Promise<void> {
    const [id] = this.#entries.keys();
    if (id === undefined) {
      await sleep(COMPARE_EVERY_MS, signal);
      return;
    }
    const { agent } = this.#options.client;
    try {
      const live = await agent.service(id, { signal });
      if (live !== undefined) await agent.service(id, { hash: live.hash, waitMs: COMPARE_EVERY_MS, signal });
    } catch {
      // The comparison that follows meets the same failure and reports it.
    }
  }

  /** Compares Consul's view with ours and mends the difference. Returns whether all is as wanted now. */
  async #reconcile(): Promise<boolean> {
    const { client, hostName, log } = this.#options;
    const { signal } = this.#stop;
    const services = await client.agent.services(signal);
    const checks = await client.agent.checks(signal);
    const wanted = this.#entries;
    const settled = [...wanted].filter(([, { confirmed }]) => confirmed);
    const missing = await this.#look?.missing(
      new Map(settled.map(([id, { registration }]) => [id, registration.definition.Name])),
      signal,
    );
    let good = true;
    for (const [id, entry] of wanted) {
      const isKnown = missing?.has(id) !== true;
      if (!entry.dirty && isKnown && isRegistered(entry.registration, services, checks)) {
        if (entry.error !== undefined) noteError(entry, undefined, log);
        entry.confirmed = true;
      } else good = (await this.#register(entry, services.has(id))) && good;
      const { applicationCheckId, proxyCheckId } = entry.registration;
      if (applicationCheckId !== undefined) entry.application = checks.get(applicationCheckId)?.status ?? 'unknown';
      if (proxyCheckId !== undefined) entry.proxy = checks.get(proxyCheckId)?.status ?? 'unknown';
    }
    for (const [id, service] of services) {
      if (service.meta[META.host] !== hostName || this.#entries.has(id)) continue;
      try {
        await client.agent.deregister(id, { name: service.name, signal });
        log.info({ service: service.name, id }, 'registration: removed, this host no longer has the service');
      } catch (error) {
        signal.throwIfAborted();
        if (!this.#abandoned.has(id))
          log.warn({ service: service.name, id, error: errorMessage(error) }, 'registration: cannot be removed');
        this.#abandoned.add(id);
      }
    }
    this.#current = good && wanted === this.#entries;
    return this.#current;
  }

  async #register(entry: Entry, present: boolean): Promise<boolean> {
    const { client, log } = this.#options;
    const { definition, applicationCheckId } = entry.registration;
    const lost = entry.sinceMs !== undefined && !present;
    try {
      entry.confirmed = false;
      await client.agent.register(definition, this.#stop.signal);
      entry.dirty = false;
      if (lost || entry.sinceMs === undefined) entry.sinceMs = Date.now();
      log.info({ service: definition.Name, id: definition.ID, lost }, 'registration: written to Consul');
      noteError(entry, undefined, log);
    } catch (error) {
      this.#stop.signal.throwIfAborted();
      if (!present) entry.sinceMs = undefined;
      noteError(entry, asTrysailError(error), log);
      return false;
    }
    if (entry.result !== undefined && applicationCheckId !== undefined) await this.#report(entry, entry.result);
    return true;
  }

  #startCommand(entry: Entry): void {
    const { check } = entry.instance;
    if (check?.kind !== 'command' || entry.result !== undefined || entry.stop.signal.aborted) return;
    // Until the first run has ended.
    entry.result = { status: 'critical', reason: 'not run yet' };
    void repeatCommand(check, (result) => this.#report(entry, result), entry.stop.signal);
  }

  async #report(entry: Entry, result: CommandResult): Promise<void> {
    entry.result = result;
    const { applicationCheckId } = entry.registration;
    if (applicationCheckId === undefined || entry.sinceMs === undefined) return;
    try {
      const { agent } = this.#options.client;
      const there = await agent.updateCheck(applicationCheckId, result.status, result.reason, entry.stop.signal);
      if (!there) this.#wake.abort();
    } catch (error) {
      this.#options.log.debug({ error: errorMessage(error) }, 'registration: a check could not be reported');
    }
  }
}
