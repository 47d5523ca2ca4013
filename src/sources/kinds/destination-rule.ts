/** DestinationRule: from Istio's form to the model's, with the rules that its schema cannot say. */
import type { Path } from '../../lib/yaml-document.ts';
import type {
  ConnectionPool,
  ConsistentHash,
  DestinationRule,
  LoadBalancer,
  OutlierDetection,
  TrafficPolicy,
  TrafficPolicyBlocks,
} from '../../model/destination-rule.ts';
import {
  type BlocksSpec,
  type ConnectionPoolSpec,
  type ConsistentHashSpec,
  DESTINATION_RULE_UNSUPPORTED,
  destinationRuleSchema,
  type LoadBalancerSpec,
  type OutlierDetectionSpec,
  type TrafficPolicySpec,
} from './destination-rule-schema.ts';
import { DEPRECATED, defineKind, NETWORKING_VERSIONS, type Report } from './kind.ts';

/** In Istio a limit of 0 is the same as none given. */
function limit(value: number | undefined): number | undefined {
  return value === 0 ? undefined : value;
}

function isPrime(n: number): boolean {
  if (n < 2) return false;
  for (let i = 2; i * i <= n; i += 1) if (n % i === 0) return false;
  return true;
}

function buildHash(spec: ConsistentHashSpec, path: Path, report: Report): ConsistentHash {
  const keys: ConsistentHash['key'][] = [];
  if (spec.httpHeaderName !== undefined) keys.push({ kind: 'header', name: spec.httpHeaderName });
  if (spec.httpCookie !== undefined) {
    const { name, path: cookiePath, ttl } = spec.httpCookie;
    keys.push({ kind: 'cookie', name, path: cookiePath, ttlMs: ttl });
  }
  if (spec.useSourceIp === true) keys.push({ kind: 'sourceIp' });
  if (spec.httpQueryParameterName !== undefined)
    keys.push({ kind: 'queryParameter', name: spec.httpQueryParameterName });
  const [key = { kind: 'sourceIp' as const }] = keys;
  if (keys.length !== 1)
    report(
      path,
      keys.length === 0 ? 'does not say what to hash' : 'says more than one thing to hash',
      'Write one of httpHeaderName, httpCookie, useSourceIp: true and httpQueryParameterName.',
    );
  if (spec.ringHash !== undefined && spec.maglev !== undefined)
    report(path, 'has both ringHash and maglev', 'Keep one.');
  const tableSize = limit(spec.maglev?.tableSize);
  if (tableSize !== undefined && !isPrime(tableSize))
    report([...path, 'maglev', 'tableSize'], `${tableSize} is not a prime number`, 'Use a prime such as 65537.');
  return {
    key,
    algorithm:
      spec.maglev === undefined
        ? { kind: 'ringHash', minimumRingSize: limit(spec.ringHash?.minimumRingSize) }
        : { kind: 'maglev', tableSize },
  };
}

function buildLoadBalancer(spec: LoadBalancerSpec, path: Path, report: Report): LoadBalancer | undefined {
  if (spec.simple !== undefined && spec.consistentHash !== undefined)
    report(path, 'has both simple and consistentHash', 'Keep one.');
  if (spec.consistentHash !== undefined)
    return { kind: 'consistentHash', hash: buildHash(spec.consistentHash, [...path, 'consistentHash'], report) };
  if (spec.simple === 'LEAST_CONN') {
    report([...path, 'simple'], 'LEAST_CONN is deprecated', 'Write LEAST_REQUEST, which is the same.', DEPRECATED);
    return { kind: 'simple', simple: 'LEAST_REQUEST' };
  }
  if (spec.simple === undefined || spec.simple === 'UNSPECIFIED' || spec.simple === 'PASSTHROUGH') return undefined;
  return { kind: 'simple', simple: spec.simple };
}

/** Also of a Sidecar. */
export function buildConnectionPool({ tcp = {}, http = {} }: ConnectionPoolSpec, path: Path, report: Report): ConnectionPool {
  if (http.useClientProtocol === true && http.h2UpgradePolicy === 'UPGRADE')
    report([...path, 'http'], 'useClientProtocol and h2UpgradePolicy: UPGRADE exclude each other', 'Keep one.');
  const { probes, time, interval } = tcp.tcpKeepalive ?? {};
  return {
    maxConnections: limit(tcp.maxConnections),
    connectTimeoutMs: tcp.connectTimeout,
    tcpKeepalive:
      tcp.tcpKeepalive === undefined ? undefined : { probes: limit(probes), timeMs: time, intervalMs: interval },
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
  };
}

function buildOutlierDetection(spec: OutlierDetectionSpec): OutlierDetection {
  return {
    consecutive5xxErrors: spec.consecutive5xxErrors,
    consecutiveGatewayErrors: spec.consecutiveGatewayErrors,
    intervalMs: spec.interval,
    baseEjectionTimeMs: spec.baseEjectionTime,
    maxEjectionPercent: spec.maxEjectionPercent,
    alwaysEjectOneHost: spec.alwaysEjectOneHost ?? false,
    minHealthPercent: spec.minHealthPercent,
    splitExternalLocalOriginErrors: spec.splitExternalLocalOriginErrors ?? false,
    consecutiveLocalOriginFailures: spec.consecutiveLocalOriginFailures,
  };
}

function buildBlocks(spec: BlocksSpec, path: Path, report: Report): TrafficPolicyBlocks {
  const { loadBalancer, connectionPool, outlierDetection } = spec;
  return {
    loadBalancer: loadBalancer && buildLoadBalancer(loadBalancer, [...path, 'loadBalancer'], report),
    connectionPool: connectionPool && buildConnectionPool(connectionPool, [...path, 'connectionPool'], report),
    outlierDetection: outlierDetection && buildOutlierDetection(outlierDetection),
  };
}

function buildPolicy(spec: TrafficPolicySpec | undefined, path: Path, report: Report): TrafficPolicy | undefined {
  if (spec === undefined) return undefined;
  const ports = spec.portLevelSettings ?? [];
  const at = [...path, 'portLevelSettings'];
  return {
    ...buildBlocks(spec, path, report),
    portLevelSettings: ports.map((settings, i) => {
      if (ports.findIndex(({ port }) => port.number === settings.port.number) < i)
        report([...at, i, 'port', 'number'], `port ${settings.port.number} has settings already`, 'Join the two.');
      const { loadBalancer, connectionPool, outlierDetection } = buildBlocks(settings, [...at, i], report);
      return { port: settings.port.number, loadBalancer, connectionPool, outlierDetection };
    }),
  };
}

const SUBSET_NAME = /^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$/;

/** The host stays as written: it is completed when the mesh is built, which knows the templates. */
export const destinationRuleKind = defineKind({
  kind: 'DestinationRule',
  apiVersions: NETWORKING_VERSIONS,
  schema: destinationRuleSchema,
  unsupported: DESTINATION_RULE_UNSUPPORTED,
  build(meta, spec, report): DestinationRule {
    const subsets = spec.subsets ?? [];
    for (const [i, { name }] of subsets.entries()) {
      if (!SUBSET_NAME.test(name))
        report(['subsets', i, 'name'], `"${name}" is not a name`, 'Use letters, digits, "-", "_" and ".".');
      if (subsets.findIndex((subset) => subset.name === name) < i)
        report(['subsets', i, 'name'], `subset "${name}" stands here twice`, 'Rename or remove one.');
    }
    return {
      meta,
      host: spec.host,
      trafficPolicy: buildPolicy(spec.trafficPolicy, ['trafficPolicy'], report),
      subsets: subsets.map((subset, i) => ({
        name: subset.name,
        labels: subset.labels ?? {},
        trafficPolicy: buildPolicy(subset.trafficPolicy, ['subsets', i, 'trafficPolicy'], report),
      })),
      exportTo: spec.exportTo ?? [],
    };
  },
});
