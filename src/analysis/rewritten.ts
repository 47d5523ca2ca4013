/** What a route makes of a request's path and authority, and where a redirect sends the caller. */

import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { isObject } from '../envoy-api/resource-json.ts';
import { re2Replace } from '../lib/re2.ts';
import type { Rewritten } from '../model/explanation.ts';
import type { CalledRequest } from './called-request.ts';
import { at, textAt } from './json-access.ts';

function splitQuery(path: string): readonly [string, string] {
  const start = path.search(/[?#]/);
  return start === -1 ? [path, ''] : [path.slice(0, start), path.slice(start)];
}

/** The part of a path that a route's condition has matched: a prefix, else all of it. */
function matchedPart(match: JsonValue | undefined, path: string): string {
  const prefix = textAt(match, 'prefix') || textAt(match, 'path_separated_prefix');
  return prefix === '' ? path : path.slice(0, prefix.length);
}

/** The path with `prefix_rewrite` or `regex_rewrite` applied; undefined where neither is there. */
function rewrittenPath(action: JsonValue | undefined, match: JsonValue | undefined, path: string): string | undefined {
  const [bare, query] = splitQuery(path);
  const prefix = textAt(action, 'prefix_rewrite');
  if (prefix !== '') return `${prefix}${bare.slice(matchedPart(match, bare).length)}${query}`;
  const regex = at(action, 'regex_rewrite');
  if (regex === undefined) return undefined;
  const replaced = re2Replace(textAt(regex, 'pattern', 'regex'), bare, textAt(regex, 'substitution'));
  return replaced === undefined ? undefined : `${replaced}${query}`;
}

/** @param path as the connection manager has normalised it, with its query */
export function rewritten(route: JsonObject, path: string): Rewritten {
  const action = route['route'];
  return {
    path: rewrittenPath(action, route['match'], path),
    authority: textAt(action, 'host_rewrite_literal') || undefined,
  };
}

const DEFAULT_PORT: Readonly<Record<string, string>> = { http: '80', https: '443' };

/** The `location` of a redirect. */
export function redirectLocation(route: JsonObject, request: CalledRequest, path: string): string | undefined {
  const redirect = route['redirect'];
  if (!isObject(redirect)) return undefined;
  const authority = request.headers.get(':authority') ?? '';
  const before = request.headers.get(':scheme') ?? 'http';
  const scheme = redirect['https_redirect'] === true ? 'https' : textAt(redirect, 'scheme_redirect') || before;
  const [, host = authority, ownPort] = /^(.*?)(?::(\d+))?$/.exec(authority) ?? [];
  const newHost = textAt(redirect, 'host_redirect');
  const newPort = textAt(redirect, 'port_redirect');
  // Envoy forgets a port that was the old scheme's own.
  const kept =
    newHost !== '' || ownPort === undefined
      ? undefined
      : scheme !== before && ownPort === DEFAULT_PORT[before]
        ? undefined
        : ownPort;
  const port = newPort === '' || newPort === '0' ? kept : newPort;
  const target = newHost === '' ? host : newHost;
  const [bare, query] = splitQuery(path);
  const fixed = textAt(redirect, 'path_redirect');
  const newPath =
    fixed === ''
      ? (rewrittenPath(redirect, route['match'], path) ?? path)
      : fixed.includes('?')
        ? fixed
        : `${fixed}${query}`;
  const whole = redirect['strip_query'] === true ? splitQuery(newPath)[0] : newPath;
  return `${scheme}://${target}${port === undefined ? '' : `:${port}`}${whole === '' ? bare : whole}`;
}
