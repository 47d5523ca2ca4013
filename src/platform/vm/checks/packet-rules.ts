/**
 * The packet filter rules of this host as far as they concern ports: what redirects connections, and which chains drop
 * what no rule accepts. From `nft -j list ruleset` (libnftables-json(5)) and `iptables-save`.
 */

/** A rule that sends connections elsewhere before they reach who listens. */
export interface Redirection {
  /** For people: `table ip nat, chain PREROUTING`. */
  readonly place: string;
  readonly table: string;
  readonly chain: string;
  /** Destination ports that it asks for; undefined: any, or a set that is not in the rule. */
  readonly ports: readonly (readonly [first: number, last: number])[] | undefined;
  /** Whether it asks for more than the port: addresses, interfaces, users, marks. */
  readonly limited: boolean;
}

/** A chain that drops what comes in unless one of its table's rules accepts it. */
export interface ClosedChain {
  readonly place: string;
  readonly table: string;
  /** Ports that rules accept, whoever asks. */
  readonly accepts: readonly (readonly [first: number, last: number])[];
  /** A rule accepts without asking for ports, addresses or states. */
  readonly acceptsAll: boolean;
}

export interface PacketRules {
  /** `ip nat`, `inet filter`; for iptables `iptables nat`. */
  readonly tables: readonly string[];
  readonly chains: readonly string[];
  readonly redirections: readonly Redirection[];
  readonly closed: readonly ClosedChain[];
}

type Json = Readonly<Record<string, unknown>>;

function fields(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

type Range = readonly [first: number, last: number];

/** The ports on the right of a match; undefined: a named set, a map or anything else that is not in the rule. */
function rangesOf(right: unknown): readonly Range[] | undefined {
  if (typeof right === 'number') return [[right, right]];
  const { range, set } = fields(right);
  if (Array.isArray(range)) return [[Number(range[0]), Number(range[1])]];
  if (!Array.isArray(set)) return undefined;
  const inner = set.map(rangesOf);
  return inner.every((each) => each !== undefined) ? inner.flat() : undefined;
}

interface Matches {
  readonly ports: readonly Range[] | undefined;
  readonly asksPorts: boolean;
  readonly limited: boolean;
}

function matchesOf(expressions: readonly Json[]): Matches {
  let ports: readonly Range[] | undefined;
  let [asksPorts, limited] = [false, false];
  for (const { match, xt } of expressions) {
    // What iptables made and nft can only name.
    if (xt !== undefined && fields(xt)['type'] !== 'target' && fields(xt)['name'] !== 'comment') limited = true;
    if (match === undefined) continue;
    const { left, right, op } = fields(match);
    const { payload, meta } = fields(left);
    if (fields(payload)['field'] === 'dport') {
      asksPorts = true;
      ports = op === '!=' ? undefined : rangesOf(right);
    } else if (fields(meta)['key'] !== 'l4proto' && fields(payload)['field'] !== 'protocol') limited = true;
  }
  return { ports, asksPorts, limited };
}

/** A target of iptables by the name that nft has for the same: `redirect`, `dnat`, `tproxy`. */
function targetOf({ xt }: Json): readonly string[] {
  const { type, name } = fields(xt);
  return type === 'target' ? [text(name).toLowerCase()] : [];
}

/** What `nft -j list ruleset` printed; undefined when it is not that. */
export function parseNftables(json: string): PacketRules | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    return undefined;
  }
  const objects = fields(parsed)['nftables'];
  if (!Array.isArray(objects)) return undefined;
  const all = (kind: string): readonly Json[] =>
    objects.flatMap((each) => (fields(each)[kind] === undefined ? [] : [fields(fields(each)[kind])]));
  const tableOf = (each: Json): string => `${text(each['family'])} ${text(each['table'] ?? each['name'])}`;
  const rules = all('rule').map((rule) => {
    const expressions = (Array.isArray(rule['expr']) ? rule['expr'] : []).map(fields);
    const does = new Set(expressions.flatMap((each) => [...Object.keys(each), ...targetOf(each)]));
    return { table: tableOf(rule), chain: text(rule['chain']), does, expressions, ...matchesOf(expressions) };
  });
  const place = (table: string, chain: string): string => `table ${table}, chain ${chain}`;
  const closed = all('chain')
    .filter(({ hook, type, policy, ...chain }) => {
      if (hook !== 'input' || type !== 'filter') return false;
      const last = rules.findLast((rule) => rule.table === tableOf(chain) && rule.chain === chain['name']);
      const ends = last !== undefined && (last.does.has('drop') || last.does.has('reject')) && !last.does.has('match');
      return policy === 'drop' || ends;
    })
    .map((chain): ClosedChain => {
      const accepting = rules.filter(
        ({ table, does, limited }) => table === tableOf(chain) && does.has('accept') && !limited,
      );
      return {
        place: place(tableOf(chain), text(chain['name'])),
        table: tableOf(chain),
        accepts: accepting.flatMap(({ ports }) => ports ?? []),
        acceptsAll: accepting.some(({ asksPorts, does }) => !asksPorts && !does.has('match') && !does.has('xt')),
      };
    });
  return {
    tables: all('table').map(tableOf),
    chains: all('chain').map((chain) => text(chain['name'])),
    redirections: rules
      .filter(({ does }) => does.has('redirect') || does.has('dnat') || does.has('tproxy'))
      .map(({ table, chain, ports, limited }) => ({ place: place(table, chain), table, chain, ports, limited })),
    closed,
  };
}

function iptablesPorts(rule: string): readonly Range[] | undefined {
  const found = /(?<!! )--dports? (\S+)/.exec(rule)?.[1];
  return found?.split(',').map((part): Range => {
    const [first = Number.NaN, last = first] = part.split(':').map(Number);
    return [first, last];
  });
}

const REDIRECTING = /-j (?:REDIRECT|DNAT|TPROXY)\b/;
const LIMITING = / (?:! )?(?:-[sdio]|--(?:uid|gid)-owner|--mark|--match-set|--src-type|--dst-type) /;

/** What `iptables-save` (or its relatives) printed. `family` names it for people: `iptables`, `ip6tables`. */
export function parseIptables(saved: string, family: string): PacketRules {
  const tables: string[] = [];
  const chains: string[] = [];
  const redirections: Redirection[] = [];
  const closed: { place: string; table: string; accepts: Range[]; acceptsAll: boolean }[] = [];
  let table = '';
  for (const line of saved.split('\n')) {
    if (line.startsWith('*')) {
      table = `${family} ${line.slice(1).trim()}`;
      tables.push(table);
      continue;
    }
    const declared = /^:(\S+) (\S+)/.exec(line);
    if (declared !== null) {
      const [, chain = '', policy] = declared;
      chains.push(chain);
      if (chain === 'INPUT' && policy === 'DROP' && table.endsWith(' filter'))
        closed.push({ place: `table ${table}, chain INPUT`, table, accepts: [], acceptsAll: false });
      continue;
    }
    const chain = /^-A (\S+)/.exec(line)?.[1];
    if (chain === undefined) continue;
    if (REDIRECTING.test(line)) {
      const ports = iptablesPorts(line);
      redirections.push({ place: `table ${table}, chain ${chain}`, table, chain, ports, limited: LIMITING.test(line) });
    } else if (/-j ACCEPT\b/.test(line) && !LIMITING.test(line) && !/--ctstate|--state/.test(line)) {
      const here = closed.find((each) => each.table === table);
      here?.accepts.push(...(iptablesPorts(line) ?? []));
      if (here !== undefined && /^-A \S+ -j ACCEPT/.test(line)) here.acceptsAll = true;
    }
  }
  return { tables, chains, redirections, closed };
}

/** Whether a list of ranges has a port. */
export function inRanges(ranges: readonly (readonly [number, number])[], port: number): boolean {
  return ranges.some(([first, last]) => port >= first && port <= last);
}

/** Without the tables that iptables made, for those that `saved` shows better (`ip nat` for `iptables nat`). */
export function withoutTablesOf(rules: PacketRules, saved: PacketRules): PacketRules {
  const theirs = new Set(saved.tables.map((table) => table.replace('tables ', ' ')));
  return {
    tables: rules.tables.filter((table) => !theirs.has(table)),
    chains: rules.chains,
    redirections: rules.redirections.filter(({ table }) => !theirs.has(table)),
    closed: rules.closed.filter(({ table }) => !theirs.has(table)),
  };
}

/** Several sources as one. */
export function mergeRules(parts: readonly PacketRules[]): PacketRules {
  return {
    tables: parts.flatMap(({ tables }) => tables),
    chains: parts.flatMap(({ chains }) => chains),
    redirections: parts.flatMap(({ redirections }) => redirections),
    closed: parts.flatMap(({ closed }) => closed),
  };
}
