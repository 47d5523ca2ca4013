/**
 * What the host's resolver is to ask Envoy for: a file that trysail-dns.service, as root, makes routing domains of
 * systemd-resolved from (`packaging/dns-link`). A routing domain takes all names below it with all their records, so it
 * is as narrow as can be.
 */
import { readFile, rm } from 'node:fs/promises';
import { writeFileAtomic } from '../../lib/atomic-file.ts';
import type { SocketAddress } from '../../model/host.ts';

/** Systemd-resolved takes 256 domains of a link. */
export const MAX_DNS_DOMAINS = 250;
/** What the mesh's own names end in unless its configuration says otherwise; no domain of the Internet. */
const MESH = 'mesh';
/** `example.com` may have mail and sub-domains that are nobody's business here; `api.example.com` is one host. */
const MIN_LABELS = 3;

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
    if (isBelow(name, MESH)) routed.add(MESH);
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

/**
 * Writes the file, if it says anything else. To be called once Envoy has acknowledged the listener: until then, and for
 * whoever is not told, names are asked where they always were.
 * @param domains none: the file goes
 */
export async function writeDnsDomains(path: string, listen: SocketAddress, domains: readonly string[]): Promise<void> {
  if (domains.length === 0) return rm(path, { force: true });
  const text = dnsDomainsText(listen, domains);
  const before = await readFile(path, 'utf8').catch(() => undefined);
  if (before !== text) await writeFileAtomic(path, text, 0o640);
}
