/** Outlier detection of a cluster. Success-rate ejection, which Envoy has on by default, is not part of Istio's API. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { OutlierDetectionSchema } from '../../gen/envoy/config/cluster/v3/outlier_detection_pb.ts';
import type { OutlierDetection } from '../../model/destination-rule.ts';
import { duration } from '../messages.ts';

/** Zero turns a detector off, a positive number on; undefined leaves what Envoy does. */
function enforcing(threshold: number): number {
  return threshold > 0 ? 100 : 0;
}

export function outlierDetection(outlier: OutlierDetection): MessageInitShape<typeof OutlierDetectionSchema> {
  const gatewayErrors = outlier.consecutiveGatewayErrors ?? 0;
  const originFailures = outlier.consecutiveLocalOriginFailures;
  return {
    enforcingSuccessRate: 0,
    ...(outlier.consecutive5xxErrors !== undefined && {
      ...(outlier.consecutive5xxErrors > 0 && { consecutive5xx: outlier.consecutive5xxErrors }),
      enforcingConsecutive5xx: enforcing(outlier.consecutive5xxErrors),
    }),
    ...(gatewayErrors > 0 && { consecutiveGatewayFailure: gatewayErrors }),
    enforcingConsecutiveGatewayFailure: enforcing(gatewayErrors),
    ...(outlier.intervalMs !== undefined && { interval: duration(outlier.intervalMs) }),
    ...(outlier.baseEjectionTimeMs !== undefined && { baseEjectionTime: duration(outlier.baseEjectionTimeMs) }),
    ...(outlier.maxEjectionPercent !== undefined && { maxEjectionPercent: outlier.maxEjectionPercent }),
    ...(outlier.alwaysEjectOneHost && { alwaysEjectOneHost: true }),
    ...(outlier.splitExternalLocalOriginErrors && {
      splitExternalLocalOriginErrors: true,
      enforcingLocalOriginSuccessRate: 0,
      ...(originFailures !== undefined && {
        ...(originFailures > 0 && { consecutiveLocalOriginFailure: originFailures }),
        enforcingConsecutiveLocalOriginFailure: enforcing(originFailures),
      }),
    }),
  };
}
