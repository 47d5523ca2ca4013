/**
 * The host as Envoy is to serve it now: what is configured, with the ways in of before for as long as peers go there, and
 * the callers of before for as long as rules of the kernel lead to their ports.
 */
import { errorMessage } from '../lib/errors.ts';
import { sleep } from '../lib/sleep.ts';
import type { Caller, Host, Workload } from '../model/host.ts';
import type { Configuration } from './configuration.ts';
import { Handover, type HandoverOptions } from './handover.ts';
import { servedWorkloads, withFormerCallers, withWorkloads } from './inbound-ways.ts';
import { keepServed, readServed } from './served-before.ts';

/** How long the rules of the kernel may take to follow. */
const RULES_MS = 5000;
/** How long a start leaves the registrations of an earlier agent alone while Envoy opens what is new. */
const FIRST_OPENING_MS = 10_000;

export interface ServedHostOptions extends Pick<HandoverOptions, 'register' | 'isOpen' | 'registrar' | 'log'> {
  readonly configuration: Configuration;
  /** Served already, or first of all. */
  readonly current: Host;
  /** Has Envoy serve this host from now on. */
  readonly serve: (host: Host) => void;
  /** Called when every way in is open. */
  readonly onOpen: () => void;
}

/** The host with what an earlier agent has had Envoy open: what is served first. Never rejects. */
export async function servedAtStart({ settings, host }: Configuration): Promise<Host> {
  const before = (await readServed(settings.paths.run)) ?? [];
  return withWorkloads(host, servedWorkloads(before, host.workloads, new Set()));
}

export class ServedHost {
  readonly #options: ServedHostOptions;
  readonly #handover: Handover;
  readonly #ended = new AbortController();
  /** Resolves when all services are where they are to be reached from now on. */
  readonly #opened = Promise.withResolvers<void>();
  #configuration: Configuration;
  #current: Host;
  /** Callers of before, whose captured calls may still arrive. */
  #formerCallers: readonly Caller[] = [];
  #forgetting: NodeJS.Timeout | undefined;
  #keeping: Promise<void> = Promise.resolve();

  constructor(options: ServedHostOptions) {
    const { configuration, current, register, isOpen, registrar, log } = options;
    this.#options = options;
    this.#configuration = configuration;
    this.#current = current;
    this.#handover = new Handover(configuration.settings, current.workloads, {
      serve: (workloads) => this.#serve(workloads),
      register,
      isOpen,
      registrar,
      onOpen: () => {
        this.#opened.resolve();
        this.#forgetCallers();
        options.onOpen();
      },
      log,
    });
  }

  /** With the ways in that are to be open now. */
  get current(): Host {
    return this.#current;
  }

  /** Services (`namespace/name`) whose new way in is not open yet. */
  get opening(): readonly string[] {
    return this.#handover.opening;
  }

  /** What the host is on its way to. */
  get configuration(): Configuration {
    return this.#configuration;
  }

  /**
   * Goes to what is configured at the start. Resolves when all of it is open, or has had its time: the registrations of an
   * earlier agent stay until what is to replace them is open, but not for ever. Returns whether this host is still served.
   */
  async begin(): Promise<boolean> {
    const { settings, host } = this.#configuration;
    this.#handover.move(settings, host.workloads);
    if (this.#handover.opening.length > 0)
      await Promise.race([this.#opened.promise, sleep(FIRST_OPENING_MS, this.#ended.signal)]);
    return !this.#ended.signal.aborted;
  }

  /** Goes on with another configuration: what peers use now stays open until they have learnt of what replaces it. */
  move(next: Configuration): void {
    this.#configuration = next;
    clearTimeout(this.#forgetting);
    this.#formerCallers = this.#current.callers ?? [];
    this.#handover.move(next.settings, next.host.workloads);
  }

  /** Goes on with another host of the same configuration and the same ways in. */
  replace(host: Host): void {
    this.#configuration = { ...this.#configuration, host };
    this.#serve(this.#handover.served);
  }

  /** Ends the work; what is open stays open. */
  async stop(): Promise<void> {
    this.#ended.abort();
    clearTimeout(this.#forgetting);
    await this.#handover.stop();
    await this.#keeping;
  }

  #serve(workloads: readonly Workload[]): void {
    this.#current = withFormerCallers(withWorkloads(this.#configuration.host, workloads), this.#formerCallers);
    this.#keep(workloads);
    this.#options.serve(this.#current);
  }

  /** The rules of the kernel follow the settings when everything is open; the ports of before are nobody's soon after. */
  #forgetCallers(): void {
    if (this.#formerCallers.length === 0) return;
    clearTimeout(this.#forgetting);
    this.#forgetting = setTimeout(() => {
      this.#formerCallers = [];
      this.#serve(this.#handover.served);
    }, this.#configuration.settings.envoy.lingerTimeMs + RULES_MS).unref();
  }

  #keep(workloads: readonly Workload[]): void {
    const { configuration, log } = this.#options;
    this.#keeping = this.#keeping
      .then(async () => keepServed(configuration.settings.paths.run, workloads))
      .catch((error: unknown) => log.warn({ error: errorMessage(error) }, 'the open ways in cannot be written down'));
  }
}
