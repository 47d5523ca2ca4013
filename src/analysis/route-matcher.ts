/**
 * Envoy's route match, evaluated: whether a request fits a route as it is configured, and if not, which condition is the
 * first that it fails. https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_api/config/route/v3/route_components.proto
 */
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { isObject } from '../envoy-api/resource-json.ts';
import { re2FullMatch } from '../lib/re2.ts';
import type { CalledRequest } from './called-request.ts';
import { at, objectsAt, textAt } from './json-access.ts';
import { conditionWords, pathWords } from './route-words.ts';

/** Undefined: the request fits. */
export type Misfit = string | undefined;

const UNDECIDED = 'cannot be decided here:';

/** A `StringMatcher`; undefined where it cannot be decided. */
export function stringMatches(matcher: JsonObject, value: string): boolean | undefined {
  const regex = textAt(matcher, 'safe_regex', 'regex');
  if (matcher['safe_regex'] !== undefined) return re2FullMatch(regex, value);
  const fold = (text: string): string => (matcher['ignore_case'] === true ? text.toLowerCase() : text);
  const has = (key: string, test: (pattern: string, text: string) => boolean): boolean | undefined =>
    matcher[key] === undefined ? undefined : test(fold(textAt(matcher, key)), fold(value));
  return (
    has('exact', (pattern, text) => text === pattern) ??
    has('prefix', (pattern, text) => text.startsWith(pattern)) ??
    has('suffix', (pattern, text) => text.endsWith(pattern)) ??
    has('contains', (pattern, text) => text.includes(pattern))
  );
}

function pathMisfit(match: JsonValue | undefined, path: string): Misfit {
  const fold = (text: string): string => (at(match, 'case_sensitive') === false ? text.toLowerCase() : text);
  const wanted = `the path is not ${pathWords(match)}`;
  if (at(match, 'safe_regex') !== undefined) {
    const fits = re2FullMatch(textAt(match, 'safe_regex', 'regex'), path);
    return fits === undefined ? `${UNDECIDED} ${pathWords(match)}` : fits ? undefined : wanted;
  }
  if (at(match, 'connect_matcher') !== undefined) return wanted;
  const separated = textAt(match, 'path_separated_prefix');
  if (separated !== '') {
    const [a, b] = [fold(path), fold(separated)];
    return a === b || a.startsWith(`${b}/`) ? undefined : wanted;
  }
  if (at(match, 'path') !== undefined) return fold(path) === fold(textAt(match, 'path')) ? undefined : wanted;
  return fold(path).startsWith(fold(textAt(match, 'prefix'))) ? undefined : wanted;
}

function headerMisfit(condition: JsonObject, headers: ReadonlyMap<string, string>): Misfit {
  const value = headers.get(textAt(condition, 'name').toLowerCase());
  const inverted = condition['invert_match'] === true;
  const words = conditionWords(condition);
  const shown = value === undefined ? 'it is absent' : `it is "${value}"`;
  if (condition['present_match'] !== undefined || condition['string_match'] === undefined) {
    const wanted = condition['present_match'] !== false;
    return ((value !== undefined) === wanted) !== inverted ? undefined : `not: ${words}; ${shown}`;
  }
  if (value === undefined && condition['treat_missing_header_as_empty'] !== true) return `not: ${words}; ${shown}`;
  const matcher = condition['string_match'];
  const fits = isObject(matcher) ? stringMatches(matcher, value ?? '') : undefined;
  if (fits === undefined) return `${UNDECIDED} ${words}`;
  return fits !== inverted ? undefined : `not: ${words}; ${shown}`;
}

/** As Envoy takes a query apart: nothing is decoded, the first of a name counts. */
function queryParameters(path: string): ReadonlyMap<string, string> {
  const start = path.indexOf('?');
  const parameters = new Map<string, string>();
  if (start === -1) return parameters;
  for (const pair of path.slice(start + 1).split('&')) {
    const split = pair.indexOf('=');
    const name = split === -1 ? pair : pair.slice(0, split);
    if (!parameters.has(name)) parameters.set(name, split === -1 ? '' : pair.slice(split + 1));
  }
  return parameters;
}

function queryMisfit(condition: JsonObject, parameters: ReadonlyMap<string, string>): Misfit {
  const value = parameters.get(textAt(condition, 'name'));
  const words = `not: ?${conditionWords(condition)}`;
  if (value === undefined) return `${words}; it is absent`;
  const matcher = condition['string_match'];
  if (!isObject(matcher)) return undefined;
  const fits = stringMatches(matcher, value);
  return fits === undefined
    ? `${UNDECIDED} ?${conditionWords(condition)}`
    : fits
      ? undefined
      : `${words}; it is "${value}"`;
}

/** Escapes of characters that need none are undone, as Envoy's library of URLs does. */
function unescaped(path: string): string {
  return path.replaceAll(/%([0-9A-Fa-f]{2})/g, (whole, hex: string) => {
    const char = String.fromCodePoint(Number.parseInt(hex, 16));
    return /[A-Za-z0-9._~-]/.test(char) ? char : whole;
  });
}

/** The path that Envoy looks at: normalised as the connection manager does it, the query left out. */
export function routedPath(path: string, manager: JsonValue | undefined): string {
  const end = path.search(/[?#]/);
  let bare = end === -1 ? path : path.slice(0, end);
  if (at(manager, 'normalize_path') === true) bare = new URL(`http://host${unescaped(bare)}`).pathname;
  if (at(manager, 'merge_slashes') === true) bare = bare.replaceAll(/\/{2,}/g, '/');
  return bare;
}

/**
 * The first condition of a route that the request fails, in words; undefined where it fits.
 * @param path as `routedPath` has it
 */
export function routeMisfit(route: JsonObject, request: CalledRequest, path: string): Misfit {
  const match = route['match'];
  const byPath = pathMisfit(match, path);
  if (byPath !== undefined) return byPath;
  for (const condition of objectsAt(match, 'headers')) {
    const misfit = headerMisfit(condition, request.headers);
    if (misfit !== undefined) return misfit;
  }
  const parameters = queryParameters(request.path);
  for (const condition of objectsAt(match, 'query_parameters')) {
    const misfit = queryMisfit(condition, parameters);
    if (misfit !== undefined) return misfit;
  }
  if (objectsAt(match, 'dynamic_metadata').length > 0) return `${UNDECIDED} claims of the caller's token`;
  return undefined;
}

function covers(domain: string, authority: string): number | undefined {
  if (domain === '*') return 0;
  if (domain === authority) return Number.POSITIVE_INFINITY;
  // Of two wildcards Envoy takes those at the front first, and the longer of a kind.
  if (domain.startsWith('*') && authority.endsWith(domain.slice(1)) && authority.length >= domain.length)
    return 100_000 + domain.length;
  if (domain.endsWith('*') && authority.startsWith(domain.slice(0, -1)) && authority.length >= domain.length)
    return domain.length;
  return undefined;
}

/** The virtual host that takes a request by its authority; undefined: none, which Envoy answers by 404. */
export function chooseVirtualHost(config: JsonValue | undefined, authority: string): JsonObject | undefined {
  const ignoresPort = at(config, 'ignore_port_in_host_matching') === true;
  const name = (ignoresPort ? authority.replace(/:\d+$/, '') : authority).toLowerCase();
  let best: { readonly host: JsonObject; readonly rank: number } | undefined;
  for (const host of objectsAt(config, 'virtual_hosts')) {
    const domains = at(host, 'domains');
    for (const domain of Array.isArray(domains) ? domains : []) {
      const rank = typeof domain === 'string' ? covers(domain.toLowerCase(), name) : undefined;
      if (rank !== undefined && (best === undefined || rank > best.rank)) best = { host, rank };
    }
  }
  return best?.host;
}
