/** The shape of DestinationRule in Istio's API. https://istio.io/latest/docs/reference/config/networking/destination-rule/ */
import * as z from 'zod/mini';
import { duration, exportTo, host, int, labels, nonEmpty, port, token, unread } from '../field-types.ts';
import { refused, type UnsupportedField } from '../unsupported-fields.ts';

const consistentHash = z.strictObject({
  httpHeaderName: z.optional(token),
  httpCookie: z.optional(
    z.strictObject({
      name: token,
      path: z.optional(z.string()),
      ttl: z.optional(duration(0)),
      attributes: unread,
    }),
  ),
  useSourceIp: z.optional(z.boolean()),
  httpQueryParameterName: z.optional(nonEmpty),
  ringHash: z.optional(z.strictObject({ minimumRingSize: z.optional(int(0, 8_388_608)) })),
  maglev: z.optional(z.strictObject({ tableSize: z.optional(int(0, 5_000_011)) })),
  minimumRingSize: unread,
});

const loadBalancer = z.strictObject({
  simple: z.optional(z.enum(['UNSPECIFIED', 'ROUND_ROBIN', 'LEAST_REQUEST', 'LEAST_CONN', 'RANDOM', 'PASSTHROUGH'])),
  consistentHash: z.optional(consistentHash),
  localityLbSetting: unread,
  zoneAwareLbSetting: unread,
  warmup: unread,
  warmupDurationSecs: unread,
});

export const connectionPool = z.strictObject({
  tcp: z.optional(
    z.strictObject({
      maxConnections: z.optional(int(0, 2_147_483_647)),
      connectTimeout: z.optional(duration()),
      tcpKeepalive: z.optional(
        z.strictObject({
          probes: z.optional(int()),
          time: z.optional(duration()),
          interval: z.optional(duration()),
        }),
      ),
      maxConnectionDuration: z.optional(duration()),
      idleTimeout: z.optional(duration(0)),
    }),
  ),
  http: z.optional(
    z.strictObject({
      http1MaxPendingRequests: z.optional(int(0, 2_147_483_647)),
      http2MaxRequests: z.optional(int(0, 2_147_483_647)),
      maxRequestsPerConnection: z.optional(int(0, 2_147_483_647)),
      maxRetries: z.optional(int(0, 2_147_483_647)),
      idleTimeout: z.optional(duration(0)),
      h2UpgradePolicy: z.optional(z.enum(['DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE'])),
      useClientProtocol: z.optional(z.boolean()),
      maxConcurrentStreams: z.optional(int(0, 2_147_483_647)),
      http2KeepAlive: unread,
    }),
  ),
});

const percent = int(0, 100);

const outlierDetection = z.strictObject({
  consecutive5xxErrors: z.optional(int()),
  consecutiveGatewayErrors: z.optional(int()),
  interval: z.optional(duration()),
  baseEjectionTime: z.optional(duration()),
  maxEjectionPercent: z.optional(percent),
  alwaysEjectOneHost: z.optional(z.boolean()),
  minHealthPercent: z.optional(percent),
  splitExternalLocalOriginErrors: z.optional(z.boolean()),
  consecutiveLocalOriginFailures: z.optional(int()),
  outlierDetectionHttpErrorCodes: unread,
  consecutiveErrors: unread,
});

const blocks = {
  loadBalancer: z.optional(loadBalancer),
  connectionPool: z.optional(connectionPool),
  outlierDetection: z.optional(outlierDetection),
  tls: unread,
};

const portLevelSettings = z.array(z.strictObject({ port: z.strictObject({ number: port }), ...blocks }));

const trafficPolicy = z.strictObject({
  ...blocks,
  portLevelSettings: z.optional(portLevelSettings),
  tunnel: unread,
  proxyProtocol: unread,
  retryBudget: unread,
});

export const destinationRuleSchema = z.strictObject({
  host,
  trafficPolicy: z.optional(trafficPolicy),
  subsets: z.optional(
    z.array(z.strictObject({ name: nonEmpty, labels: z.optional(labels), trafficPolicy: z.optional(trafficPolicy) })),
  ),
  exportTo,
  workloadSelector: unread,
});

export type TrafficPolicySpec = z.output<typeof trafficPolicy>;
export type BlocksSpec = Pick<TrafficPolicySpec, 'loadBalancer' | 'connectionPool' | 'outlierDetection'>;
export type LoadBalancerSpec = z.output<typeof loadBalancer>;
export type ConsistentHashSpec = z.output<typeof consistentHash>;
export type ConnectionPoolSpec = z.output<typeof connectionPool>;
export type OutlierDetectionSpec = z.output<typeof outlierDetection>;

/** Rows for every place in which a policy may stand. */
function inPolicies(rows: readonly UnsupportedField[], withPorts: boolean): readonly UnsupportedField[] {
  const places = ['trafficPolicy', 'subsets[].trafficPolicy'];
  const all = withPorts ? places.flatMap((place) => [place, `${place}.portLevelSettings[]`]) : places;
  return all.flatMap((place) => rows.map((row) => ({ ...row, path: `${place}.${row.path}` })));
}

export const DESTINATION_RULE_UNSUPPORTED: readonly UnsupportedField[] = [
  refused('workloadSelector', 'Remove it; the rule then holds for all workloads that see it.'),
  ...inPolicies(
    [
      { path: 'loadBalancer.simple', effect: 'refused', only: ['PASSTHROUGH'], remedy: 'Choose another algorithm.' },
      refused('loadBalancer.localityLbSetting'),
      refused('loadBalancer.zoneAwareLbSetting'),
      refused('loadBalancer.warmup'),
      refused('loadBalancer.warmupDurationSecs'),
      refused('loadBalancer.consistentHash.httpCookie.attributes'),
      refused('loadBalancer.consistentHash.minimumRingSize', 'Use ringHash.minimumRingSize.'),
      refused('connectionPool.http.http2KeepAlive'),
      refused('outlierDetection.outlierDetectionHttpErrorCodes'),
      refused('outlierDetection.consecutiveErrors', 'Use consecutive5xxErrors or consecutiveGatewayErrors.'),
      refused('tls', 'Remove it: mutual TLS within the mesh is automatic.'),
    ],
    true,
  ),
  ...inPolicies([refused('tunnel'), refused('proxyProtocol'), refused('retryBudget')], false),
];
