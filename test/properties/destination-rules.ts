/** DestinationRules at random. Valid but for a few. */
import * as fc from 'fast-check';
import { some } from '../traffic/odd-routes.ts';
import { aDuration, aFile, aPort, aSelector, aWrittenHost, exportTo, SUBSETS } from './words.ts';

const count = fc.constantFrom(0, 1, 100, 2_147_483_647);

const loadBalancer = fc.oneof(
  fc.constantFrom('UNSPECIFIED', 'ROUND_ROBIN', 'LEAST_REQUEST', 'RANDOM', 'PASSTHROUGH').map((simple) => ({ simple })),
  fc
    .tuple(
      fc.constantFrom(
        { httpHeaderName: 'x-user' },
        { useSourceIp: true },
        { httpQueryParameterName: 'q' },
        { httpCookie: { name: 'c', ttl: '0s' } },
        { httpCookie: { name: 'c', path: '/', ttl: '1h' } },
      ),
      some({ ringHash: fc.constantFrom({ minimumRingSize: 0 }, { minimumRingSize: 4096 }) }),
    )
    .map(([by, ring]) => ({ consistentHash: { ...by, ...ring } })),
  fc.constant({ consistentHash: { useSourceIp: true, maglev: { tableSize: 65_537 } } }),
  fc.constantFrom(
    { localityLbSetting: { failover: [{ from: 'eu', to: 'us' }] } },
    { localityLbSetting: { enabled: false } },
    { localityLbSetting: { failoverPriority: ['version', 'app=a'] } },
    { localityLbSetting: { distribute: [{ from: 'eu/*', to: { 'eu/a/*': 70, 'us/*': 30 } }] } },
  ),
  fc.record({
    simple: fc.constant('ROUND_ROBIN'),
    warmup: fc.record({ duration: aDuration, aggression: fc.constantFrom(1, 2.5) }),
  }),
);

const connectionPool = some({
  tcp: some({
    maxConnections: count,
    connectTimeout: aDuration,
    maxConnectionDuration: aDuration,
    idleTimeout: fc.constantFrom('0s', '1h'),
    tcpKeepalive: some({ probes: fc.constantFrom(0, 3), time: aDuration, interval: aDuration }),
  }),
  http: some({
    http1MaxPendingRequests: count,
    http2MaxRequests: count,
    maxRequestsPerConnection: count,
    maxRetries: count,
    idleTimeout: fc.constantFrom('0s', '1h'),
    h2UpgradePolicy: fc.constantFrom('DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE'),
    maxConcurrentStreams: count,
    http2KeepAlive: some({ interval: aDuration, timeout: aDuration }),
  }),
});

const outlierDetection = some({
  consecutive5xxErrors: fc.constantFrom(0, 5),
  consecutiveGatewayErrors: fc.constantFrom(0, 5),
  interval: aDuration,
  baseEjectionTime: aDuration,
  maxEjectionPercent: fc.constantFrom(0, 100),
  minHealthPercent: fc.constantFrom(0, 50),
  splitExternalLocalOriginErrors: fc.boolean(),
  outlierDetectionHttpErrorCodes: fc.constant([429]),
});

const tls = fc.oneof(
  fc.constantFrom({ mode: 'DISABLE' }, { mode: 'ISTIO_MUTUAL' }, { mode: 'SIMPLE', insecureSkipVerify: true }),
  fc
    .tuple(
      aFile,
      some({
        sni: fc.constantFrom('front.example.com', 'other'),
        subjectAltNames: fc.constant(['a.example.com', 'spiffe://x/ns/a/sa/b']),
        caCrl: fc.constant('/etc/files/crl.pem'),
      }),
    )
    .map(([caCertificates, rest]) => ({ mode: 'SIMPLE', caCertificates, ...rest })),
  fc.record({
    mode: fc.constant('MUTUAL'),
    clientCertificate: aFile,
    privateKey: fc.constant('/etc/files/tls.key'),
    caCertificates: aFile,
  }),
  fc.constant({ mode: 'SIMPLE', credentialName: 'upstream' }),
);

const blocks = { loadBalancer, connectionPool, outlierDetection, tls };
const policy = some({
  ...blocks,
  portLevelSettings: fc.uniqueArray(
    fc.tuple(aPort, some(blocks)).map(([number, rest]) => ({ port: { number }, ...rest })),
    { selector: ({ port }) => port.number, minLength: 1, maxLength: 2 },
  ),
  retryBudget: some({ percent: fc.constantFrom(0, 25.5, 100), minRetryConcurrency: fc.constantFrom(0, 4) }),
});
const transport = fc.oneof(
  { weight: 6, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: fc.constantFrom('V1', 'V2').map((version) => ({ proxyProtocol: { version } })) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('CONNECT', 'POST')
      .map((protocol) => ({ tunnel: { protocol, targetHost: 'db.example.com', targetPort: 5432 } })),
  },
);
const trafficPolicy = fc.tuple(policy, transport).map(([rest, by]) => ({ ...rest, ...by }));

const subsets = fc
  .subarray([...SUBSETS])
  .chain((names) =>
    fc.tuple(
      ...names.map((name) => some({ trafficPolicy }).map((rest) => ({ name, labels: { version: name }, ...rest }))),
    ),
  );

/** `spec` of a DestinationRule. */
export const destinationRule: fc.Arbitrary<object> = fc
  .tuple(
    aWrittenHost,
    some({ trafficPolicy }),
    subsets,
    fc.oneof(
      { weight: 3, arbitrary: some({ exportTo }) },
      {
        weight: 1,
        arbitrary: aSelector.map((matchLabels) => ({ workloadSelector: { matchLabels }, exportTo: ['.'] })),
      },
    ),
  )
  .map(([host, rest, all, scope]) => ({ host, ...rest, ...(all.length > 0 && { subsets: all }), ...scope }));
