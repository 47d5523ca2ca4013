/** meshconfig.yaml → `MeshConfig`: Istio's MeshConfig names where Istio has one, ours beside them. */
import * as z from 'zod/mini';
import { checkAgainst, parseYamlDocuments, type YamlIssue } from '../lib/yaml-document.ts';
import { compareDiagnostics, type Diagnostic } from '../model/diagnostic.ts';
import { DEFAULT_MESH_CONFIG, type MeshConfig } from '../model/mesh-config.ts';
import { duration, nonEmpty, unread } from './field-types.ts';
import { normaliseKeys } from './key-spelling.ts';

/** Fields of Istio's MeshConfig that are known and have no effect. https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/ */
export const MESH_CONFIG_UNSUPPORTED: readonly string[] = [
  'proxyListenPort',
  'proxyInboundListenPort',
  'proxyHttpPort',
  'tcpKeepalive',
  'ingressClass',
  'ingressService',
  'ingressControllerMode',
  'ingressSelector',
  'enableTracing',
  'accessLogFormat',
  'accessLogEncoding',
  'enableEnvoyAccessLogService',
  'disableEnvoyListenerLog',
  'defaultConfig',
  'outboundTrafficPolicy',
  'inboundTrafficPolicy',
  'configSources',
  'caCertificates',
  'defaultServiceExportTo',
  'defaultVirtualServiceExportTo',
  'defaultDestinationRuleExportTo',
  'localityLbSetting',
  'dnsRefreshRate',
  'h2UpgradePolicy',
  'inboundClusterStatName',
  'outboundClusterStatName',
  'enablePrometheusMerge',
  'verifyCertificateAtClient',
  'extensionProviders',
  'defaultProviders',
  'discoverySelectors',
  'pathNormalization',
  'defaultHttpRetryPolicy',
  'defaultTrafficPolicy',
  'meshMTLS',
  'tlsDefaults',
  'hboneIdleTimeout',
  'protocolDetectionTimeout',
  'serviceSettings',
  'serviceScopeConfigs',
  'certificates',
  'thriftConfig',
  'ca',
];

const TEMPLATE = /^(?:[a-z0-9.-]|\{service\}|\{namespace\}|\{consulName\})+$/;

const trustDomain = z.string().check(
  z.refine((text: string) => /^[a-z0-9._-]{1,255}$/.test(text), {
    error: ({ input }) => `"${String(input)}" is not a trust domain`,
    params: { remedy: 'Use lower-case letters, digits, ".", "-" and "_", as in mesh.example.com.' },
  }),
);

const template = z.string().check(
  z.refine((text: string) => TEMPLATE.test(text) && /\{service\}|\{consulName\}/.test(text), {
    error: ({ input }) => `"${String(input)}" is not a template of host names`,
    params: { remedy: 'Write a DNS name with {service} and {namespace}, or with {consulName}.' },
  }),
);

const share = z.number().check(
  z.refine((value: number) => value > 0 && value <= 1, {
    error: ({ input }) => `${String(input)} is not a share`,
    params: { remedy: 'Write a number above 0, at most 1.' },
  }),
);

const schema = z.strictObject({
  trustDomain: z.optional(trustDomain),
  trustDomainAliases: z.optional(z.array(trustDomain)),
  rootNamespace: z.optional(nonEmpty),
  serviceHosts: z.optional(
    z.array(template).check(
      z.refine((list: readonly string[]) => list.length > 0 && new Set(list).size === list.length, {
        error: 'is empty or names a template twice',
        params: { remedy: 'List each template once, the canonical one first.' },
      }),
    ),
  ),
  enableAutoMtls: z.optional(z.boolean()),
  connectTimeout: z.optional(duration()),
  accessLogFile: z.optional(z.string()),
  catalogue: z.optional(
    z.strictObject({
      sentinelService: z.optional(nonEmpty),
      massCriticalShare: z.optional(share),
      hold: z.optional(duration(0)),
    }),
  ),
  ...Object.fromEntries(MESH_CONFIG_UNSUPPORTED.map((name) => [name, unread] as const)),
});

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
  const checked = checkAgainst(schema, normaliseKeys(schema, document.value), document);
  if (!('value' in checked)) {
    const diagnostics = checked.issues.map((issue) => diagnose(file, issue, 'IST0106'));
    return { config: undefined, diagnostics: diagnostics.sort(compareDiagnostics) };
  }
  const { value } = checked;
  const given = value as Readonly<Record<string, unknown>>;
  const diagnostics = MESH_CONFIG_UNSUPPORTED.filter((name) => given[name] !== undefined).map((name) =>
    diagnose(
      file,
      {
        path: name,
        line: document.lineOf([name]),
        message: `"${name}" is part of Istio's MeshConfig and not supported yet; it has no effect`,
        remedy: 'Remove it.',
      },
      'TRY0003',
      'warning',
    ),
  );
  const defaults = DEFAULT_MESH_CONFIG;
  const { catalogue } = value;
  const config: MeshConfig = {
    trustDomain: value.trustDomain ?? defaults.trustDomain,
    trustDomainAliases: value.trustDomainAliases ?? defaults.trustDomainAliases,
    rootNamespace: value.rootNamespace ?? defaults.rootNamespace,
    serviceHosts: value.serviceHosts ?? defaults.serviceHosts,
    enableAutoMtls: value.enableAutoMtls ?? defaults.enableAutoMtls,
    connectTimeoutMs: value.connectTimeout ?? defaults.connectTimeoutMs,
    accessLogFile: value.accessLogFile === '' ? undefined : (value.accessLogFile ?? defaults.accessLogFile),
    catalogue: {
      sentinelService: catalogue?.sentinelService ?? defaults.catalogue.sentinelService,
      massCriticalShare: catalogue?.massCriticalShare ?? defaults.catalogue.massCriticalShare,
      holdMs: catalogue?.hold ?? defaults.catalogue.holdMs,
    },
  };
  return { config, diagnostics: diagnostics.sort(compareDiagnostics) };
}
