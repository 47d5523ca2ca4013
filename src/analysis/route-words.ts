/** Conditions and actions of Envoy's routes in words, one line each. */
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { isObject } from '../envoy-api/resource-json.ts';
import { at, objectsAt, textAt } from './json-access.ts';

function matcherWords(matcher: JsonValue | undefined): string {
  if (!isObject(matcher)) return '';
  const regex = textAt(matcher, 'safe_regex', 'regex');
  if (regex !== '') return `~ ${regex}`;
  for (const [key, sign] of [
    ['exact', '='],
    ['prefix', '^='],
    ['suffix', '$='],
    ['contains', '*='],
  ] as const)
    if (matcher[key] !== undefined) return `${sign} ${textAt(matcher, key)}`;
  return '';
}

/** A condition on a header or query parameter: `end-user = jason`. */
export function conditionWords(condition: JsonObject): string {
  const name = textAt(condition, 'name');
  const words = matcherWords(condition['string_match']);
  const positive = words === '' ? `has ${name}` : `${name} ${words}`;
  return condition['invert_match'] === true ? `not (${positive})` : positive;
}

/** The condition on the path: `/api*`. */
export function pathWords(match: JsonValue | undefined): string {
  const regex = textAt(match, 'safe_regex', 'regex');
  const anyCase = at(match, 'case_sensitive') === false ? ' (any case)' : '';
  if (regex !== '') return `~ ${regex}`;
  if (at(match, 'path') !== undefined) return `${textAt(match, 'path')}${anyCase}`;
  const separated = textAt(match, 'path_separated_prefix');
  if (separated !== '') return `${separated}[/*]${anyCase}`;
  if (at(match, 'connect_matcher') !== undefined) return 'CONNECT';
  return `${textAt(match, 'prefix')}*${anyCase}`;
}

/** What a request must be for a route: `/api* end-user = jason`. */
export function matchWords(match: JsonValue | undefined): string {
  const headers = objectsAt(match, 'headers').map(conditionWords);
  const queries = objectsAt(match, 'query_parameters').map((one) => `?${conditionWords(one)}`);
  const metadata = objectsAt(match, 'dynamic_metadata').map(() => 'metadata');
  const share = at(match, 'runtime_fraction') === undefined ? [] : ['a share'];
  return [pathWords(match), ...headers, ...queries, ...metadata, ...share].join('  ');
}

/** Where a route leads: clusters with their shares, a redirect, an answer. */
export function actionWords(route: JsonObject): string {
  const action = at(route, 'route');
  if (isObject(action)) {
    const weighted = objectsAt(action, 'weighted_clusters', 'clusters');
    if (weighted.length === 0) return textAt(action, 'cluster') || textAt(action, 'cluster_header');
    return weighted.map((one) => `${textAt(one, 'weight')}× ${textAt(one, 'name')}`).join(', ');
  }
  const redirect = at(route, 'redirect');
  if (isObject(redirect)) {
    const path = textAt(redirect, 'path_redirect') || textAt(redirect, 'prefix_rewrite');
    const scheme = redirect['https_redirect'] === true ? 'https' : textAt(redirect, 'scheme_redirect');
    const host = textAt(redirect, 'host_redirect');
    return `redirect to ${scheme === '' ? '' : `${scheme}://`}${host}${path}`.trimEnd();
  }
  const direct = at(route, 'direct_response');
  return isObject(direct) ? `answers ${textAt(direct, 'status')}` : '';
}

/** What else a route does, the short of it: time limit, retries, mirrors, faults. */
export function policyWords(route: JsonObject): string {
  const action = at(route, 'route');
  const timeout = textAt(action, 'timeout');
  const attempts = textAt(action, 'retry_policy', 'num_retries');
  const perFilter = at(route, 'typed_per_filter_config');
  return [
    ...(timeout === '' || timeout === '0s' ? [] : [`timeout ${timeout}`]),
    ...(attempts === '' || attempts === '2' ? [] : [`${attempts} retries`]),
    ...(at(action, 'prefix_rewrite') === undefined && at(action, 'regex_rewrite') === undefined ? [] : ['rewrite']),
    ...objectsAt(action, 'request_mirror_policies').map((mirror) => `mirror ${textAt(mirror, 'cluster')}`),
    ...(isObject(perFilter) ? Object.keys(perFilter).map((name) => name.split('.').at(-1) ?? name) : []),
  ].join(', ');
}
