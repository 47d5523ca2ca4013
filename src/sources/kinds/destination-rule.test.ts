import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDiagnostic } from '../../model/diagnostic.ts';
import { parseResources } from '../resource-reader.ts';

const HEAD = 'apiVersion: networking.istio.io/v1beta1\nkind: DestinationRule\nmetadata: {name: a}\nspec:\n  host: b\n';

function complaints(spec: string): readonly string[] {
  const { diagnostics } = parseResources([{ file: 'a.yaml', text: HEAD + spec }]);
  return diagnostics.map((diagnostic) =>
    formatDiagnostic(diagnostic)
      .replace('DestinationRule default/a ', '')
      .replace(' (the resource is not applied)', '')
      .replace(/^a\.yaml:/, ''),
  );
}

const NO_BLOCKS = { loadBalancer: undefined, connectionPool: undefined, outlierDetection: undefined };

test('everything that is supported', () => {
  const { destinationRules, diagnostics } = parseResources([
    {
      file: 'a.yaml',
      text: `${HEAD}
  exportTo: [.]
  trafficPolicy:
    loadBalancer:
      consistentHash:
        httpCookie: {name: user, path: /, ttl: 0s}
        maglev: {tableSize: 65537}
    connectionPool:
      tcp:
        maxConnections: 0
        connectTimeout: 200ms
        tcpKeepalive: {probes: 3, time: 10s, interval: 5s}
        maxConnectionDuration: 1h
        idleTimeout: 0s
      http: {http1MaxPendingRequests: 10, http2_max_requests: 20, maxRequestsPerConnection: 1, maxRetries: 4,
             idleTimeout: 1m, h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 5}
    outlierDetection: {consecutive5xxErrors: 0, consecutiveGatewayErrors: 3, interval: 1s, baseEjectionTime: 2s,
      maxEjectionPercent: 50, alwaysEjectOneHost: true, minHealthPercent: 10, splitExternalLocalOriginErrors: true,
      consecutiveLocalOriginFailures: 2}
    portLevelSettings:
    - port: {number: 80}
      loadBalancer: {simple: ROUND_ROBIN}
  subsets:
  - name: v1
    labels: {version: v1, my_label: x}
    trafficPolicy: {loadBalancer: {simple: UNSPECIFIED}}
  - name: all
`,
    },
  ]);
  assert.deepEqual(diagnostics, []);
  const [rule] = destinationRules;
  assert.deepEqual(rule?.trafficPolicy, {
    loadBalancer: {
      kind: 'consistentHash',
      hash: {
        key: { kind: 'cookie', name: 'user', path: '/', ttlMs: 0 },
        algorithm: { kind: 'maglev', tableSize: 65_537 },
      },
    },
    connectionPool: {
      maxConnections: undefined,
      connectTimeoutMs: 200,
      tcpKeepalive: { probes: 3, timeMs: 10_000, intervalMs: 5000 },
      maxConnectionDurationMs: 3_600_000,
      tcpIdleTimeoutMs: 0,
      http1MaxPendingRequests: 10,
      http2MaxRequests: 20,
      maxRequestsPerConnection: 1,
      maxRetries: 4,
      httpIdleTimeoutMs: 60_000,
      h2UpgradePolicy: 'UPGRADE',
      useClientProtocol: false,
      maxConcurrentStreams: 5,
    },
    outlierDetection: {
      consecutive5xxErrors: 0,
      consecutiveGatewayErrors: 3,
      intervalMs: 1000,
      baseEjectionTimeMs: 2000,
      maxEjectionPercent: 50,
      alwaysEjectOneHost: true,
      minHealthPercent: 10,
      splitExternalLocalOriginErrors: true,
      consecutiveLocalOriginFailures: 2,
    },
    portLevelSettings: [{ ...NO_BLOCKS, port: 80, loadBalancer: { kind: 'simple', simple: 'ROUND_ROBIN' } }],
  });
  assert.deepEqual(rule.subsets, [
    {
      name: 'v1',
      labels: { version: 'v1', my_label: 'x' },
      trafficPolicy: { ...NO_BLOCKS, portLevelSettings: [] },
    },
    { name: 'all', labels: {}, trafficPolicy: undefined },
  ]);
  assert.deepEqual(rule.exportTo, ['.']);
});

test('a deprecated value works, with a warning', () => {
  const text = `${HEAD}  trafficPolicy: {loadBalancer: {simple: LEAST_CONN}}\n`;
  const { destinationRules, diagnostics } = parseResources([{ file: 'a.yaml', text }]);
  assert.deepEqual(destinationRules[0]?.trafficPolicy?.loadBalancer, { kind: 'simple', simple: 'LEAST_REQUEST' });
  assert.deepEqual(
    diagnostics.map(({ code, severity, source }) => [code, severity, source?.line]),
    [['IST0002', 'warning', 6]],
  );
});

const HASH_REMEDY = 'Write one of httpHeaderName, httpCookie, useSourceIp: true and httpQueryParameterName.';

const bad: readonly (readonly [string, string, string])[] = [
  [
    'a percentage above 100',
    '  trafficPolicy:\n    outlierDetection:\n      maxEjectionPercent: 120\n',
    '8: error IST0106 spec.trafficPolicy.outlierDetection.maxEjectionPercent: 120 is not a whole number from 0 to 100. Write a whole number from 0 to 100.',
  ],
  [
    'a hash of nothing',
    '  trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: false}}}\n',
    `6: error IST0106 spec.trafficPolicy.loadBalancer.consistentHash: does not say what to hash. ${HASH_REMEDY}`,
  ],
  [
    'a hash of two things',
    '  trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, httpHeaderName: x}}}\n',
    `6: error IST0106 spec.trafficPolicy.loadBalancer.consistentHash: says more than one thing to hash. ${HASH_REMEDY}`,
  ],
  [
    'a table size that is not prime',
    '  trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 65536}}}}\n',
    '6: error IST0106 spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize: 65536 is not a prime number. Use a prime such as 65537.',
  ],
  [
    'a hash of a header that no request can have',
    '  trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: "a: b"}}}\n',
    '6: error IST0106 spec.trafficPolicy.loadBalancer.consistentHash.httpHeaderName: "a: b" is not the name of a header or cookie. Use letters, digits and "-".',
  ],
  [
    'two algorithms',
    '  trafficPolicy: {loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}}\n',
    '6: error IST0106 spec.trafficPolicy.loadBalancer: has both simple and consistentHash. Keep one.',
  ],
  [
    'two HTTP versions',
    '  trafficPolicy: {connectionPool: {http: {useClientProtocol: true, h2UpgradePolicy: UPGRADE}}}\n',
    '6: error IST0106 spec.trafficPolicy.connectionPool.http: useClientProtocol and h2UpgradePolicy: UPGRADE exclude each other. Keep one.',
  ],
  [
    'two settings of one port',
    '  trafficPolicy:\n    portLevelSettings:\n    - port: {number: 80}\n    - port: {number: 80}\n',
    '9: error IST0106 spec.trafficPolicy.portLevelSettings[1].port.number: port 80 has settings already. Join the two.',
  ],
  [
    'two subsets of one name',
    '  subsets:\n  - name: v1\n  - name: v1\n',
    '8: error IST0106 spec.subsets[1].name: subset "v1" stands here twice. Rename or remove one.',
  ],
  [
    'a subset name that would break the name of a cluster',
    '  subsets: [{name: "a|b"}]\n',
    '6: error IST0106 spec.subsets[0].name: "a|b" is not a name. Use letters, digits, "-", "_" and ".".',
  ],
  [
    'an unsupported value of a port of a subset',
    '  subsets:\n  - name: v1\n    trafficPolicy:\n      portLevelSettings:\n      - port: {number: 80}\n        loadBalancer: {simple: PASSTHROUGH}\n',
    '11: error TRY0003 spec.subsets[0].trafficPolicy.portLevelSettings[0].loadBalancer.simple: "simple" with the value "PASSTHROUGH" is part of Istio\'s API and not supported yet. Choose another algorithm.',
  ],
];

for (const [what, spec, expected] of bad)
  test(`a DestinationRule with ${what}`, () => assert.deepEqual(complaints(spec), [expected]));

const REFUSED = [
  '{tls: {mode: ISTIO_MUTUAL}}',
  '{tunnel: {targetHost: a}}',
  '{proxyProtocol: {version: V1}}',
  '{retryBudget: {percent: 5}}',
  '{loadBalancer: {simple: RANDOM, localityLbSetting: {enabled: true}}}',
  '{loadBalancer: {warmup: {duration: 1s}}}',
  '{loadBalancer: {warmup_duration_secs: 1s}}',
  '{loadBalancer: {consistentHash: {useSourceIp: true, minimumRingSize: 5}}}',
  '{connectionPool: {http: {http2KeepAlive: {interval: 1s}}}}',
  '{outlierDetection: {consecutiveErrors: 5}}',
];

for (const policy of REFUSED)
  test(`the policy ${policy} is refused as not supported, in a rule and in a subset`, () => {
    for (const place of [`  trafficPolicy: ${policy}\n`, `  subsets: [{name: x, trafficPolicy: ${policy}}]\n`]) {
      const found = complaints(place);
      assert.equal(found.length, 1, found.join('\n'));
      assert.match(found[0] ?? '', /^6: error TRY0003 spec\..*trafficPolicy\./);
    }
  });
