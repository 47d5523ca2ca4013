/** Rate limits that count a request at a gateway: the conditions before their filters, evaluated as Envoy does. */
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { isObject } from '../envoy-api/resource-json.ts';
import { formatDuration } from '../lib/duration.ts';
import type { CountingLimit } from '../model/explanation.ts';
import type { GatewayRole } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import { describeObject } from '../model/resource-meta.ts';
import { gatewayRateLimits } from '../translate/rate-limit/gateway-rate-limits.ts';
import { appliedLimits } from '../translate/rate-limit/rate-limit-calls.ts';
import { descriptorKey } from '../translate/rate-limit/rate-limit-descriptors.ts';
import { limitFilterName } from '../translate/rate-limit/rate-limit-filters.ts';
import type { CalledRequest } from './called-request.ts';
import { place } from './considered.ts';
import { at, objectsAt, textAt } from './json-access.ts';
import { stringMatches } from './route-matcher.ts';

/** A request as the filters see it. */
interface Seen {
  readonly request: CalledRequest;
  /** As Envoy has normalised it, with its query. */
  readonly path: string;
  /** Whether the connection can bear a certificate. */
  readonly isTls: boolean;
}

/** Undefined: it depends on the caller's certificate, of which nothing is known. */
type Verdict = boolean | undefined;

function all(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes(false)) return false;
  return verdicts.includes(undefined) ? undefined : true;
}

function any(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes(true)) return true;
  return verdicts.includes(undefined) ? undefined : false;
}

function negated(verdict: Verdict): Verdict {
  return verdict === undefined ? undefined : !verdict;
}

/** A condition on one value: of a header, or of the caller's certificate. */
function singleHolds(single: JsonValue, { request, path, isTls }: Seen): Verdict {
  const header = textAt(single, 'input', 'typed_config', 'header_name');
  if (header === '') return isTls ? undefined : false;
  const value = header === ':path' ? path : request.headers.get(header);
  if (value === undefined) return false;
  const matcher = at(single, 'value_match');
  return isObject(matcher) ? stringMatches(matcher, value) : undefined;
}

/** https://www.envoyproxy.io/docs/envoy/latest/xds/type/matcher/v3/matcher.proto */
function holds(predicate: JsonValue | undefined, seen: Seen): Verdict {
  const single = at(predicate, 'single_predicate');
  if (single !== undefined) return singleHolds(single, seen);
  const not = at(predicate, 'not_matcher');
  if (not !== undefined) return negated(holds(not, seen));
  const each = (kind: string): readonly Verdict[] =>
    objectsAt(predicate, kind, 'predicate').map((one) => holds(one, seen));
  return at(predicate, 'and_matcher') === undefined ? any(each('or_matcher')) : all(each('and_matcher'));
}

/** Whether a filter looks at the request; it is passed over where its matcher finds that it should be. */
function counts(filter: JsonObject, seen: Seen): Verdict {
  const [matcher] = objectsAt(filter, 'typed_config', 'xds_matcher', 'matcher_list', 'matchers');
  return matcher === undefined ? true : negated(holds(matcher['predicate'], seen));
}

/**
 * In the order in which they count.
 * @param manager the connection manager
 * @param virtualHost that takes the request
 * @param route that takes it
 */
export function countingLimits(
  mesh: Mesh,
  role: GatewayRole,
  { manager, virtualHost, route }: Readonly<Record<'manager' | 'virtualHost' | 'route', JsonObject>>,
  seen: Seen,
): readonly CountingLimit[] {
  const known = gatewayRateLimits(mesh, role).flatMap((rateLimit) =>
    appliedLimits([rateLimit], role).map((applied) => ({ rateLimit, applied, filter: limitFilterName(applied) })),
  );
  return objectsAt(manager, 'http_filters').flatMap((filter): readonly CountingLimit[] => {
    const name = textAt(filter, 'name');
    const found = known.find((one) => one.filter === name);
    if (found === undefined || at(virtualHost, 'typed_per_filter_config', name, 'disabled') === true) return [];
    const { limit, server } = found.applied;
    // Envoy asks a server for what it sends on alone.
    const verdict = server !== undefined && route['route'] === undefined ? false : counts(filter, seen);
    if (verdict === false) return [];
    const { meta } = found.rateLimit;
    return [
      {
        rateLimit: describeObject(meta),
        source: place(meta.source),
        limit: limit.name,
        requests: limit.requests,
        per: formatDuration(limit.perMs),
        by: limit.by.map(descriptorKey),
        scope: limit.scope,
        dryRun: limit.dryRun,
        server: server?.host,
        byCertificate: verdict === undefined,
      },
    ];
  });
}
