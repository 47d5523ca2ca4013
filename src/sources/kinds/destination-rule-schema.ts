/** The shape of DestinationRule in Istio's API. https://istio.io/latest/docs/reference/config/networking/destination-rule/ */
import * as z from 'zod/mini';
import { shownValue } from '../../lib/shown-value.ts';
import { duration, exportTo, host, int, labels, nonEmpty, port, token } from '../field-types.ts';
import type { UnsupportedField } from '../unsupported-fields.ts';

/** The whole numbers that Istio's `int32` limits take. */
const count = int(0, 2_147_483_647);
const percent = int(0, 100);

/** A number in a range, fractions included. */
function number(min: number, max: number): z.ZodMiniType<number, number> {
  return z.number().check(
    z.refine((value: number) => value >= min && value <= max, {
      error: ({ input }) => `${shownValue(input)} is not a number from ${min} to ${max}`,
      params: { remedy: `Write a number from ${min} to ${max}.` },
    }),
  );
}

/** Largest prime table that Envoy takes is below this. */
const MAGLEV_LIMIT = 5_000_011;

const consistentHash = z.strictObject({
  httpHeaderName: z.optional(token),
  httpCookie: z.optional(
    z.strictObject({
      name: token,
      path: z.optional(z.string()),
      ttl: z.optional(duration(0)),
      attributes: z.optional(z.array(z.strictObject({ name: token, value: z.optional(z.string()) }))),
    }),
  ),
  useSourceIp: z.optional(z.boolean()),
  httpQueryParameterName: z.optional(nonEmpty),
  ringHash: z.optional(z.strictObject({ minimumRingSize: z.optional(int(0, 8_388_608)) })),
  maglev: z.optional(z.strictObject({ tableSize: z.optional(int(0, MAGLEV_LIMIT - 1)) })),
  minimumRingSize: z.optional(int(0, 8_388_608)),
});

/** Shares of the traffic by locality, and where it goes when the nearest endpoints fail. */
export const localityLbSetting = z.strictObject({
  enabled: z.optional(z.boolean()),
  distribute: z.optional(z.array(z.strictObject({ from: nonEmpty, to: z.record(z.string(), int(1, 100)) }))),
  failover: z.optional(z.array(z.strictObject({ from: nonEmpty, to: nonEmpty }))),
  failoverPriority: z.optional(z.array(nonEmpty)),
});

const loadBalancer = z.strictObject({
  simple: z.optional(z.enum(['UNSPECIFIED', 'ROUND_ROBIN', 'LEAST_REQUEST', 'LEAST_CONN', 'RANDOM', 'PASSTHROUGH'])),
  consistentHash: z.optional(consistentHash),
  localityLbSetting: z.optional(localityLbSetting),
  zoneAwareLbSetting: z.optional(
    z.strictObject({
      enabled: z.optional(z.boolean()),
      routingEnabled: z.optional(percent),
      minClusterSize: z.optional(int()),
      failTrafficOnPanic: z.optional(z.boolean()),
    }),
  ),
  warmup: z.optional(
    z.strictObject({
      duration: duration(),
      minimumPercent: z.optional(number(0, 100)),
      aggression: z.optional(number(1, 1000)),
    }),
  ),
  warmupDurationSecs: z.optional(duration()),
});

/** `tcpKeepalive`, which the mesh configuration has as well. */
export const tcpKeepalive = z.strictObject({
  probes: z.optional(int()),
  time: z.optional(duration()),
  interval: z.optional(duration()),
});

/** `connectionPool`, which the mesh configuration has as well. */
export const connectionPool = z.strictObject({
  tcp: z.optional(
    z.strictObject({
      maxConnections: z.optional(count),
      connectTimeout: z.optional(duration()),
      tcpKeepalive: z.optional(tcpKeepalive),
      maxConnectionDuration: z.optional(duration()),
      idleTimeout: z.optional(duration(0)),
    }),
  ),
  http: z.optional(
    z.strictObject({
      http1MaxPendingRequests: z.optional(count),
      http2MaxRequests: z.optional(count),
      maxRequestsPerConnection: z.optional(count),
      maxRetries: z.optional(count),
      idleTimeout: z.optional(duration(0)),
      h2UpgradePolicy: z.optional(z.enum(['DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE'])),
      useClientProtocol: z.optional(z.boolean()),
      maxConcurrentStreams: z.optional(count),
      http2KeepAlive: z.optional(z.strictObject({ interval: z.optional(duration()), timeout: z.optional(duration()) })),
    }),
  ),
});

/** `outlierDetection`, which the mesh configuration has as well. */
export const outlierDetection = z.strictObject({
  consecutive5xxErrors: z.optional(int()),
  consecutiveGatewayErrors: z.optional(int()),
  interval: z.optional(duration()),
  baseEjectionTime: z.optional(duration()),
  maxEjectionPercent: z.optional(percent),
  alwaysEjectOneHost: z.optional(z.boolean()),
  minHealthPercent: z.optional(percent),
  splitExternalLocalOriginErrors: z.optional(z.boolean()),
  consecutiveLocalOriginFailures: z.optional(int()),
  outlierDetectionHttpErrorCodes: z.optional(z.array(int(200, 599))),
  consecutiveErrors: z.optional(int()),
});

const path = z.optional(z.string());

const tls = z.strictObject({
  mode: z.optional(z.enum(['DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL'])),
  clientCertificate: path,
  privateKey: path,
  caCertificates: path,
  caCrl: path,
  credentialName: z.optional(z.string()),
  subjectAltNames: z.optional(z.array(nonEmpty)),
  sni: z.optional(z.string()),
  insecureSkipVerify: z.optional(z.boolean()),
});

const blocks = {
  loadBalancer: z.optional(loadBalancer),
  connectionPool: z.optional(connectionPool),
  outlierDetection: z.optional(outlierDetection),
  tls: z.optional(tls),
};

const portLevelSettings = z.array(z.strictObject({ port: z.strictObject({ number: port }), ...blocks }));

const trafficPolicy = z.strictObject({
  ...blocks,
  portLevelSettings: z.optional(portLevelSettings),
  tunnel: z.optional(
    z.strictObject({ protocol: z.optional(z.enum(['CONNECT', 'POST'])), targetHost: host, targetPort: port }),
  ),
  proxyProtocol: z.optional(z.strictObject({ version: z.optional(z.enum(['V1', 'V2'])) })),
  retryBudget: z.optional(
    z.strictObject({
      percent: z.optional(number(0, 100)),
      minRetryConcurrency: z.optional(int()),
      budgetInterval: z.optional(duration()),
    }),
  ),
});

export const destinationRuleSchema = z.strictObject({
  host,
  trafficPolicy: z.optional(trafficPolicy),
  subsets: z.optional(
    z.array(z.strictObject({ name: nonEmpty, labels: z.optional(labels), trafficPolicy: z.optional(trafficPolicy) })),
  ),
  exportTo,
  workloadSelector: z.optional(z.strictObject({ matchLabels: z.optional(labels) })),
});

export type DestinationRuleSpec = z.output<typeof destinationRuleSchema>;
export type TrafficPolicySpec = z.output<typeof trafficPolicy>;
export type BlocksSpec = Pick<TrafficPolicySpec, 'loadBalancer' | 'connectionPool' | 'outlierDetection' | 'tls'>;
export type LoadBalancerSpec = z.output<typeof loadBalancer>;
export type LocalitySpec = z.output<typeof localityLbSetting>;
export type ConsistentHashSpec = z.output<typeof consistentHash>;
export type ConnectionPoolSpec = z.output<typeof connectionPool>;
export type TcpKeepaliveSpec = z.output<typeof tcpKeepalive>;
export type OutlierDetectionSpec = z.output<typeof outlierDetection>;
export type ClientTlsSpec = z.output<typeof tls>;

/** In every place in which a load balancer may stand. */
export const DESTINATION_RULE_UNSUPPORTED: readonly UnsupportedField[] = ['trafficPolicy', 'subsets[].trafficPolicy']
  .flatMap((place) => [place, `${place}.portLevelSettings[]`])
  .map((place) => ({
    path: `${place}.loadBalancer.zoneAwareLbSetting`,
    effect: 'refused',
    remedy:
      'Use localityLbSetting: Envoy routes by zones only if it knows the instances of its own service, and a host has several.',
  }));
