/** The shape of meshconfig.yaml: Istio's MeshConfig names where Istio has one, ours beside them. */
import * as z from 'zod/mini';
import { shownValue } from '../lib/shown-value.ts';
import { duration, exportTo, int, isNamespaceName, nonEmpty, unread } from './field-types.ts';
import { connectionPool, localityLbSetting, outlierDetection, tcpKeepalive } from './kinds/destination-rule-schema.ts';
import { retriesSchema } from './kinds/virtual-service-schema.ts';
import { DEFAULT_CONFIG_WITHOUT_EFFECT, MESH_CONFIG_WITHOUT_EFFECT } from './mesh-config-without-effect.ts';
import { statNameProblem } from './stat-name-pattern.ts';

/** Fields of Istio's MeshConfig that are known and have no effect. */
export const MESH_CONFIG_UNSUPPORTED: readonly string[] = Object.keys(MESH_CONFIG_WITHOUT_EFFECT);

const TEMPLATE = /^(?:[a-z0-9.-]|\{service\}|\{namespace\}|\{consulName\})+$/;

const trustDomain = z.string().check(
  z.refine((text: string) => /^[a-z0-9._-]{1,255}$/.test(text), {
    error: ({ input }) => `"${String(input)}" is not a trust domain`,
    params: { remedy: 'Use lower-case letters, digits, ".", "-" and "_", as in mesh.example.com.' },
  }),
);

const namespace = z.string().check(
  z.refine(isNamespaceName, {
    error: ({ input }) => `${shownValue(input)} is not the name of a namespace`,
    params: { remedy: 'Use lower-case letters, digits and "-", as in istio-system.' },
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

const statName = z.string().check(
  z.refine((text: string) => statNameProblem(text) === undefined, {
    error: ({ input }) => statNameProblem(String(input)) ?? '',
    params: { remedy: 'Write a name with %SERVICE%, %SERVICE_FQDN%, %SERVICE_PORT% and the like.' },
  }),
);

const tlsChoice = z.strictObject({
  minProtocolVersion: z.optional(z.enum(['TLS_AUTO', 'TLSV1_2', 'TLSV1_3'])),
  cipherSuites: z.optional(z.array(nonEmpty)),
  ecdhCurves: z.optional(z.array(nonEmpty)),
});

function unreadFields(names: Readonly<Record<string, string>>): Readonly<Record<string, typeof unread>> {
  return Object.fromEntries(Object.keys(names).map((name) => [name, unread]));
}

const defaultConfig = z.strictObject({
  concurrency: z.optional(int(0, 1024)),
  gatewayTopology: z.optional(
    z.strictObject({
      numTrustedProxies: z.optional(int()),
      forwardClientCertDetails: z.optional(
        z.enum(['UNDEFINED', 'SANITIZE', 'FORWARD_ONLY', 'APPEND_FORWARD', 'SANITIZE_SET', 'ALWAYS_FORWARD_ONLY']),
      ),
      proxyProtocol: z.optional(z.strictObject({})),
    }),
  ),
  ...unreadFields(DEFAULT_CONFIG_WITHOUT_EFFECT),
});

/** The whole of meshconfig.yaml. */
export const meshConfigSchema = z.strictObject({
  trustDomain: z.optional(trustDomain),
  trustDomainAliases: z.optional(z.array(trustDomain)),
  rootNamespace: z.optional(namespace),
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
  accessLogFormat: z.optional(z.string()),
  accessLogEncoding: z.optional(z.enum(['TEXT', 'JSON'])),
  disableEnvoyListenerLog: z.optional(z.boolean()),
  catalogue: z.optional(
    z.strictObject({
      sentinelService: z.optional(nonEmpty),
      massCriticalShare: z.optional(share),
      hold: z.optional(duration(0)),
    }),
  ),
  outboundTrafficPolicy: z.optional(
    z.strictObject({ mode: z.optional(z.enum(['ALLOW_ANY', 'REGISTRY_ONLY', 'ALLOW_ANY_DYNAMIC_DNS'])) }),
  ),
  localityLbSetting: z.optional(localityLbSetting),
  defaultServiceExportTo: exportTo,
  defaultVirtualServiceExportTo: exportTo,
  defaultDestinationRuleExportTo: exportTo,
  defaultHttpRetryPolicy: z.optional(retriesSchema),
  defaultTrafficPolicy: z.optional(
    z.strictObject({
      connectionPool: z.optional(connectionPool),
      outlierDetection: z.optional(outlierDetection),
    }),
  ),
  tcpKeepalive: z.optional(tcpKeepalive),
  dnsRefreshRate: z.optional(duration()),
  protocolDetectionTimeout: z.optional(duration(0)),
  h2UpgradePolicy: z.optional(z.enum(['DO_NOT_UPGRADE', 'UPGRADE'])),
  pathNormalization: z.optional(
    z.strictObject({
      normalization: z.optional(z.enum(['NONE', 'BASE', 'DEFAULT', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'])),
    }),
  ),
  meshMTLS: z.optional(tlsChoice),
  tlsDefaults: z.optional(tlsChoice),
  verifyCertificateAtClient: z.optional(z.boolean()),
  inboundClusterStatName: z.optional(statName),
  outboundClusterStatName: z.optional(statName),
  defaultConfig: z.optional(defaultConfig),
  envoyFilters: z.optional(z.strictObject({ namespaces: z.optional(z.array(nonEmpty)) })),
  ...unreadFields(MESH_CONFIG_WITHOUT_EFFECT),
});

export type MeshConfigSpec = z.output<typeof meshConfigSchema>;
