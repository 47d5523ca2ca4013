/** A VirtualService's match block as Envoy's route match. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type {
  HeaderMatcherSchema,
  QueryParameterMatcherSchema,
  RouteMatchSchema,
} from '../../gen/envoy/config/route/v3/route_components_pb.ts';
import { RegexMatcherSchema } from '../../gen/envoy/type/matcher/v3/regex_pb.ts';
import type { HttpMatch, StringMatch } from '../../model/virtual-service.ts';
import { isPresence, stringMatcher } from './string-matcher.ts';

type HeaderMatcher = MessageInitShape<typeof HeaderMatcherSchema>;
type QueryMatcher = MessageInitShape<typeof QueryParameterMatcherSchema>;
type RouteMatch = MessageInitShape<typeof RouteMatchSchema>;
function headerMatcher(name: string, match: StringMatch): HeaderMatcher {
  return isPresence(match)
    ? { name, headerMatchSpecifier: { case: 'presentMatch', value: true } }
    : { name, headerMatchSpecifier: { case: 'stringMatch', value: stringMatcher(match) } };
}

function withoutHeader(name: string, match: StringMatch): HeaderMatcher {
  const matcher = { ...headerMatcher(name, match), invertMatch: true };
  return isPresence(match) ? matcher : { ...matcher, treatMissingHeaderAsEmpty: true };
}

function queryMatcher(name: string, match: StringMatch): QueryMatcher {
  return isPresence(match)
    ? { name, queryParameterMatchSpecifier: { case: 'presentMatch', value: true } }
    : { name, queryParameterMatchSpecifier: { case: 'stringMatch', value: stringMatcher(match) } };
}

function pathSpecifier(uri: StringMatch | undefined): NonNullable<RouteMatch['pathSpecifier']> {
  if (uri === undefined || isPresence(uri)) return { case: 'prefix', value: '/' };
  if (uri.kind === 'exact') return { case: 'path', value: uri.value };
  if (uri.kind === 'prefix') return { case: 'prefix', value: uri.value };
  return { case: 'safeRegex', value: create(RegexMatcherSchema, { regex: uri.value }) };
}

function sorted(matches: Readonly<Record<string, StringMatch>>): readonly (readonly [string, StringMatch])[] {
  return Object.entries(matches).toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** Envoy's match; conditions are sorted by name, so that equal blocks give equal bytes. */
export function routeMatch(match: HttpMatch | undefined): RouteMatch {
  if (match === undefined) return { pathSpecifier: { case: 'prefix', value: '/' } };
  const pseudoHeaders = [
    [':authority', match.authority],
    [':method', match.method],
    [':scheme', match.scheme],
  ] as const;
  const headers = [
    ...pseudoHeaders.flatMap(([name, value]) => (value === undefined ? [] : [headerMatcher(name, value)])),
    ...sorted(match.headers).map(([name, value]) => headerMatcher(name, value)),
    ...sorted(match.withoutHeaders).map(([name, value]) => withoutHeader(name, value)),
  ];
  const ignoresCase = match.ignoreUriCase && (match.uri?.kind === 'exact' || match.uri?.kind === 'prefix');
  return {
    pathSpecifier: pathSpecifier(match.uri),
    ...(ignoresCase && { caseSensitive: false }),
    headers,
    queryParameters: sorted(match.queryParams).map(([name, value]) => queryMatcher(name, value)),
  };
}

/** Whether every request fits, so that later routes are dead. */
export function matchesEverything(match: HttpMatch | undefined): boolean {
  if (match === undefined) return true;
  const { uri } = match;
  const anyPath =
    uri === undefined ||
    isPresence(uri) ||
    (uri.kind === 'prefix' && uri.value === '/') ||
    (uri.kind === 'regex' && uri.value === '.*');
  return (
    anyPath &&
    match.authority === undefined &&
    match.method === undefined &&
    match.scheme === undefined &&
    Object.keys(match.headers).length === 0 &&
    Object.keys(match.withoutHeaders).length === 0 &&
    Object.keys(match.queryParams).length === 0
  );
}
