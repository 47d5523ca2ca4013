/** Tells the host's resolver which names Envoy answers, once Envoy does. */
import { join } from 'node:path';
import { errorMessage } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { sleep } from '../lib/sleep.ts';
import type { Host } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import { DnsDomainsFile, dnsDomains } from '../platform/vm/dns-domains.ts';
import { dnsTable } from '../translate/dns-names.ts';

const POLL_MS = 500;
/** For no domains. */
const NOWHERE = { address: '127.0.0.1', port: 0 } as const;

export interface ResolverSideOptions {
  readonly runDir: string;
  /** Whether Envoy has all of its configuration in force. */
  readonly isSettled: () => Promise<boolean>;
  readonly log: Log;
}

export class ResolverSide {
  readonly #options: ResolverSideOptions;
  readonly #file: DnsDomainsFile;
  #turn = new AbortController();
  #work: Promise<void> = Promise.resolve();
  #written: string | undefined;

  constructor(options: ResolverSideOptions) {
    this.#options = options;
    const path = join(options.runDir, 'dns-domains');
    this.#file = new DnsDomainsFile(path, (error) => {
      this.#written = undefined;
      options.log.error({ path, error: errorMessage(error) }, 'the resolver cannot be told which names are answered');
    });
  }

  /** Goes after this mesh and host, as soon as Envoy does. Returns at once. */
  follow(mesh: Mesh, host: Host): void {
    const { dns } = host;
    const { routed } =
      dns === undefined ? { routed: [] } : dnsDomains(dnsTable(mesh.services, mesh.config, host).keys());
    const wanted = JSON.stringify([dns, routed]);
    if (wanted === this.#written) return;
    this.#written = wanted;
    this.#turn.abort();
    this.#turn = new AbortController();
    const { signal } = this.#turn;
    this.#work = this.#work.then(async () => this.#write(host, routed, signal));
  }

  /** Has nobody asked any more: Envoy ends. */
  async withdraw(): Promise<void> {
    this.#turn.abort();
    await this.#work;
    await this.#file.set(NOWHERE, []);
  }

  /** Ends the work; the file stays. */
  async close(): Promise<void> {
    this.#turn.abort();
    await this.#work;
    await this.#file.close();
  }

  async #write({ dns }: Host, routed: readonly string[], signal: AbortSignal): Promise<void> {
    // Names go back at once, and come when they are answered.
    if (dns !== undefined) while (!(await this.#options.isSettled())) if (!(await sleep(POLL_MS, signal))) return;
    if (!signal.aborted) await this.#file.set(dns?.listen ?? NOWHERE, routed);
  }
}
