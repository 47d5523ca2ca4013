/** VirtualService: from Istio's form to the model's, with the rules that its schema cannot say. */
import { nearest } from '../../lib/nearest.ts';
import type { Path } from '../../lib/yaml-document.ts';
import type {
  HttpMatch,
  HttpRoute,
  RetryPolicy,
  RouteDestination,
  StringMatch,
  VirtualService,
} from '../../model/virtual-service.ts';
import { isToken, MAX_UINT32 } from '../field-types.ts';
import { regexProblem } from '../regex-syntax.ts';
import { defineKind, NETWORKING_VERSIONS, type Report, UNSUPPORTED } from './kind.ts';
import {
  type HttpMatchSpec,
  type HttpRouteSpec,
  type RetriesSpec,
  type StringMatchSpec,
  VIRTUAL_SERVICE_UNSUPPORTED,
  virtualServiceSchema,
} from './virtual-service-schema.ts';

/** Envoy's conditions of x-envoy-retry-on and x-envoy-retry-grpc-on. */
const RETRY_CONDITIONS = [
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
  'connect-failure',
  'envoy-ratelimited',
  'retriable-4xx',
  'refused-stream',
  'retriable-status-codes',
  'retriable-headers',
  'http3-post-connect-failure',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
];

function buildStringMatch(spec: StringMatchSpec, path: Path, report: Report, mayBePresence: boolean): StringMatch {
  const given = Object.entries(spec).filter(([, value]) => value !== undefined);
  const [first, ...others] = given;
  if (others.length > 0)
    report(path, 'has more than one of exact, prefix and regex', 'Keep one, or write several entries of "match".');
  if (first === undefined || (mayBePresence && spec.regex === '*')) {
    if (!mayBePresence) report(path, 'says nothing to compare with', 'Add "exact", "prefix" or "regex".');
    return { kind: 'present' };
  }
  if (spec.exact !== undefined) return { kind: 'exact', value: spec.exact };
  if (spec.prefix !== undefined) {
    if (spec.prefix === '') report([...path, 'prefix'], 'is empty and matches everything', 'Leave the match out.');
    return { kind: 'prefix', value: spec.prefix };
  }
  const value = spec.regex ?? '';
  const problem = regexProblem(value);
  if (problem !== undefined)
    report([...path, 'regex'], `"${value}" ${problem}`, 'Write a regular expression in RE2 syntax.');
  return { kind: 'regex', value };
}

function buildMatches(
  specs: Readonly<Record<string, StringMatchSpec>> | undefined,
  path: Path,
  report: Report,
  areHeaders: boolean,
): Readonly<Record<string, StringMatch>> {
  return Object.fromEntries(
    Object.entries(specs ?? {}).map(([name, spec]) => {
      if (name.startsWith('@'))
        report(
          [...path, name],
          `"${name}" asks for a claim of a token, which is not supported yet`,
          'Remove it.',
          UNSUPPORTED,
        );
      else if (areHeaders ? !isToken(name.replace(/^:/, '')) : name === '')
        report([...path, name], `${JSON.stringify(name)} is not a name`, 'Use letters, digits and "-".');
      return [name, buildStringMatch(spec, [...path, name], report, true)];
    }),
  );
}

function buildMatch(spec: HttpMatchSpec, path: Path, report: Report): HttpMatch {
  const one = (field: 'uri' | 'method' | 'scheme' | 'authority'): StringMatch | undefined =>
    spec[field] === undefined ? undefined : buildStringMatch(spec[field], [...path, field], report, false);
  return {
    name: spec.name,
    uri: one('uri'),
    ignoreUriCase: spec.ignoreUriCase ?? false,
    method: one('method'),
    scheme: one('scheme'),
    authority: one('authority'),
    headers: buildMatches(spec.headers, [...path, 'headers'], report, true),
    withoutHeaders: buildMatches(spec.withoutHeaders, [...path, 'withoutHeaders'], report, true),
    queryParams: buildMatches(spec.queryParams, [...path, 'queryParams'], report, false),
    port: spec.port,
  };
}

function checkRetryOn(retryOn: string, path: Path, report: Report): void {
  for (const condition of retryOn.split(',').map((part) => part.trim())) {
    if (RETRY_CONDITIONS.includes(condition)) continue;
    const status = /^\d+$/.test(condition) ? Number(condition) : undefined;
    if (status !== undefined && status >= 100 && status <= 599) continue;
    const suggestion = nearest(condition, RETRY_CONDITIONS);
    report(
      path,
      `"${condition}" is neither a condition nor an HTTP status`,
      suggestion === undefined ? `Use some of: ${RETRY_CONDITIONS.join(', ')}.` : `Did you mean "${suggestion}"?`,
    );
  }
}

function buildRetries(spec: RetriesSpec, path: Path, report: Report): RetryPolicy {
  const attempts = spec.attempts ?? 0;
  const others = Object.keys(spec).filter((key) => key !== 'attempts');
  if (attempts === 0 && others.length > 0)
    report(
      spec.attempts === undefined ? path : [...path, 'attempts'],
      `there are no attempts, and yet ${others.join(', ')}`,
      'Write "attempts" of 1 or more, or "attempts: 0" alone to turn retries off.',
    );
  const retryOn = spec.retryOn?.replaceAll(/\s/g, '');
  if (retryOn) checkRetryOn(retryOn, [...path, 'retryOn'], report);
  return {
    attempts,
    perTryTimeoutMs: spec.perTryTimeout,
    retryOn: retryOn === '' ? undefined : retryOn,
    retryRemoteLocalities: spec.retryRemoteLocalities ?? false,
    retryIgnorePreviousHosts: spec.retryIgnorePreviousHosts ?? true,
    backoffMs: spec.backoff,
  };
}

function buildRoute(spec: HttpRouteSpec, path: Path, report: Report): HttpRoute {
  const routes = spec.route ?? [];
  if (routes.length === 0) report(path, 'has no "route"', 'Add "route" with at least one destination.');
  const single = routes.length === 1;
  const destinations = routes.map(({ destination, weight }, i): RouteDestination => {
    if (destination.host.includes('*'))
      report([...path, 'route', i, 'destination', 'host'], `"${destination.host}" is a wildcard`, 'Name one service.');
    return {
      host: destination.host,
      subset: destination.subset,
      port: destination.port?.number,
      weight: single ? 1 : (weight ?? 0),
    };
  });
  if (destinations.length > 1 && destinations.every(({ weight }) => weight === 0))
    report([...path, 'route'], 'the weights total 0', 'Give at least one destination a weight of 1 or more.');
  if (destinations.reduce((sum, { weight }) => sum + weight, 0) > MAX_UINT32)
    report([...path, 'route'], `the weights total more than ${MAX_UINT32}`, 'Write smaller weights.');
  return {
    name: spec.name,
    match: (spec.match ?? []).map((match, i) => buildMatch(match, [...path, 'match', i], report)),
    destinations,
    timeoutMs: spec.timeout,
    retries: spec.retries === undefined ? undefined : buildRetries(spec.retries, [...path, 'retries'], report),
  };
}

/** Hosts stay as written: they are completed when the mesh is built, which knows the templates. */
export const virtualServiceKind = defineKind({
  kind: 'VirtualService',
  apiVersions: NETWORKING_VERSIONS,
  schema: virtualServiceSchema,
  unsupported: VIRTUAL_SERVICE_UNSUPPORTED,
  build(meta, spec, report): VirtualService {
    const hosts = spec.hosts ?? [];
    if (hosts.length === 0)
      report(['hosts'], 'has no hosts, as only a delegate may', 'Name the services that it is for.', UNSUPPORTED);
    for (const [i, host] of hosts.entries()) {
      if (host === '*') report(['hosts', i], '"*" is not allowed within the mesh', 'Name the services.');
      if (hosts.indexOf(host) < i) report(['hosts', i], `"${host}" stands here twice`, 'Keep one.');
    }
    const http = (spec.http ?? []).map((route, i) => buildRoute(route, ['http', i], report));
    if (http.length === 0) report(['http'], 'has no routes', 'Add "http" with at least one route.');
    return { meta, hosts, http, exportTo: spec.exportTo ?? [] };
  },
});
