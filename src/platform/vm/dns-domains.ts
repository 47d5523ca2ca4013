/**
 * What the host's resolver is to ask Envoy for: a file that trysail-dns.service, as root, makes routing domains of
 * systemd-resolved from (`packaging/dns-link`). A routing domain takes all names below it with all their records, so it
 * is as narrow as can be.
 */
import { readFile, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../../lib/atomic-file.ts';
import type { SocketAddress } from '../../model/host.ts';

/** Systemd-resolved takes 256 domains of a link. */
export const MAX_DNS_DOMAINS = 250;
/** What the mesh's own names end in unless its configuration says otherwise; no domain of the Internet. */
export const MESH_DOMAIN = 'mesh';
/** `example.com` may have mail and sub-domains that are nobody's business here; `api.example.com` is one host. */
const MIN_LABELS = 3;

/** The file, below the agent's run folder. */
export function dnsDomainsFile(runDir: string): string {
  return join(runDir, 'dns-domains');
}

export interface DnsDomains {
  /** Domains of which Envoy is to be asked, sorted. */
  readonly routed: readonly string[];
  /** Names that are asked where they were asked before: a domain of their own would take others' names with it. */
  readonly left: readonly string[];
}

function isBelow(name: string, domain: string): boolean {
  return name === domain || name.endsWith(`.${domain}`);
}

/**
 * The domains for the names that Envoy answers: `mesh` for all below it, and for every other name itself, unless it has
 * less than three labels. The first `MAX_DNS_DOMAINS` count.
 * @param names in the order in which they count
 */
export function dnsDomains(names: Iterable<string>): DnsDomains {
  const routed = new Set<string>();
  const left: string[] = [];
  for (const name of new Set([...names].map((each) => each.toLowerCase()))) {
    if (isBelow(name, MESH_DOMAIN)) routed.add(MESH_DOMAIN);
    else if ([...routed].some((domain) => isBelow(name, domain))) continue;
    else if (name.split('.').length < MIN_LABELS || routed.size >= MAX_DNS_DOMAINS) left.push(name);
    else routed.add(name);
  }
  return { routed: [...routed].toSorted(), left };
}

/** `listen 127.0.0.1:15053`, then a domain a line. */
export function dnsDomainsText({ address, port }: SocketAddress, domains: readonly string[]): string {
  const at = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  return [`listen ${at}`, ...domains, ''].join('\n');
}

/** Writes the file, if it says anything else; with no domains it goes. Resolves to whether it was written. */
async function writeDomains(path: string, listen: SocketAddress, domains: readonly string[]): Promise<boolean> {
  if (domains.length === 0) {
    await rm(path, { force: true });
    return false;
  }
  const text = dnsDomainsText(listen, domains);
  if ((await readFile(path, 'utf8').catch(() => undefined)) === text) return false;
  await writeFileAtomic(path, text, 0o640);
  return true;
}

/** After so long the file is touched: systemd does not see a change that comes while it acts on the one before. */
const SECOND_LOOK_MS = 5000;

/** Keeps the file as the last call of `set` says. */
export class DnsDomainsFile {
  readonly #path: string;
  readonly #onError: (error: unknown) => void;
  #writing: Promise<void> = Promise.resolve();
  #secondLook: NodeJS.Timeout | undefined;

  /**
   * @param path `/run/trysail/dns-domains`
   * @param onError the file cannot be written: names are asked where they were asked before
   */
  constructor(path: string, onError: (error: unknown) => void) {
    this.#path = path;
    this.#onError = onError;
  }

  /**
   * To be called once Envoy has acknowledged the listener: until then names are asked where they always were. Never
   * rejects.
   * @param domains none: the file goes, and nobody asks Envoy any more
   */
  set(listen: SocketAddress, domains: readonly string[]): Promise<void> {
    this.#writing = this.#writing
      .then(async () => {
        if (!(await writeDomains(this.#path, listen, domains))) return;
        clearTimeout(this.#secondLook);
        this.#secondLook = setTimeout(() => {
          const now = new Date();
          utimes(this.#path, now, now).catch(() => undefined);
        }, SECOND_LOOK_MS).unref();
      })
      .catch(this.#onError);
    return this.#writing;
  }

  /** Ends what is under way. The file stays: names resolve while the agent is away. */
  async close(): Promise<void> {
    clearTimeout(this.#secondLook);
    await this.#writing;
  }
}
