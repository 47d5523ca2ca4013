/** meshconfig.yaml → `MeshConfig`: Istio's MeshConfig names where Istio has one, ours beside them. */
import { checkAgainst, formatPath, parseYamlDocuments, type YamlIssue } from '../lib/yaml-document.ts';
import { compareDiagnostics, type Diagnostic } from '../model/diagnostic.ts';
import { DEFAULT_MESH_CONFIG, type MeshConfig } from '../model/mesh-config.ts';
import { normaliseKeys } from './key-spelling.ts';
import { buildConnectionPool, buildOutlierDetection, buildTcpKeepalive } from './kinds/connection-pool.ts';
import type { Report } from './kinds/kind.ts';
import { buildLocality } from './kinds/load-balancer.ts';
import { buildRetries } from './kinds/retries.ts';
import { MESH_CONFIG_UNSUPPORTED, type MeshConfigSpec, meshConfigSchema } from './mesh-config-schema.ts';

const INVALID = { code: 'IST0106', severity: 'error' } as const;

export interface ParsedMeshConfig {
  /** Undefined when there are errors; fields that are not given are the defaults. */
  readonly config: MeshConfig | undefined;
  readonly diagnostics: readonly Diagnostic[];
}

function diagnose(
  file: string,
  issue: YamlIssue,
  code: string,
  severity: Diagnostic['severity'] = 'error',
): Diagnostic {
  return {
    code,
    severity,
    object: 'MeshConfig',
    ...(issue.path === '' ? {} : { path: issue.path }),
    source: { file, line: issue.line },
    message: issue.message,
    ...(issue.remedy === undefined ? {} : { remedy: issue.remedy }),
  };
}

/** What the fields are in the model; the defaults where they are not given. */
function build(spec: MeshConfigSpec, report: Report): MeshConfig {
  const defaults = DEFAULT_MESH_CONFIG;
  const { catalogue, localityLbSetting: locality, defaultTrafficPolicy: policy, tcpKeepalive, envoyFilters } = spec;
  const outboundTrafficPolicy = spec.outboundTrafficPolicy?.mode;
  const pathNormalization = spec.pathNormalization?.normalization;
  const concurrency = spec.defaultConfig?.concurrency;
  const at = ['defaultTrafficPolicy'];
  return {
    trustDomain: spec.trustDomain ?? defaults.trustDomain,
    trustDomainAliases: spec.trustDomainAliases ?? defaults.trustDomainAliases,
    rootNamespace: spec.rootNamespace ?? defaults.rootNamespace,
    serviceHosts: spec.serviceHosts ?? defaults.serviceHosts,
    enableAutoMtls: spec.enableAutoMtls ?? defaults.enableAutoMtls,
    connectTimeoutMs: spec.connectTimeout ?? defaults.connectTimeoutMs,
    accessLogFile: spec.accessLogFile === '' ? undefined : (spec.accessLogFile ?? defaults.accessLogFile),
    catalogue: {
      sentinelService: catalogue?.sentinelService ?? defaults.catalogue.sentinelService,
      massCriticalShare: catalogue?.massCriticalShare ?? defaults.catalogue.massCriticalShare,
      holdMs: catalogue?.hold ?? defaults.catalogue.holdMs,
    },
    ...(outboundTrafficPolicy !== undefined && { outboundTrafficPolicy }),
    ...(locality !== undefined && { localityLbSetting: buildLocality(locality, ['localityLbSetting'], report) }),
    ...given('defaultServiceExportTo', spec.defaultServiceExportTo),
    ...given('defaultVirtualServiceExportTo', spec.defaultVirtualServiceExportTo),
    ...given('defaultDestinationRuleExportTo', spec.defaultDestinationRuleExportTo),
    ...(spec.defaultHttpRetryPolicy !== undefined && {
      defaultHttpRetryPolicy: buildRetries(spec.defaultHttpRetryPolicy, ['defaultHttpRetryPolicy'], report),
    }),
    ...(policy !== undefined && {
      defaultTrafficPolicy: {
        connectionPool:
          policy.connectionPool && buildConnectionPool(policy.connectionPool, [...at, 'connectionPool'], report),
        outlierDetection:
          policy.outlierDetection &&
          buildOutlierDetection(policy.outlierDetection, [...at, 'outlierDetection'], report),
      },
    }),
    ...(tcpKeepalive !== undefined && { tcpKeepalive: buildTcpKeepalive(tcpKeepalive) }),
    ...given('dnsRefreshRateMs', spec.dnsRefreshRate),
    ...given('protocolDetectionTimeoutMs', spec.protocolDetectionTimeout),
    ...given('h2UpgradePolicy', spec.h2UpgradePolicy),
    ...(pathNormalization !== undefined && { pathNormalization }),
    ...(concurrency !== undefined && { concurrency }),
    ...given('envoyFilterNamespaces', envoyFilters?.namespaces),
  };
}

/** A field that is absent where it is not given. */
function given<K extends keyof MeshConfig>(key: K, value: MeshConfig[K] | undefined): Partial<Pick<MeshConfig, K>> {
  return value === undefined ? {} : ({ [key]: value } as unknown as Pick<MeshConfig, K>);
}

/** What the file says beside what is read: known fields of Istio's, at the top and in `defaultConfig`. */
function withoutEffect(spec: MeshConfigSpec): readonly string[][] {
  const all: Readonly<Record<string, unknown>> = spec;
  return [
    ...MESH_CONFIG_UNSUPPORTED.filter((name) => all[name] !== undefined).map((name) => [name]),
    ...Object.keys(spec.defaultConfig ?? {})
      .filter((name) => name !== 'concurrency')
      .map((name) => ['defaultConfig', name]),
  ];
}

/** Checks the text of meshconfig.yaml. Never throws; an empty file is the defaults. */
export function parseMeshConfig(text: string, file: string): ParsedMeshConfig {
  const [document, second] = parseYamlDocuments(text, file);
  if (document === undefined) return { config: DEFAULT_MESH_CONFIG, diagnostics: [] };
  if (document.issues.length > 0)
    return { config: undefined, diagnostics: document.issues.map((issue) => diagnose(file, issue, 'TRY0001')) };
  if (second !== undefined) {
    const issue = { path: '', line: second.line, message: 'a second document', remedy: 'Keep one document.' };
    return { config: undefined, diagnostics: [diagnose(file, issue, 'IST0106')] };
  }
  const checked = checkAgainst(meshConfigSchema, normaliseKeys(meshConfigSchema, document.value), document);
  if (!('value' in checked)) {
    const diagnostics = checked.issues.map((issue) => diagnose(file, issue, 'IST0106'));
    return { config: undefined, diagnostics: diagnostics.sort(compareDiagnostics) };
  }
  const diagnostics = withoutEffect(checked.value).map((path) =>
    diagnose(
      file,
      {
        path: formatPath(path),
        line: document.lineOf(path),
        message: `"${formatPath(path)}" is part of Istio's MeshConfig and not supported yet; it has no effect`,
        remedy: 'Remove it.',
      },
      'TRY0003',
      'warning',
    ),
  );
  const config = build(checked.value, (path, message, remedy, { code, severity } = INVALID) => {
    const issue = { path: formatPath(path), line: document.lineOf(path), message };
    diagnostics.push(diagnose(file, remedy === undefined ? issue : { ...issue, remedy }, code, severity));
  });
  const failed = diagnostics.some(({ severity }) => severity === 'error');
  return { config: failed ? undefined : config, diagnostics: diagnostics.sort(compareDiagnostics) };
}
