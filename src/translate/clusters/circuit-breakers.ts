/** How much a cluster takes at once. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { CircuitBreakersSchema } from '../../gen/envoy/config/cluster/v3/circuit_breaker_pb.ts';
import type { ConnectionPool, RetryBudget } from '../../model/destination-rule.ts';
import { duration } from '../messages.ts';

/** Envoy's own limits (1,024 connections, 3 retries) are no defaults of Istio's: without a rule there are none. */
const NO_LIMIT = 0xff_ff_ff_ff;

function limit(value: number | undefined): number {
  return value === undefined || value <= 0 ? NO_LIMIT : value;
}

/**
 * The one threshold of a cluster, with Istio's limits. A retry budget goes before `maxRetries`.
 * https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/circuit_breaker.proto
 */
export function circuitBreakers(
  pool: ConnectionPool | undefined,
  budget?: RetryBudget,
): MessageInitShape<typeof CircuitBreakersSchema> {
  return {
    thresholds: [
      {
        maxConnections: limit(pool?.maxConnections),
        maxPendingRequests: limit(pool?.http1MaxPendingRequests),
        maxRequests: limit(pool?.http2MaxRequests),
        maxRetries: limit(pool?.maxRetries),
        ...(budget !== undefined && {
          retryBudget: {
            budgetPercent: { value: budget.percent },
            minRetryConcurrency: budget.minRetryConcurrency,
            ...(budget.budgetIntervalMs !== undefined && { budgetInterval: duration(budget.budgetIntervalMs) }),
          },
        }),
      },
    ],
  };
}
