import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatDiagnostic } from '../model/diagnostic.ts';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { parseMeshConfig } from './mesh-config.ts';
import { MESH_CONFIG_UNSUPPORTED } from './mesh-config-schema.ts';
import { DEFAULT_CONFIG_WITHOUT_EFFECT } from './mesh-config-without-effect.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

test('an empty file is the defaults', () => {
  for (const text of ['', '# nothing\n', '{}', '---\n'])
    assert.deepEqual(parseMeshConfig(text, 'm.yaml'), { config: DEFAULT_MESH_CONFIG, diagnostics: [] });
});

test('every field', () => {
  const { config, diagnostics } = parseMeshConfig(
    `trustDomain: example.org
trust_domain_aliases: [old.example.org]
rootNamespace: mesh
serviceHosts: ['{service}.{namespace}.internal', '{consulName}.service.consul']
enableAutoMtls: false
connectTimeout: 1.5s
accessLogFile: /dev/stdout
catalogue: {sentinelService: here, massCriticalShare: 0.5, hold: 0s}
outboundTrafficPolicy: {mode: REGISTRY_ONLY}
localityLbSetting: {failover: [{from: a, to: b}]}
defaultServiceExportTo: ["."]
defaultVirtualServiceExportTo: [a, b]
defaultDestinationRuleExportTo: ["*"]
defaultHttpRetryPolicy: {attempts: 5, retryOn: 5xx}
defaultTrafficPolicy: {outlierDetection: {consecutive5xxErrors: 3}}
tcpKeepalive: {time: 1m, probes: 2}
dnsRefreshRate: 5s
protocolDetectionTimeout: 0s
h2UpgradePolicy: UPGRADE
pathNormalization: {normalization: MERGE_SLASHES}
accessLogEncoding: JSON
disableEnvoyListenerLog: true
accessLogFormat: '{"code": "%RESPONSE_CODE%"}'
meshMTLS: {minProtocolVersion: TLSV1_3, ecdhCurves: [P-256]}
tlsDefaults: {minProtocolVersion: TLS_AUTO, cipherSuites: [AES128-GCM-SHA256]}
verifyCertificateAtClient: false
inboundClusterStatName: '%SERVICE%'
outboundClusterStatName: '%SERVICE_FQDN%_%SUBSET_NAME%'
defaultConfig:
  concurrency: 3
  gatewayTopology: {numTrustedProxies: 2, forwardClientCertDetails: SANITIZE, proxyProtocol: {}}
envoyFilters: {namespaces: [istio-system]}
`,
    'm.yaml',
  );
  assert.deepEqual(diagnostics, []);
  assert.deepEqual(config, {
    trustDomain: 'example.org',
    trustDomainAliases: ['old.example.org'],
    rootNamespace: 'mesh',
    serviceHosts: ['{service}.{namespace}.internal', '{consulName}.service.consul'],
    enableAutoMtls: false,
    connectTimeoutMs: 1500,
    accessLogFile: '/dev/stdout',
    catalogue: { sentinelService: 'here', massCriticalShare: 0.5, holdMs: 0 },
    outboundTrafficPolicy: 'REGISTRY_ONLY',
    localityLbSetting: { enabled: true, distribute: [], failover: [{ from: 'a', to: 'b' }], failoverPriority: [] },
    defaultServiceExportTo: ['.'],
    defaultVirtualServiceExportTo: ['a', 'b'],
    defaultDestinationRuleExportTo: ['*'],
    defaultHttpRetryPolicy: {
      attempts: 5,
      perTryTimeoutMs: undefined,
      retryOn: '5xx',
      retryRemoteLocalities: false,
      retryIgnorePreviousHosts: undefined,
      backoffMs: undefined,
    },
    defaultTrafficPolicy: {
      connectionPool: undefined,
      outlierDetection: {
        consecutive5xxErrors: 3,
        consecutiveGatewayErrors: undefined,
        intervalMs: undefined,
        baseEjectionTimeMs: undefined,
        maxEjectionPercent: undefined,
        alwaysEjectOneHost: false,
        minHealthPercent: undefined,
        splitExternalLocalOriginErrors: false,
        consecutiveLocalOriginFailures: undefined,
      },
    },
    tcpKeepalive: { probes: 2, timeMs: 60_000, intervalMs: undefined },
    dnsRefreshRateMs: 5000,
    protocolDetectionTimeoutMs: 0,
    h2UpgradePolicy: 'UPGRADE',
    pathNormalization: 'MERGE_SLASHES',
    accessLogFormat: { text: '{"code": "%RESPONSE_CODE%"}', json: { code: '%RESPONSE_CODE%' } },
    accessLogEncoding: 'JSON',
    disableEnvoyListenerLog: true,
    meshMtls: { minVersion: 'TLSV1_3', cipherSuites: [], ecdhCurves: ['P-256'] },
    tlsDefaults: { cipherSuites: ['AES128-GCM-SHA256'], ecdhCurves: [] },
    verifyCertificateAtClient: false,
    inboundClusterStatName: '%SERVICE%',
    outboundClusterStatName: '%SERVICE_FQDN%_%SUBSET_NAME%',
    gatewayTopology: { trustedHops: 2, forwardedCertificate: 'SANITIZE', proxyProtocol: true },
    concurrency: 3,
    envoyFilterNamespaces: ['istio-system'],
  });
});

test('an empty path of the access log is none, as in Istio', () => {
  assert.equal(parseMeshConfig('accessLogFile: ""\n', 'm.yaml').config?.accessLogFile, undefined);
});

test("fields of Istio's MeshConfig without effect are warnings, each with its reason; the others hold", () => {
  const { config, diagnostics } = parseMeshConfig(
    'trustDomain: a.b\nenableTracing: true\ningress_class: istio\n',
    'm.yaml',
  );
  assert.equal(config?.trustDomain, 'a.b');
  assert.deepEqual(diagnostics.map(formatDiagnostic), [
    'm.yaml:2: warning TRY0003 MeshConfig enableTracing: "enableTracing" is part of Istio\'s MeshConfig and has no effect here. Remove it: tracing is not supported yet.',
    'm.yaml:3: warning TRY0003 MeshConfig ingressClass: "ingressClass" is part of Istio\'s MeshConfig and has no effect here. Remove it: it speaks of Kubernetes.',
  ]);
  for (const name of MESH_CONFIG_UNSUPPORTED)
    assert.deepEqual(
      parseMeshConfig(`${name}: 1\n`, 'm.yaml').diagnostics.map(({ code }) => code),
      ['TRY0003'],
      name,
    );
});

const bad: readonly (readonly [string, string])[] = [
  [
    '\ntrustDomian: x\n',
    'm.yaml:2: error IST0106 MeshConfig trustDomian: unknown key "trustDomian". Did you mean "trustDomain"?',
  ],
  [
    'trustDomain: A/b\n',
    'm.yaml:1: error IST0106 MeshConfig trustDomain: "A/b" is not a trust domain. Use lower-case letters, digits, ".", "-" and "_", as in mesh.example.com.',
  ],
  [
    'connectTimeout: 10\n',
    'm.yaml:1: error IST0106 MeshConfig connectTimeout: 10 is not a duration. Write a number and a unit, such as "1.5s".',
  ],
  [
    'connectTimeout: 0s\n',
    'm.yaml:1: error IST0106 MeshConfig connectTimeout: "0s" is less than 1ms. Leave the field out, or write 1ms or more.',
  ],
  [
    'serviceHosts: []\n',
    'm.yaml:1: error IST0106 MeshConfig serviceHosts: is empty or names a template twice. List each template once, the canonical one first.',
  ],
  [
    'serviceHosts:\n- "{srevice}.mesh"\n',
    'm.yaml:2: error IST0106 MeshConfig serviceHosts[0]: "{srevice}.mesh" is not a template of host names. Write a DNS name with {service} and {namespace}, or with {consulName}.',
  ],
  [
    'catalogue:\n  massCriticalShare: 70\n',
    'm.yaml:2: error IST0106 MeshConfig catalogue.massCriticalShare: 70 is not a share. Write a number above 0, at most 1.',
  ],
  [
    'enableAutoMtls: "no"\n',
    'm.yaml:1: error IST0106 MeshConfig enableAutoMtls: "no" (a string) is not a boolean. Write true or false, without quotes.',
  ],
  [
    'defaultConfig: {concurency: 1}\n',
    'm.yaml:1: error IST0106 MeshConfig defaultConfig.concurency: unknown key "concurency". Did you mean "concurrency"?',
  ],
  [
    "outboundClusterStatName: '%SERVICE%_%PORT%'\n",
    'm.yaml:1: error IST0106 MeshConfig outboundClusterStatName: "%PORT%" is none of %SERVICE%, %SERVICE_NAME%, %SERVICE_FQDN%, %SERVICE_PORT%, %SERVICE_PORT_NAME%, %TARGET_PORT%, %SUBSET_NAME%. Write a name with %SERVICE%, %SERVICE_FQDN%, %SERVICE_PORT% and the like.',
  ],
  [
    'inboundClusterStatName: a;b\n',
    'm.yaml:1: error IST0106 MeshConfig inboundClusterStatName: has ";", which no name of statistics may have. Write a name with %SERVICE%, %SERVICE_FQDN%, %SERVICE_PORT% and the like.',
  ],
  [
    'meshMTLS: {minProtocolVersion: TLSV1_1}\n',
    'm.yaml:1: error IST0106 MeshConfig meshMTLS.minProtocolVersion: "TLSV1_1" is not one of the values. Did you mean "TLSV1_2"? Use one of: TLS_AUTO, TLSV1_2, TLSV1_3.',
  ],
  ['{}\n---\ntrustDomain: x\n', 'm.yaml:3: error IST0106 MeshConfig: a second document. Keep one document.'],
  ['- a\n', 'm.yaml:1: error IST0106 MeshConfig: the document is a list, not a mapping. Write a mapping.'],
];

for (const [text, expected] of bad)
  test(`meshconfig.yaml with ${JSON.stringify(text)} has no configuration`, () => {
    const { config, diagnostics } = parseMeshConfig(text, 'm.yaml');
    assert.equal(config, undefined);
    assert.deepEqual(diagnostics.map(formatDiagnostic), [expected]);
  });

test('a syntax error has its line', () => {
  const { config, diagnostics } = parseMeshConfig('trustDomain: a\nx: [\n', 'm.yaml');
  assert.equal(config, undefined);
  assert.equal(diagnostics[0]?.code, 'TRY0001');
});

test('whatever the text, there is a configuration or a reason', () => {
  const line = fc.tuple(fc.constantFrom('trustDomain', 'serviceHosts', 'catalogue', 'connectTimeout', 'x'), fc.json());
  fc.assert(
    fc.property(fc.array(line, { maxLength: 3 }), (lines) => {
      const text = lines.map(([key, value]) => `${key}: ${value}`).join('\n');
      const { config, diagnostics } = parseMeshConfig(text, 'm.yaml');
      assert.ok(config !== undefined || diagnostics.some(({ severity }) => severity === 'error'));
    }),
  );
});

test("a proxy's settings that have no effect are warnings, each", () => {
  const text = 'defaultConfig:\n  concurrency: 1\n  discoveryAddress: a:1\n';
  const { config, diagnostics } = parseMeshConfig(text, 'm.yaml');
  assert.equal(config?.concurrency, 1);
  assert.deepEqual(diagnostics.map(formatDiagnostic), [
    'm.yaml:3: warning TRY0003 MeshConfig defaultConfig.discoveryAddress: "defaultConfig.discoveryAddress" is part of Istio\'s MeshConfig and has no effect here. Remove it: each host\'s agent is its control plane.',
  ]);
  for (const name of Object.keys(DEFAULT_CONFIG_WITHOUT_EFFECT))
    assert.deepEqual(
      parseMeshConfig(`defaultConfig: {${name}: 1}\n`, 'm.yaml').diagnostics.map(({ code }) => code),
      ['TRY0003'],
      name,
    );
});

test('a rule that the shape cannot say', () => {
  const text = 'localityLbSetting:\n  distribute:\n  - from: a\n    to: {b: 50}\n';
  const { config, diagnostics } = parseMeshConfig(text, 'm.yaml');
  assert.equal(config, undefined);
  assert.deepEqual(diagnostics.map(formatDiagnostic), [
    'm.yaml:4: error IST0106 MeshConfig localityLbSetting.distribute[0].to: the shares total 50. Make them total 100.',
  ]);
});

test('a resource that has a mesh configuration in it is told where', () => {
  const said = (text: string) => parseMeshConfig(text, 'm.yaml').diagnostics.map(formatDiagnostic);
  assert.deepEqual(said('apiVersion: v1\nkind: ConfigMap\ndata: { mesh: "" }\n'), [
    'm.yaml:2: error IST0106 MeshConfig kind: is a resource of kind ConfigMap, not a mesh configuration. Write what stands in its "data.mesh" alone.',
  ]);
  assert.deepEqual(said('kind: IstioOperator\napiVersion: install.istio.io/v1alpha1\n'), [
    'm.yaml:1: error IST0106 MeshConfig kind: is a resource of kind IstioOperator, not a mesh configuration. Write what stands in its "spec.meshConfig" alone.',
  ]);
  assert.deepEqual(said('kind: constructor\napiVersion: v1\n'), [
    'm.yaml:1: error IST0106 MeshConfig kind: is a resource of kind constructor, not a mesh configuration. Write fields of the mesh configuration, such as "trustDomain".',
  ]);
});

test('the root namespace is a namespace', () => {
  for (const name of ['A', 'a b', '*', ''])
    assert.equal(parseMeshConfig(`rootNamespace: '${name}'\n`, 'm.yaml').diagnostics.length, 1, name);
});
