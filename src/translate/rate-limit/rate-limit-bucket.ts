/** The token bucket of a limit, whole or an instance's share of it. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { TokenBucketSchema } from '../../gen/envoy/type/v3/token_bucket_pb.ts';
import type { InboundPort } from '../../model/host.ts';
import type { Limit } from '../../model/rate-limit.ts';
import type { Endpoint } from '../../model/service.ts';
import { duration } from '../messages.ts';

/** An instance's part of what all live instances take: `weight` of `total`. */
export interface FleetShare {
  readonly weight: number;
  readonly total: number;
}

const WHOLE: FleetShare = { weight: 1, total: 1 };
const MAX_UINT32 = 4_294_967_295;
/** Envoy counts time in nanoseconds of 63 bits, and refuses more. */
const MAX_INTERVAL_MS = 9_000_000_000_000;

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/**
 * The share of the instance at `listen`, by the weights that its callers use as well; where no instance is live all of them
 * count, as callers then try all. An instance that is not among the
 * live ones, because its registration is on its way or it listens on every address, takes as much as an average one.
 */
export function fleetShare(endpoints: readonly Endpoint[], { listen }: Pick<InboundPort, 'listen'>): FleetShare {
  const healthy = endpoints.filter(({ health }) => health === 'HEALTHY');
  const live = healthy.length > 0 ? healthy : endpoints;
  if (live.length === 0) return WHOLE;
  const own = live.find(
    ({ address, ports }) => address === listen.address && Object.values(ports).includes(listen.port),
  );
  if (own === undefined) return { weight: 1, total: live.length };
  const total = live.reduce((sum, { weight }) => sum + weight, 0);
  const divisor = greatestCommonDivisor(own.weight, total);
  return { weight: own.weight / divisor, total: total / divisor };
}

/**
 * Envoy fills a bucket steadily, at `tokensPerFill` in each `fillInterval`. A share is exact however small: it is the
 * interval that grows with the number of instances. At least one request may always come at once.
 */
export function tokenBucket(limit: Limit, share: FleetShare | undefined): MessageInitShape<typeof TokenBucketSchema> {
  const { requests, perMs, burst = requests, scope } = limit;
  const { weight, total } = scope === 'fleet' ? (share ?? WHOLE) : WHOLE;
  const exact = requests * weight <= MAX_UINT32 && perMs * total <= MAX_INTERVAL_MS;
  return {
    maxTokens: Math.max(1, Math.floor((burst * weight) / total)),
    tokensPerFill: exact ? requests * weight : Math.max(1, Math.floor((requests * weight) / total)),
    fillInterval: duration(exact ? perMs * total : perMs),
  };
}
