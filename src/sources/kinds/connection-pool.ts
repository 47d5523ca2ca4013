/** `connectionPool` and `outlierDetection`, of a DestinationRule or of the mesh. */
import type { Path } from '../../lib/yaml-document.ts';
import type { ConnectionPool, OutlierDetection } from '../../model/destination-rule.ts';
import type { ConnectionPoolSpec, OutlierDetectionSpec, TcpKeepaliveSpec } from './destination-rule-schema.ts';
import { DEPRECATED, type Report, WITHOUT_EFFECT } from './kind.ts';

/** In Istio a limit of 0 is the same as none given. */
export function limit(value: number | undefined): number | undefined {
  return value === 0 ? undefined : value;
}

export function buildTcpKeepalive({
  probes,
  time,
  interval,
}: TcpKeepaliveSpec): NonNullable<ConnectionPool['tcpKeepalive']> {
  return { probes: limit(probes), timeMs: time, intervalMs: interval };
}

export function buildConnectionPool(
  { tcp = {}, http = {} }: ConnectionPoolSpec,
  path: Path,
  report: Report,
): ConnectionPool {
  if (http.useClientProtocol === true && http.h2UpgradePolicy === 'UPGRADE')
    report([...path, 'http'], 'useClientProtocol and h2UpgradePolicy: UPGRADE exclude each other', 'Keep one.');
  const keepAlive = http.http2KeepAlive;
  if (keepAlive !== undefined && keepAlive.interval === undefined)
    report([...path, 'http', 'http2KeepAlive'], 'does not say how often to ask', 'Write interval.');
  return {
    maxConnections: limit(tcp.maxConnections),
    connectTimeoutMs: tcp.connectTimeout,
    tcpKeepalive: tcp.tcpKeepalive && buildTcpKeepalive(tcp.tcpKeepalive),
    maxConnectionDurationMs: tcp.maxConnectionDuration,
    tcpIdleTimeoutMs: tcp.idleTimeout,
    http1MaxPendingRequests: limit(http.http1MaxPendingRequests),
    http2MaxRequests: limit(http.http2MaxRequests),
    maxRequestsPerConnection: limit(http.maxRequestsPerConnection),
    maxRetries: limit(http.maxRetries),
    httpIdleTimeoutMs: http.idleTimeout,
    h2UpgradePolicy: http.h2UpgradePolicy ?? 'DEFAULT',
    useClientProtocol: http.useClientProtocol ?? false,
    maxConcurrentStreams: limit(http.maxConcurrentStreams),
    ...(keepAlive !== undefined && {
      http2KeepAlive: { intervalMs: keepAlive.interval, timeoutMs: keepAlive.timeout },
    }),
  };
}

export function buildOutlierDetection(spec: OutlierDetectionSpec, path: Path, report: Report): OutlierDetection {
  const { consecutiveErrors, consecutive5xxErrors, consecutiveGatewayErrors } = spec;
  if (consecutiveErrors !== undefined)
    report(
      [...path, 'consecutiveErrors'],
      'consecutiveErrors is deprecated',
      'Write consecutiveGatewayErrors, and consecutive5xxErrors: 0, which mean the same.',
      DEPRECATED,
    );
  if ((spec.consecutiveLocalOriginFailures ?? 0) > 0 && spec.splitExternalLocalOriginErrors !== true)
    report(
      [...path, 'consecutiveLocalOriginFailures'],
      'has no effect: errors that arise here are counted with those of the server',
      'Write splitExternalLocalOriginErrors: true beside it.',
      WITHOUT_EFFECT,
    );
  // As Istio has read it: errors of gateways alone.
  const counts =
    consecutiveErrors === undefined || consecutive5xxErrors !== undefined || consecutiveGatewayErrors !== undefined
      ? { consecutive5xxErrors, consecutiveGatewayErrors }
      : { consecutive5xxErrors: 0, consecutiveGatewayErrors: consecutiveErrors };
  const codes = spec.outlierDetectionHttpErrorCodes;
  return {
    ...counts,
    intervalMs: spec.interval,
    baseEjectionTimeMs: spec.baseEjectionTime,
    maxEjectionPercent: limit(spec.maxEjectionPercent),
    alwaysEjectOneHost: spec.alwaysEjectOneHost ?? false,
    minHealthPercent: spec.minHealthPercent,
    splitExternalLocalOriginErrors: spec.splitExternalLocalOriginErrors ?? false,
    consecutiveLocalOriginFailures: spec.consecutiveLocalOriginFailures,
    ...(codes !== undefined && codes.length > 0 && { httpErrorCodes: [...new Set(codes)] }),
  };
}
