/** The request or connection that a question is about. */
import { isIP } from 'node:net';
import { TrysailError } from '../lib/errors.ts';

export interface CalledRequest {
  readonly kind: 'http' | 'tls' | 'tcp';
  /** As written: a name of a service, or an address. */
  readonly host: string;
  readonly port: number;
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** By name in lower case, pseudo headers `:authority`, `:method`, `:path` and `:scheme` among them. */
  readonly headers: ReadonlyMap<string, string>;
  /** Server name of a TLS connection. */
  readonly sni: string | undefined;
}

export interface WrittenRequest {
  /** `http://reviews:9080/api?x=1`, `tls://db.example.com:443`, `tcp://10.0.0.9:5432`; `http` where there is no scheme. */
  readonly to: string;
  readonly method?: string;
  /** `name: value` each. */
  readonly headers?: readonly string[];
  readonly sni?: string;
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443, tls: 443 };
const KINDS: Readonly<Record<string, CalledRequest['kind']>> = {
  http: 'http',
  grpc: 'http',
  https: 'tls',
  tls: 'tls',
  tcp: 'tcp',
};
const TO = /^(?:([a-z]+):\/\/)?(\[[0-9a-fA-F:]+\]|[^/:?#[\]]+)(?::(\d{1,5}))?([/?][^#]*)?(?:#.*)?$/;

function invalid(message: string, remedy: string): TrysailError {
  return new TrysailError('REQUEST_INVALID', message, { remedy });
}

function headerPairs(written: readonly string[]): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (const line of written) {
    const split = line.indexOf(':', 1);
    const name = line.slice(0, split).trim().toLowerCase();
    if (split < 1 || !/^:?[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name))
      throw invalid(`"${line}" is not a header`, "Write it as -H 'end-user: jason'.");
    const value = line.slice(split + 1).trim();
    const before = headers.get(name);
    // Envoy compares the values of a repeated header as one text.
    headers.set(name, before === undefined ? value : `${before},${value}`);
  }
  return headers;
}

/**
 * Reads a request as a person writes it.
 * @throws TrysailError `REQUEST_INVALID`
 */
export function parseRequest({ to, method = 'GET', headers = [], sni }: WrittenRequest): CalledRequest {
  const [, scheme = 'http', written = '', portText, rest = '/'] = TO.exec(to.trim()) ?? [];
  const kind = KINDS[scheme];
  const remedy = 'Write it as http://reviews:9080/api, tls://db.example.com:443 or tcp://10.0.0.9:5432.';
  if (written === '' || kind === undefined) throw invalid(`"${to}" is not something to call`, remedy);
  const port = portText === undefined ? (DEFAULT_PORTS[scheme] ?? 80) : Number(portText);
  if (port < 1 || port > 65_535 || (scheme === 'tcp' && portText === undefined))
    throw invalid(`"${to}" has no port that can be called`, remedy);
  const host = written.replace(/^\[|\]$/g, '').toLowerCase();
  const given = headerPairs(headers);
  const path = rest.startsWith('/') ? rest : `/${rest}`;
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(method))
    throw invalid(`"${method}" is not a method of HTTP`, 'Write it as -X POST.');
  const upper = method.toUpperCase();
  const all = new Map([
    // What Envoy adds before it looks for a route.
    ['x-forwarded-proto', 'http'],
    ['x-request-id', '00000000-0000-4000-8000-000000000000'],
    [':authority', given.get('host') ?? (port === DEFAULT_PORTS[scheme] ? written : `${written}:${port}`)],
    [':method', upper],
    [':path', path],
    [':scheme', 'http'],
    ...[...given].filter(([name]) => name !== 'host'),
  ]);
  return {
    kind,
    host,
    port,
    method: upper,
    path,
    headers: all,
    sni: kind === 'tls' ? (sni ?? (isIP(host) === 0 ? host : undefined))?.toLowerCase() : undefined,
  };
}
