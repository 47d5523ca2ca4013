/** The files that say where this host asks for names: resolv.conf(5), dnsmasq(8), nsswitch.conf(5). */

export interface ResolvConf {
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  readonly ndots: number;
}

/** Of several `search` lines the last counts, as for the resolver; `domain` is one of them. */
export function parseResolvConf(text: string): ResolvConf {
  const nameservers: string[] = [];
  let search: readonly string[] = [];
  let ndots = 1;
  for (const line of text.split('\n')) {
    const [key = '', ...values] = line
      .replace(/[#;].*/, '')
      .trim()
      .split(/\s+/);
    if (key === 'nameserver' && values[0] !== undefined) nameservers.push(values[0].replace(/%.*/, ''));
    if (key === 'search' || key === 'domain') search = values;
    const dots = key === 'options' ? values.find((value) => value.startsWith('ndots:')) : undefined;
    if (dots !== undefined) ndots = Number(dots.slice('ndots:'.length));
  }
  return { nameservers, search, ndots };
}

export interface DnsmasqConf {
  /** For all names, `address` or `address#port`. */
  readonly servers: readonly string[];
  /** For the names of one domain, without dots at its ends. */
  readonly byDomain: ReadonlyMap<string, string>;
  /** Which resolv.conf it takes further servers from; undefined: none. */
  readonly resolvFile: string | undefined;
}

/** Several files of one dnsmasq, one after the other. */
export function parseDnsmasq(text: string): DnsmasqConf {
  const servers: string[] = [];
  const byDomain = new Map<string, string>();
  let resolvFile: string | undefined = '/etc/resolv.conf';
  for (const line of text.split('\n')) {
    const [, key = '', value = ''] = /^\s*([a-z-]+)(?:\s*=\s*(\S+))?/.exec(line.replace(/(?:^|\s)#.*/, '')) ?? [];
    if (key === 'no-resolv') resolvFile = undefined;
    if (key === 'resolv-file' && resolvFile !== undefined) resolvFile = value;
    if (key !== 'server' && key !== 'local') continue;
    const parts = value.split('/');
    const to = parts.at(-1) ?? '';
    if (parts.length === 1 && to !== '') servers.push(to);
    for (const domain of parts.slice(1, -1)) byDomain.set(domain.replace(/^\.|\.$/g, ''), to);
  }
  return { servers, byDomain, resolvFile };
}

/** Whether host names are asked of systemd-resolved before, or without, the servers of resolv.conf. */
export function asksResolved(nsswitch: string): boolean {
  return /^hosts:.*\bresolve\b/m.test(nsswitch);
}

/** A way through `edges` that comes back to where it was, beginning and ending with it; undefined: there is none. */
export function findLoop(edges: ReadonlyMap<string, readonly string[]>): readonly string[] | undefined {
  const walk = (path: readonly string[], node: string): readonly string[] | undefined => {
    const at = path.indexOf(node);
    if (at >= 0) return [...path.slice(at), node];
    for (const next of edges.get(node) ?? []) {
      const loop = walk([...path, node], next);
      if (loop !== undefined) return loop;
    }
    return undefined;
  };
  for (const start of edges.keys()) {
    const loop = walk([], start);
    if (loop !== undefined) return loop;
  }
  return undefined;
}
