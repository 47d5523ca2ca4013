/** Retries of a route, with Istio's defaults. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  RetryPolicy_RetryHostPredicateSchema,
  RetryPolicySchema,
} from '../../gen/envoy/config/route/v3/route_components_pb.ts';
import { PreviousHostsPredicateSchema } from '../../gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.ts';
import { PreviousPrioritiesConfigSchema } from '../../gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.ts';
import type { RetryPolicy } from '../../model/virtual-service.ts';
import { duration, pack } from '../messages.ts';

const DEFAULT_ATTEMPTS = 2;
/** A plain 503 is not among them: no status codes are named. */
const DEFAULT_CONDITIONS = 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes';
const RETRIABLE_STATUS_CODES = 'retriable-status-codes';
const HOST_SELECTION_ATTEMPTS = 5n;

type Init = MessageInitShape<typeof RetryPolicySchema>;

const PREVIOUS_HOSTS: MessageInitShape<typeof RetryPolicy_RetryHostPredicateSchema> = {
  name: 'envoy.retry_host_predicates.previous_hosts',
  configType: { case: 'typedConfig', value: pack(PreviousHostsPredicateSchema, {}) },
};

/** Takes status codes out of a list of conditions: Envoy names them apart. */
export function parseRetryOn(text: string): { readonly retryOn: string; readonly retriableStatusCodes: number[] } {
  const conditions = new Set<string>();
  const codes = new Set<number>();
  for (const token of text.split(',').map((part) => part.trim())) {
    if (/^\d{3}$/.test(token)) codes.add(Number(token));
    else if (token !== '') conditions.add(token);
  }
  if (codes.size > 0) conditions.add(RETRIABLE_STATUS_CODES);
  return {
    retryOn: conditions.size === 0 ? DEFAULT_CONDITIONS : [...conditions].join(','),
    retriableStatusCodes: [...codes],
  };
}

/**
 * Undefined: no retries.
 * @param sticky whether the destination hashes requests to hosts: then a retry stays with its host, unless the policy says otherwise
 */
export function retryPolicy(policy: RetryPolicy | undefined, sticky: boolean): Init | undefined {
  if (policy?.attempts === 0) return undefined;
  const { retryOn, retriableStatusCodes } = parseRetryOn(policy?.retryOn ?? '');
  const otherHosts = policy?.retryIgnorePreviousHosts ?? !sticky;
  return {
    retryOn,
    numRetries: policy?.attempts ?? DEFAULT_ATTEMPTS,
    retriableStatusCodes,
    ...(otherHosts && { retryHostPredicate: [PREVIOUS_HOSTS] }),
    hostSelectionRetryMaxAttempts: HOST_SELECTION_ATTEMPTS,
    ...(policy?.perTryTimeoutMs !== undefined && { perTryTimeout: duration(policy.perTryTimeoutMs) }),
    ...(policy?.backoffMs !== undefined && { retryBackOff: { baseInterval: duration(policy.backoffMs) } }),
    ...(policy?.retryRemoteLocalities === true && {
      retryPriority: {
        name: 'envoy.retry_priorities.previous_priorities',
        configType: { case: 'typedConfig', value: pack(PreviousPrioritiesConfigSchema, { updateFrequency: 2 }) },
      },
    }),
  };
}

/** For the way from a sidecar to its own application: what it never saw may be sent again. */
export const INBOUND_RETRY: Init = { retryOn: 'reset-before-request', numRetries: 2 };
