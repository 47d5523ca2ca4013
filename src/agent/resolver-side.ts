/** Tells the host's resolver which names Envoy answers, once Envoy does. */
import { errorMessage } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { sleep } from '../lib/sleep.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Host } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import { DnsDomainsFile, dnsDomains, dnsDomainsFile, MESH_DOMAIN } from '../platform/vm/dns-domains.ts';
import { dnsTable } from '../translate/dns/dns-names.ts';
import { ResolverWatch } from './resolver-watch.ts';

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
  readonly #watch = new ResolverWatch();
  #turn = new AbortController();
  #work: Promise<void> = Promise.resolve();
  #written: string | undefined;

  constructor(options: ResolverSideOptions) {
    this.#options = options;
    const path = dnsDomainsFile(options.runDir);
    this.#file = new DnsDomainsFile(path, (error) => {
      this.#written = undefined;
      options.log.error({ path, error: errorMessage(error) }, 'the resolver cannot be told which names are answered');
    });
  }

  /** Goes after this mesh and host, as soon as Envoy does. Returns at once. */
  follow(mesh: Mesh, host: Host): void {
    const { dns } = host;
    const table = dnsTable(mesh.services, mesh.config, host);
    // With a learner all names of the mesh have an answer, or will have.
    const names = dns?.learner === undefined ? table.keys() : [MESH_DOMAIN, ...table.keys()];
    const domains = dns === undefined ? { routed: [], left: [] } : dnsDomains(names);
    const wanted = JSON.stringify([dns, domains]);
    if (wanted === this.#written) return;
    this.#written = wanted;
    this.#turn.abort();
    this.#turn = new AbortController();
    const { signal } = this.#turn;
    this.#work = this.#work.then(async () => {
      if (!(await this.#write(host, domains.routed, signal))) return;
      this.#watch.follow(dns === undefined ? undefined : { listen: dns.listen, table, domains });
    });
  }

  /** Names that do not reach applications. */
  get diagnostics(): readonly Diagnostic[] {
    return this.#watch.diagnostics;
  }

  /** Has nobody asked any more: Envoy ends. */
  async withdraw(): Promise<void> {
    this.#turn.abort();
    this.#watch.close();
    await this.#work;
    await this.#file.set(NOWHERE, []);
  }

  /** Ends the work; the file stays. */
  async close(): Promise<void> {
    this.#turn.abort();
    this.#watch.close();
    await this.#work;
    await this.#file.close();
  }

  async #write({ dns }: Host, routed: readonly string[], signal: AbortSignal): Promise<boolean> {
    // Names go back at once, and come when they are answered.
    if (dns !== undefined) while (!(await this.#options.isSettled())) if (!(await sleep(POLL_MS, signal))) return false;
    if (signal.aborted) return false;
    await this.#file.set(dns?.listen ?? NOWHERE, routed);
    return true;
  }
}
