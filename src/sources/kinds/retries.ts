/** Istio's HTTPRetry: of a route, or of the whole mesh. */
import { nearest } from '../../lib/nearest.ts';
import type { Path } from '../../lib/yaml-document.ts';
import type { RetryPolicy } from '../../model/virtual-service.ts';
import type { Report } from './kind.ts';
import type { RetriesSpec } from './virtual-service-schema.ts';

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

export function buildRetries(spec: RetriesSpec, path: Path, report: Report): RetryPolicy {
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
    retryIgnorePreviousHosts: spec.retryIgnorePreviousHosts,
    backoffMs: spec.backoff,
  };
}
