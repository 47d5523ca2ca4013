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
      trafficPolicy: {
        ...NO_BLOCKS,
        loadBalancer: { kind: 'simple', simple: 'LEAST_REQUEST' },
        portLevelSettings: [],
      },
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
    '  trafficPolicy:\n    portLevelSettings:\n    - port: {number: 80}\n      tls: {}\n    - port: {number: 80}\n      tls: {}\n',
    '10: error IST0106 spec.trafficPolicy.portLevelSettings[1].port.number: port 80 has settings already. Join the two.',
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
    'a table size that Envoy does not take',
    '  trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 5000011}}}}\n',
    '6: error IST0106 spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize: 5000011 is not a whole number from 0 to 5000010. Write a whole number from 0 to 5000010.',
  ],
  [
    'shares that do not total 100',
    '  trafficPolicy: {loadBalancer: {localityLbSetting: {distribute: [{from: a/b/*, to: {a/b/*: 70, c/*: 20}}]}}}\n',
    '6: error IST0106 spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to: the shares total 90. Make them total 100.',
  ],
  [
    'shares of one locality twice',
    '  trafficPolicy: {loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {b/*: 70, b/c/*: 30}}]}}}\n',
    '6: error IST0106 spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to: "b/c/*" and "b/*" cover the same localities. Name each locality once.',
  ],
  [
    'distribute with failover',
    '  trafficPolicy: {outlierDetection: {}, loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {b: 100}}], failover: [{from: a, to: b}]}}}\n',
    '6: error IST0106 spec.trafficPolicy.loadBalancer.localityLbSetting: has both distribute and failover. Keep one: distribute says where all traffic goes.',
  ],
  [
    'a failover to itself',
    '  trafficPolicy: {outlierDetection: {}, loadBalancer: {localityLbSetting: {failover: [{from: a, to: a}]}}}\n',
    '6: error IST0106 spec.trafficPolicy.loadBalancer.localityLbSetting.failover[0]: fails over from "a" to itself. Name another region.',
  ],
  [
    'a failover that is no region',
    '  trafficPolicy: {outlierDetection: {}, loadBalancer: {localityLbSetting: {failover: [{from: a/b, to: c}]}}}\n',
    '6: error IST0106 spec.trafficPolicy.loadBalancer.localityLbSetting.failover[0]: "a/b" or "c" is not a region. Write names of regions, without "/" and "*".',
  ],
  [
    'a tunnel with the PROXY protocol',
    '  trafficPolicy: {tunnel: {targetHost: a, targetPort: 1}, proxyProtocol: {version: V2}}\n',
    '6: error IST0106 spec.trafficPolicy: has both tunnel and proxyProtocol. Keep one.',
  ],
  [
    'mutual TLS without a key',
    '  trafficPolicy: {tls: {mode: MUTUAL, clientCertificate: /a.pem}}\n',
    '6: error IST0106 spec.trafficPolicy.tls: mode MUTUAL needs privateKey. Write privateKey, or credentialName.',
  ],
  [
    'a credential beside files',
    '  trafficPolicy: {tls: {mode: SIMPLE, credentialName: a, caCertificates: /a.pem}}\n',
    '6: error IST0106 spec.trafficPolicy.tls: has both credentialName and caCertificates. Keep credentialName, or the files.',
  ],
  [
    'a credential outside of its folder',
    '  trafficPolicy: {tls: {mode: SIMPLE, credentialName: ../a}}\n',
    '6: error IST0106 spec.trafficPolicy.tls.credentialName: "../a" is not a name. Write the name of a folder.',
  ],
  [
    'a path that begins nowhere',
    '  trafficPolicy: {tls: {mode: SIMPLE, caCertificates: a.pem}}\n',
    '6: error IST0106 spec.trafficPolicy.tls.caCertificates: "a.pem" is not an absolute path. Write a path that begins with "/".',
  ],
  [
    'verification and none',
    '  trafficPolicy: {tls: {mode: SIMPLE, insecureSkipVerify: true, subjectAltNames: [a]}}\n',
    '6: error IST0106 spec.trafficPolicy.tls: has both insecureSkipVerify and subjectAltNames. Remove insecureSkipVerify.',
  ],
  [
    'a selector in a rule for others',
    '  workloadSelector: {matchLabels: {app: a}}\n  exportTo: ["*"]\n',
    '7: error IST0106 spec.exportTo: a rule with a workloadSelector can be for its own namespace only. Write exportTo: ["."].',
  ],
  [
    'pings without an interval',
    '  trafficPolicy: {connectionPool: {http: {http2KeepAlive: {timeout: 1s}}}}\n',
    '6: error IST0106 spec.trafficPolicy.connectionPool.http.http2KeepAlive: does not say how often to ask. Write interval.',
  ],
  [
    'a tunnel to a wildcard',
    '  trafficPolicy: {tunnel: {targetHost: "*.a.com", targetPort: 443}}\n',
    '6: error IST0106 spec.trafficPolicy.tunnel.targetHost: "*.a.com" is no single host. Write one name or address.',
  ],
  [
    'a warm-up that slows down',
    '  trafficPolicy: {loadBalancer: {warmup: {duration: 1s, aggression: 0.5}}}\n',
    '6: error IST0106 spec.trafficPolicy.loadBalancer.warmup.aggression: 0.5 is not a number from 1 to 1000. Write a number from 1 to 1000.',
  ],
  [
    'zones, in a port of a subset',
    '  subsets:\n  - name: v1\n    trafficPolicy:\n      portLevelSettings:\n      - port: {number: 80}\n        loadBalancer: {zoneAwareLbSetting: {enabled: true}}\n',
    '11: error TRY0003 spec.subsets[0].trafficPolicy.portLevelSettings[0].loadBalancer.zoneAwareLbSetting: "zoneAwareLbSetting" is part of Istio\'s API and not supported yet. Use localityLbSetting: Envoy routes by zones only if it knows the instances of its own service, and a host has several.',
  ],
];

for (const [what, spec, expected] of bad)
  test(`a DestinationRule with ${what}`, () => assert.deepEqual(complaints(spec), [expected]));

/** What works, with a warning: the policy, the warning's code and path, and what the model has. */
const WARNED: readonly (readonly [string, string, string, unknown])[] = [
  [
    '{loadBalancer: {warmupDurationSecs: 30s}}',
    'IST0002',
    'loadBalancer.warmupDurationSecs',
    {
      loadBalancer: {
        kind: 'simple',
        simple: 'LEAST_REQUEST',
        warmup: { durationMs: 30_000, minimumPercent: 10, aggression: 1 },
      },
    },
  ],
  [
    '{loadBalancer: {consistentHash: {useSourceIp: true, minimumRingSize: 5}}}',
    'IST0002',
    'loadBalancer.consistentHash.minimumRingSize',
    {
      loadBalancer: {
        kind: 'consistentHash',
        hash: { key: { kind: 'sourceIp' }, algorithm: { kind: 'ringHash', minimumRingSize: 5 } },
      },
    },
  ],
  [
    '{loadBalancer: {simple: RANDOM, warmup: {duration: 1s}}}',
    'TRY0005',
    'loadBalancer.warmup',
    {
      loadBalancer: {
        kind: 'simple',
        simple: 'RANDOM',
        warmup: { durationMs: 1000, minimumPercent: 10, aggression: 1 },
      },
    },
  ],
  [
    '{loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}}',
    'TRY0005',
    'loadBalancer.localityLbSetting',
    {
      loadBalancer: {
        kind: 'simple',
        simple: 'LEAST_REQUEST',
        locality: { enabled: true, distribute: [], failover: [{ from: 'a', to: 'b' }], failoverPriority: [] },
      },
    },
  ],
  [
    '{tls: {mode: ISTIO_MUTUAL, caCertificates: /a.pem}}',
    'TRY0005',
    'tls.caCertificates',
    { tls: { mode: 'ISTIO_MUTUAL', subjectAltNames: [], insecureSkipVerify: false } },
  ],
];

for (const [policy, code, at, expected] of WARNED)
  test(`the policy ${policy} holds, with a warning`, () => {
    const text = `${HEAD}  trafficPolicy: ${policy}\n`;
    const { destinationRules, diagnostics } = parseResources([{ file: 'a.yaml', text }]);
    assert.deepEqual(
      diagnostics.map((diagnostic) => [diagnostic.code, diagnostic.severity, diagnostic.path]),
      [[code, 'warning', `spec.trafficPolicy.${at}`]],
    );
    assert.deepEqual(destinationRules[0]?.trafficPolicy, {
      ...NO_BLOCKS,
      portLevelSettings: [],
      ...(expected as object),
    });
  });

test('the deprecated consecutiveErrors counts errors of gateways alone', () => {
  const text = `${HEAD}  trafficPolicy: {outlierDetection: {consecutiveErrors: 7}}\n`;
  const { destinationRules, diagnostics } = parseResources([{ file: 'a.yaml', text }]);
  const outlier = destinationRules[0]?.trafficPolicy?.outlierDetection;
  assert.deepEqual([outlier?.consecutive5xxErrors, outlier?.consecutiveGatewayErrors], [0, 7]);
  assert.deepEqual(
    diagnostics.map(({ code }) => code),
    ['IST0002'],
  );
});

/** What is read without a complaint, as the model has it. */
const READ: readonly (readonly [string, unknown])[] = [
  ['{loadBalancer: {simple: PASSTHROUGH}}', { loadBalancer: { kind: 'simple', simple: 'PASSTHROUGH' } }],
  [
    '{tunnel: {targetHost: a.b, targetPort: 443}}',
    { tunnel: { protocol: 'CONNECT', targetHost: 'a.b', targetPort: 443 } },
  ],
  ['{proxyProtocol: {version: V2}}', { proxyProtocol: 'V2' }],
  ['{retryBudget: {}}', { retryBudget: { percent: 20, minRetryConcurrency: 3 } }],
  [
    '{retryBudget: {percent: 12.5, minRetryConcurrency: 0, budgetInterval: 1s}}',
    { retryBudget: { percent: 12.5, minRetryConcurrency: 0, budgetIntervalMs: 1000 } },
  ],
  [
    '{tls: {mode: MUTUAL, clientCertificate: /c.pem, privateKey: /k.pem, caCertificates: /r.pem, caCrl: /l.pem, sni: s, subjectAltNames: [n]}}',
    {
      tls: {
        mode: 'MUTUAL',
        clientCertificate: '/c.pem',
        privateKey: '/k.pem',
        caCertificates: '/r.pem',
        caCrl: '/l.pem',
        subjectAltNames: ['n'],
        sni: 's',
        insecureSkipVerify: false,
      },
    },
  ],
  [
    '{loadBalancer: {localityLbSetting: {enabled: false}, warmup: {duration: 2s, minimumPercent: 5, aggression: 1.5}}}',
    {
      loadBalancer: {
        kind: 'simple',
        simple: 'LEAST_REQUEST',
        locality: { enabled: false, distribute: [], failover: [], failoverPriority: [] },
        warmup: { durationMs: 2000, minimumPercent: 5, aggression: 1.5 },
      },
    },
  ],
];

for (const [policy, expected] of READ)
  test(`the policy ${policy}`, () => {
    const text = `${HEAD}  trafficPolicy: ${policy}\n`;
    const { destinationRules, diagnostics } = parseResources([{ file: 'a.yaml', text }]);
    assert.deepEqual(diagnostics, []);
    assert.deepEqual(destinationRules[0]?.trafficPolicy, {
      ...NO_BLOCKS,
      portLevelSettings: [],
      ...(expected as object),
    });
  });

test('a rule for workloads with labels', () => {
  const text = `${HEAD}  workloadSelector: {matchLabels: {app: web}}\n  exportTo: [default]\n`;
  const { destinationRules, diagnostics } = parseResources([{ file: 'a.yaml', text }]);
  assert.deepEqual(diagnostics, []);
  assert.deepEqual(destinationRules[0]?.workloadSelector, { app: 'web' });
});
