/** Whether the names that Envoy answers reach applications: asks for one as they do. */
import { lookup } from 'node:dns/promises';
import { sleep } from '../lib/sleep.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { SocketAddress } from '../model/host.ts';
import type { DnsDomains } from '../platform/vm/dns-domains.ts';
import { hostResolver, resolverDiagnostics } from '../platform/vm/resolver-diagnostics.ts';

/** The resolver is told by a unit of its own. */
const FIRST_LOOK_MS = 5000;
const NEXT_LOOK_MS = 30_000;

export interface AnsweredNames {
  readonly listen: SocketAddress;
  /** Addresses by name. */
  readonly table: ReadonlyMap<string, readonly string[]>;
  readonly domains: DnsDomains;
}

/** The addresses of a name on this host; none when it has none. */
export type LookUp = (name: string) => Promise<readonly string[]>;

async function lookUpAsApplications(name: string): Promise<readonly string[]> {
  const all = await lookup(name, { all: true }).catch(() => []);
  return all.map(({ address }) => address);
}

/** One name that is to reach Envoy by a domain. */
function sample({ table, domains }: AnsweredNames): string | undefined {
  return [...table.keys()].find((name) => !domains.left.includes(name.toLowerCase()));
}

export class ResolverWatch {
  readonly #lookUp: LookUp;
  readonly #firstLookMs: number;
  #diagnostics: readonly Diagnostic[] = [];
  #turn = new AbortController();

  constructor(lookUp: LookUp = lookUpAsApplications, firstLookMs = FIRST_LOOK_MS) {
    this.#lookUp = lookUp;
    this.#firstLookMs = firstLookMs;
  }

  /** `TRY0109`: what was found the last time. */
  get diagnostics(): readonly Diagnostic[] {
    return this.#diagnostics;
  }

  /** Watches these names instead of those before; looks soon, and again until they resolve. Returns at once. */
  follow(names: AnsweredNames | undefined): void {
    this.close();
    this.#diagnostics = [];
    if (names === undefined) return;
    this.#turn = new AbortController();
    void this.#look(names, this.#turn.signal);
  }

  /** Ends the watch. */
  close(): void {
    this.#turn.abort();
  }

  async #look(names: AnsweredNames, signal: AbortSignal): Promise<void> {
    const { listen, table, domains } = names;
    this.#diagnostics = resolverDiagnostics('resolved', listen, domains, true);
    const name = sample(names);
    if (name === undefined) return;
    for (let waitMs = this.#firstLookMs; await sleep(waitMs, signal); waitMs = NEXT_LOOK_MS) {
      const found = await this.#lookUp(name);
      const resolver = await hostResolver();
      if (signal.aborted) return;
      const reached = found.some((address) => table.get(name)?.includes(address));
      this.#diagnostics = resolverDiagnostics(resolver, listen, domains, reached);
      if (reached) return;
    }
  }
}
