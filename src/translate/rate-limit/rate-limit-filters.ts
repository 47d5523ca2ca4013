/**
 * The HTTP filters of rate limits, one a limit: what it counts, what it refuses, what it says in statistics is its own.
 * The filters know conditions; figures are settings of the route configuration. That is one for all filter chains of a
 * port, so that the chains share buckets, and it changes without touching a connection.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { ApiVersion } from '../../gen/envoy/config/core/v3/config_source_pb.ts';
import {
  FilterConfigSchema,
  type RateLimit_OverrideSchema,
} from '../../gen/envoy/config/route/v3/route_components_pb.ts';
import { ExtensionWithMatcherSchema } from '../../gen/envoy/extensions/common/matching/v3/extension_matcher_pb.ts';
import { XRateLimitHeadersRFCVersion } from '../../gen/envoy/extensions/common/ratelimit/v3/ratelimit_pb.ts';
import { LocalRateLimitSchema } from '../../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts';
import {
  RateLimit_XRateLimitHeadersRFCVersion,
  RateLimitPerRouteSchema,
  RateLimitSchema,
} from '../../gen/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.ts';
import { StatusCode } from '../../gen/envoy/type/v3/http_status_pb.ts';
import { FractionalPercent_DenominatorType } from '../../gen/envoy/type/v3/percent_pb.ts';
import { RateLimitUnit } from '../../gen/envoy/type/v3/ratelimit_unit_pb.ts';
import type { Limit, LimitedGateway, RateLimitServer } from '../../model/rate-limit.ts';
import type { HttpFilter } from '../http/http-filters.ts';
import { duration, pack } from '../messages.ts';
import { type FleetShare, tokenBucket } from './rate-limit-bucket.ts';
import { skipUnless } from './rate-limit-conditions.ts';
import { descriptorActions, descriptorEntries } from './rate-limit-descriptors.ts';

/** A limit as it stands before an application, or at a gateway. */
export interface AppliedLimit {
  /**
   * `shop/api/per-caller`: namespace, resource and limit; unique before one application or gateway. Without dots, so that Envoy
   * takes it for a tag of its statistics.
   */
  readonly name: string;
  readonly limit: Limit;
  /** Undefined: counted here. */
  readonly server: (RateLimitServer & { readonly cluster: string }) | undefined;
  /** The Gateway that it is for, with hosts where it is not for all that callers can ask for; absent: an application. */
  readonly gateway?: LimitedGateway;
}

/** Of every limit with `by`: beyond so many values those that were used least recently begin anew. */
const MOST_BUCKETS = 10_000;

const UNITS = new Map([
  [1000, RateLimitUnit.SECOND],
  [60_000, RateLimitUnit.MINUTE],
  [3_600_000, RateLimitUnit.HOUR],
  [86_400_000, RateLimitUnit.DAY],
]);

function percent(numerator: 0 | 100) {
  return { defaultValue: { numerator, denominator: FractionalPercent_DenominatorType.HUNDRED } };
}

function counting({ name, limit, server }: AppliedLimit): Any {
  if (server === undefined) return pack(LocalRateLimitSchema, { statPrefix: name });
  const { cluster, host: authority, domain, timeoutMs, failClosed } = server;
  const timeout = duration(timeoutMs);
  return pack(RateLimitSchema, {
    domain,
    timeout,
    failureModeDeny: failClosed,
    rateLimitService: {
      // The cluster's name, which Envoy would send, is no authority for those who look.
      grpcService: { targetSpecifier: { case: 'envoyGrpc', value: { clusterName: cluster, authority } }, timeout },
      transportApiVersion: ApiVersion.V3,
    },
    filterEnforced: percent(limit.dryRun ? 0 : 100),
    enableXRatelimitHeaders: limit.dryRun
      ? RateLimit_XRateLimitHeadersRFCVersion.OFF
      : RateLimit_XRateLimitHeadersRFCVersion.DRAFT_VERSION_03,
    rateLimitedAsResourceExhausted: true,
    statusOnError: { code: StatusCode.ServiceUnavailable },
    statPrefix: name,
  });
}

/** What configures the filter of a limit, by its name. */
export function limitFilterName({ name }: Pick<AppliedLimit, 'name'>): string {
  return `trysail.rate_limit.${name}`;
}

/**
 * The filters, which do nothing without their settings.
 * @param from of connections without a certificate nobody knows the caller: conditions that name callers never hold
 */
export function limitFilters(limits: readonly AppliedLimit[], from: 'mutual' | 'plain'): readonly HttpFilter[] {
  return limits.flatMap((applied): HttpFilter[] => {
    const { match } = applied.limit;
    const hosts = applied.gateway?.hosts ?? [];
    const name = limitFilterName(applied);
    const typedConfig = counting(applied);
    if (match.length === 0 && hosts.length === 0)
      return [{ name, configType: { case: 'typedConfig', value: typedConfig } }];
    const possible = from === 'mutual' ? match : match.filter(({ callers }) => callers.length === 0);
    if (match.length > 0 && possible.length === 0) return [];
    const conditional = { extensionConfig: { name, typedConfig }, xdsMatcher: skipUnless(possible, hosts) };
    return [{ name, configType: { case: 'typedConfig', value: pack(ExtensionWithMatcherSchema, conditional) } }];
  });
}

function override({ requests, perMs }: Limit): MessageInitShape<typeof RateLimit_OverrideSchema> {
  const unit = UNITS.get(perMs) ?? RateLimitUnit.SECOND;
  return { overrideSpecifier: { case: 'rateLimit', value: { requestsPerUnit: requests, unit } } };
}

function settings({ name, limit, server, gateway }: AppliedLimit, share: FleetShare | undefined): Any {
  const actions = descriptorActions(limit, gateway === undefined ? 'connection' : 'client');
  if (server !== undefined) return pack(RateLimitPerRouteSchema, { rateLimits: [{ actions, limit: override(limit) }] });
  const bucket = tokenBucket(limit, share);
  return pack(LocalRateLimitSchema, {
    statPrefix: name,
    // What lacks a value to count by shares this one.
    tokenBucket: bucket,
    ...(limit.by.length > 0 && {
      alwaysConsumeDefaultTokenBucket: false,
      rateLimits: [{ actions }],
      descriptors: [{ entries: descriptorEntries(limit), tokenBucket: bucket }],
      maxDynamicDescriptors: MOST_BUCKETS,
    }),
    filterEnabled: percent(100),
    filterEnforced: percent(limit.dryRun ? 0 : 100),
    ...(!limit.dryRun && { enableXRatelimitHeaders: XRateLimitHeadersRFCVersion.DRAFT_VERSION_03 }),
    // UNAVAILABLE would be retried.
    rateLimitedAsResourceExhausted: true,
  });
}

/** The settings of all filters, for `typedPerFilterConfig` of the virtual host or of the whole route configuration. */
export function limitSettings(limits: readonly AppliedLimit[], share: FleetShare | undefined): Record<string, Any> {
  return Object.fromEntries(limits.map((applied) => [limitFilterName(applied), settings(applied, share)]));
}

const OFF = pack(FilterConfigSchema, { disabled: true });

/** Turns filters off, for `typedPerFilterConfig` of a virtual host that their limits are not for. */
export function withoutLimits(limits: readonly AppliedLimit[]): Record<string, Any> {
  return Object.fromEntries(limits.map((applied) => [limitFilterName(applied), OFF]));
}
