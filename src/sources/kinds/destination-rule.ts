/** DestinationRule: from Istio's form to the model's, with the rules that its schema cannot say. */
import type { Path } from '../../lib/yaml-document.ts';
import type { DestinationRule, TrafficPolicy, TrafficPolicyBlocks } from '../../model/destination-rule.ts';
import { buildClientTls } from './client-tls.ts';
import { buildConnectionPool, buildOutlierDetection } from './connection-pool.ts';
import {
  type BlocksSpec,
  DESTINATION_RULE_UNSUPPORTED,
  type DestinationRuleSpec,
  destinationRuleSchema,
  type TrafficPolicySpec,
} from './destination-rule-schema.ts';
import { defineKind, NETWORKING_VERSIONS, type Report } from './kind.ts';
import { hintHost, LIKELY_MISTAKE } from './likely-mistakes.ts';
import { buildLoadBalancer } from './load-balancer.ts';

function buildBlocks(spec: BlocksSpec, path: Path, report: Report): TrafficPolicyBlocks {
  const { loadBalancer, connectionPool, outlierDetection, tls } = spec;
  const locality = loadBalancer?.localityLbSetting;
  const failsOver = (locality?.failover ?? []).length > 0 || (locality?.failoverPriority ?? []).length > 0;
  if (failsOver && outlierDetection === undefined)
    report(
      [...path, 'loadBalancer', 'localityLbSetting'],
      'has no effect without outlierDetection: nobody would notice that the nearest endpoints fail',
      'Write outlierDetection beside it.',
      { code: 'TRY0005', severity: 'warning' },
    );
  return {
    loadBalancer: loadBalancer && buildLoadBalancer(loadBalancer, [...path, 'loadBalancer'], report),
    connectionPool: connectionPool && buildConnectionPool(connectionPool, [...path, 'connectionPool'], report),
    outlierDetection:
      outlierDetection && buildOutlierDetection(outlierDetection, [...path, 'outlierDetection'], report),
    ...(tls !== undefined && { tls: buildClientTls(tls, [...path, 'tls'], report) }),
  };
}

function buildPolicy(spec: TrafficPolicySpec | undefined, path: Path, report: Report): TrafficPolicy | undefined {
  if (spec === undefined) return undefined;
  const { tunnel, proxyProtocol, retryBudget } = spec;
  const ports = spec.portLevelSettings ?? [];
  const at = [...path, 'portLevelSettings'];
  if (tunnel !== undefined && proxyProtocol !== undefined)
    report(path, 'has both tunnel and proxyProtocol', 'Keep one.');
  if (tunnel?.targetHost.startsWith('*') === true)
    report([...path, 'tunnel', 'targetHost'], `"${tunnel.targetHost}" is no single host`, 'Write one name or address.');
  return {
    ...buildBlocks(spec, path, report),
    portLevelSettings: ports.map((settings, i) => {
      if (ports.findIndex(({ port }) => port.number === settings.port.number) < i)
        report([...at, i, 'port', 'number'], `port ${settings.port.number} has settings already`, 'Join the two.');
      if (Object.keys(settings).length === 1)
        report(
          [...at, i],
          'says nothing, and so turns off what is said around it for this port',
          'Write what is to hold there, or remove it.',
          LIKELY_MISTAKE,
        );
      return { port: settings.port.number, ...buildBlocks(settings, [...at, i], report) };
    }),
    ...(tunnel !== undefined && { tunnel: { ...tunnel, protocol: tunnel.protocol ?? 'CONNECT' } }),
    ...(proxyProtocol !== undefined && { proxyProtocol: proxyProtocol.version ?? 'V1' }),
    ...(retryBudget !== undefined && {
      retryBudget: {
        percent: retryBudget.percent ?? 20,
        minRetryConcurrency: retryBudget.minRetryConcurrency ?? 3,
        ...(retryBudget.budgetInterval !== undefined && { budgetIntervalMs: retryBudget.budgetInterval }),
      },
    }),
  };
}

const SUBSET_NAME = /^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$/;

function checkSubsets(subsets: readonly { readonly name: string }[], report: Report): void {
  for (const [i, { name }] of subsets.entries()) {
    if (!SUBSET_NAME.test(name))
      report(['subsets', i, 'name'], `"${name}" is not a name`, 'Use letters, digits, "-", "_" and ".".');
    if (subsets.findIndex((subset) => subset.name === name) < i)
      report(['subsets', i, 'name'], `subset "${name}" stands here twice`, 'Rename or remove one.');
  }
}

/** A selector without labels is none; one with labels keeps the rule in its own namespace. */
function buildSelector(
  { workloadSelector, exportTo = [] }: DestinationRuleSpec,
  namespace: string,
  report: Report,
): Readonly<Record<string, string>> | undefined {
  const matchLabels = workloadSelector?.matchLabels ?? {};
  if (Object.keys(matchLabels).length === 0) return undefined;
  if (exportTo.some((entry) => entry !== '.' && entry !== namespace))
    report(['exportTo'], 'a rule with a workloadSelector can be for its own namespace only', 'Write exportTo: ["."].');
  return matchLabels;
}

/** The host stays as written: it is completed when the mesh is built, which knows the templates. */
export const destinationRuleKind = defineKind({
  kind: 'DestinationRule',
  apiVersions: NETWORKING_VERSIONS,
  schema: destinationRuleSchema,
  unsupported: DESTINATION_RULE_UNSUPPORTED,
  build(meta, spec, report): DestinationRule {
    const subsets = spec.subsets ?? [];
    hintHost(spec.host, ['host'], report);
    checkSubsets(subsets, report);
    const workloadSelector = buildSelector(spec, meta.namespace, report);
    return {
      meta,
      host: spec.host,
      trafficPolicy: buildPolicy(spec.trafficPolicy, ['trafficPolicy'], report),
      subsets: subsets.map((subset, i) => ({
        name: subset.name,
        labels: subset.labels ?? {},
        trafficPolicy: buildPolicy(subset.trafficPolicy, ['subsets', i, 'trafficPolicy'], report),
      })),
      exportTo: spec.exportTo ?? [],
      ...(workloadSelector !== undefined && { workloadSelector }),
    };
  },
});
