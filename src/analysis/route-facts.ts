/** What a route does with a request, besides where it leads. */

import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { isObject } from '../envoy-api/resource-json.ts';
import type { FaultFacts, HeaderFacts, RetryFacts, RouteFacts } from '../model/explanation.ts';
import type { CalledRequest } from './called-request.ts';
import { at, objectsAt, textAt, textsAt } from './json-access.ts';
import { redirectLocation, rewritten } from './rewritten.ts';

const DENOMINATORS: Readonly<Record<string, number>> = { HUNDRED: 1, TEN_THOUSAND: 100, MILLION: 10_000 };

/** A `FractionalPercent` in percent. */
function percent(fraction: JsonValue | undefined): number {
  const numerator = Number(textAt(fraction, 'numerator') || '0');
  return numerator / (DENOMINATORS[textAt(fraction, 'denominator') || 'HUNDRED'] ?? 1);
}

function faultFacts(route: JsonObject): FaultFacts | undefined {
  const fault = at(route, 'typed_per_filter_config', 'envoy.filters.http.fault');
  if (!isObject(fault)) return undefined;
  const { delay, abort } = fault;
  const grpc = textAt(abort, 'grpc_status');
  return {
    delay:
      delay === undefined
        ? undefined
        : { percent: percent(at(delay, 'percentage')), time: textAt(delay, 'fixed_delay') },
    abort:
      abort === undefined
        ? undefined
        : {
            percent: percent(at(abort, 'percentage')),
            status: grpc === '' ? textAt(abort, 'http_status') : `gRPC ${grpc}`,
          },
  };
}

/** Header operations of a route, or of one of its weighted clusters. */
export function headerFacts(of: JsonObject, direction: 'request' | 'response'): HeaderFacts | undefined {
  const set: Record<string, string> = {};
  const add: Record<string, string> = {};
  for (const option of objectsAt(of, `${direction}_headers_to_add`)) {
    const into = textAt(option, 'append_action').startsWith('OVERWRITE') ? set : add;
    into[textAt(option, 'header', 'key')] = textAt(option, 'header', 'value');
  }
  const remove = textsAt(of, `${direction}_headers_to_remove`);
  const isEmpty = Object.keys(set).length + Object.keys(add).length + remove.length === 0;
  return isEmpty ? undefined : { set, add, remove };
}

function hashWords(policy: JsonObject): string {
  const header = textAt(policy, 'header', 'header_name');
  if (header !== '') return `header ${header}`;
  const cookie = textAt(policy, 'cookie', 'name');
  if (cookie !== '') return `cookie ${cookie}`;
  const query = textAt(policy, 'query_parameter', 'name');
  return query === '' ? 'source address' : `query ${query}`;
}

function retryFacts(action: JsonValue | undefined): RetryFacts | undefined {
  const policy = at(action, 'retry_policy');
  if (!isObject(policy)) return undefined;
  const codes = policy['retriable_status_codes'];
  const on = textAt(policy, 'retry_on');
  return {
    attempts: Number(textAt(policy, 'num_retries') || '1'),
    on: Array.isArray(codes) && codes.length > 0 ? `${on},${codes.map(String).join(',')}` : on,
    perTryTimeout: textAt(policy, 'per_try_timeout') || undefined,
  };
}

const REDIRECT_CODES: Readonly<Record<string, number>> = {
  FOUND: 302,
  SEE_OTHER: 303,
  TEMPORARY_REDIRECT: 307,
  PERMANENT_REDIRECT: 308,
};

function bodyOf(direct: JsonObject): string | undefined {
  const bytes = textAt(direct, 'body', 'inline_bytes');
  return textAt(direct, 'body', 'inline_string') || (bytes === '' ? undefined : `${bytes} (base64)`);
}

/** @param path normalised, with its query */
export function routeFacts(route: JsonObject, request: CalledRequest, path: string): RouteFacts {
  const action = route['route'];
  const timeout = textAt(action, 'timeout');
  const { redirect, direct_response: direct } = route;
  const changed = rewritten(route, path);
  const cors = at(route, 'typed_per_filter_config', 'envoy.filters.http.cors');
  return {
    timeout: timeout === '' || timeout === '0s' ? undefined : timeout,
    retries: retryFacts(action),
    rewrite: changed.path === undefined && changed.authority === undefined ? undefined : changed,
    redirect: isObject(redirect)
      ? {
          code: REDIRECT_CODES[textAt(redirect, 'response_code')] ?? 301,
          location: redirectLocation(route, request, path) ?? '',
        }
      : undefined,
    directResponse: isObject(direct) ? { status: Number(textAt(direct, 'status')), body: bodyOf(direct) } : undefined,
    fault: faultFacts(route),
    mirrors: objectsAt(action, 'request_mirror_policies').map((mirror) => ({
      cluster: textAt(mirror, 'cluster'),
      percent:
        mirror['runtime_fraction'] === undefined ? 100 : percent(at(mirror, 'runtime_fraction', 'default_value')),
    })),
    cors: isObject(cors) ? cors : undefined,
    requestHeaders: headerFacts(route, 'request'),
    responseHeaders: headerFacts(route, 'response'),
    hashBy: objectsAt(action, 'hash_policy').map(hashWords),
  };
}
