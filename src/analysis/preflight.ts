/**
 * Preflights, which Envoy's CORS filter answers by the policy of a route to a service; redirects and direct answers have none.
 * https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/cors_filter
 */
import type { JsonObject } from '@bufbuild/protobuf';
import type { CalledRequest } from './called-request.ts';
import { at, objectsAt } from './json-access.ts';
import { stringMatches } from './route-matcher.ts';

/** Why Envoy answers the request itself, in words; undefined: it is no preflight, or one that goes on. */
export function preflightNote(route: JsonObject, { method, headers }: CalledRequest): string | undefined {
  const policy = at(route, 'typed_per_filter_config', 'envoy.filters.http.cors');
  const origin = headers.get('origin') ?? '';
  const isPreflight =
    method === 'OPTIONS' && origin !== '' && (headers.get('access-control-request-method') ?? '') !== '';
  if (policy === undefined || route['route'] === undefined || !isPreflight) return undefined;
  const isAllowed = objectsAt(policy, 'allow_origin_string_match').some(
    // A policy for "*" is for everybody.
    (matcher) => stringMatches(matcher, '*') === true || stringMatches(matcher, origin) === true,
  );
  if (isAllowed) return `a preflight of ${origin}, which the CORS policy allows`;
  return at(policy, 'forward_not_matching_preflights') === false
    ? `a preflight of ${origin}, which the CORS policy does not allow: the answer says so by lacking its headers`
    : undefined;
}
