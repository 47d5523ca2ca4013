/** The fields that a mesh configuration gives, in the model's form. */
import type { CatalogueConfig, GatewayTopology, MeshConfig, TlsChoice } from '../model/mesh-config.ts';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { buildAccessLogFormat } from './access-log-format.ts';
import { buildConnectionPool, buildOutlierDetection, buildTcpKeepalive } from './kinds/connection-pool.ts';
import { CIPHER_SUITES, CURVES, known } from './kinds/gateway-tls.ts';
import type { Report } from './kinds/kind.ts';
import { buildLocality } from './kinds/load-balancer.ts';
import { buildRetries } from './kinds/retries.ts';
import type { MeshConfigSpec } from './mesh-config-schema.ts';

/** A field that is absent where it is not given. */
function given<K extends keyof MeshConfig>(key: K, value: MeshConfig[K] | undefined): Partial<Pick<MeshConfig, K>> {
  return value === undefined ? {} : ({ [key]: value } as unknown as Pick<MeshConfig, K>);
}

function catalogueConfig(spec: NonNullable<MeshConfigSpec['catalogue']>): CatalogueConfig {
  const defaults = DEFAULT_MESH_CONFIG.catalogue;
  return {
    sentinelService: spec.sentinelService ?? defaults.sentinelService,
    massCriticalShare: spec.massCriticalShare ?? defaults.massCriticalShare,
    holdMs: spec.hold ?? defaults.holdMs,
  };
}

function trafficPolicy(
  policy: NonNullable<MeshConfigSpec['defaultTrafficPolicy']>,
  report: Report,
): NonNullable<MeshConfig['defaultTrafficPolicy']> {
  const at = ['defaultTrafficPolicy'];
  const { connectionPool, outlierDetection } = policy;
  return {
    connectionPool: connectionPool && buildConnectionPool(connectionPool, [...at, 'connectionPool'], report),
    outlierDetection: outlierDetection && buildOutlierDetection(outlierDetection, [...at, 'outlierDetection'], report),
  };
}

function tlsChoice(
  name: 'meshMTLS' | 'tlsDefaults',
  { minProtocolVersion: min, cipherSuites = [], ecdhCurves = [] }: NonNullable<MeshConfigSpec['tlsDefaults']>,
  report: Report,
): TlsChoice {
  return {
    ...(min !== undefined && min !== 'TLS_AUTO' && { minVersion: min }),
    cipherSuites: known(cipherSuites, CIPHER_SUITES, [name, 'cipherSuites'], report),
    ecdhCurves: known(ecdhCurves, CURVES, [name, 'ecdhCurves'], report),
  };
}

function gatewayTopology({
  numTrustedProxies,
  forwardClientCertDetails,
  proxyProtocol,
}: NonNullable<NonNullable<MeshConfigSpec['defaultConfig']>['gatewayTopology']>): GatewayTopology {
  return {
    ...(numTrustedProxies !== undefined && numTrustedProxies > 0 && { trustedHops: numTrustedProxies }),
    ...(forwardClientCertDetails !== undefined &&
      forwardClientCertDetails !== 'UNDEFINED' && { forwardedCertificate: forwardClientCertDetails }),
    proxyProtocol: proxyProtocol !== undefined,
  };
}

/** What `spec` says and nothing else: spread over a mesh configuration it is that one with these fields. */
export function meshConfigFields(spec: MeshConfigSpec, report: Report): Partial<MeshConfig> {
  const { localityLbSetting: locality, defaultTrafficPolicy: policy, defaultHttpRetryPolicy: retries } = spec;
  const { outboundTrafficPolicy: outbound, pathNormalization: paths } = spec;
  const topology = spec.defaultConfig?.gatewayTopology;
  return {
    ...given('trustDomain', spec.trustDomain),
    ...given('trustDomainAliases', spec.trustDomainAliases),
    ...given('rootNamespace', spec.rootNamespace),
    ...given('serviceHosts', spec.serviceHosts),
    ...given('enableAutoMtls', spec.enableAutoMtls),
    ...given('connectTimeoutMs', spec.connectTimeout),
    // Empty is said: nowhere, whatever was said before.
    ...(spec.accessLogFile !== undefined && { accessLogFile: spec.accessLogFile || undefined }),
    ...given(
      'accessLogFormat',
      spec.accessLogFormat === undefined
        ? undefined
        : buildAccessLogFormat(spec.accessLogFormat, spec.accessLogEncoding ?? 'TEXT', ['accessLogFormat'], report),
    ),
    ...given('accessLogEncoding', spec.accessLogEncoding),
    ...given('disableEnvoyListenerLog', spec.disableEnvoyListenerLog),
    ...given('catalogue', spec.catalogue && catalogueConfig(spec.catalogue)),
    // A block without its field says the default, whatever was said before.
    ...given('outboundTrafficPolicy', outbound && (outbound.mode ?? 'ALLOW_ANY')),
    ...given('localityLbSetting', locality && buildLocality(locality, ['localityLbSetting'], report)),
    ...given('defaultServiceExportTo', spec.defaultServiceExportTo),
    ...given('defaultVirtualServiceExportTo', spec.defaultVirtualServiceExportTo),
    ...given('defaultDestinationRuleExportTo', spec.defaultDestinationRuleExportTo),
    ...given('defaultHttpRetryPolicy', retries && buildRetries(retries, ['defaultHttpRetryPolicy'], report)),
    ...given('defaultTrafficPolicy', policy && trafficPolicy(policy, report)),
    ...given('tcpKeepalive', spec.tcpKeepalive && buildTcpKeepalive(spec.tcpKeepalive)),
    ...given('dnsRefreshRateMs', spec.dnsRefreshRate),
    ...given('protocolDetectionTimeoutMs', spec.protocolDetectionTimeout),
    ...given('h2UpgradePolicy', spec.h2UpgradePolicy),
    ...given('pathNormalization', paths && (paths.normalization ?? 'DEFAULT')),
    ...given('meshMtls', spec.meshMTLS && tlsChoice('meshMTLS', spec.meshMTLS, report)),
    ...given('tlsDefaults', spec.tlsDefaults && tlsChoice('tlsDefaults', spec.tlsDefaults, report)),
    ...given('verifyCertificateAtClient', spec.verifyCertificateAtClient),
    ...given('inboundClusterStatName', spec.inboundClusterStatName),
    ...given('outboundClusterStatName', spec.outboundClusterStatName),
    ...given('gatewayTopology', topology && gatewayTopology(topology)),
    ...given('concurrency', spec.defaultConfig?.concurrency),
    ...given('envoyFilterNamespaces', spec.envoyFilters?.namespaces),
  };
}
