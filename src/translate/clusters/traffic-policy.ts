/** What the DestinationRules of a service say together, and of one port and subset. */
import type { DestinationRule, Subset, TrafficPolicy, TrafficPolicyBlocks } from '../../model/destination-rule.ts';
import type { ResourceMeta } from '../../model/resource-meta.ts';

export { chooseRules } from '../view/destination-rule-choice.ts';

/** What the rules together say of a service. */
export interface ServicePolicy {
  readonly trafficPolicy: TrafficPolicy | undefined;
  readonly subsets: ReadonlyMap<string, Subset>;
  /** The oldest of them; absent: there are none. */
  readonly rule?: ResourceMeta;
}

/** What is in force for one port and subset. */
export type EffectivePolicy = Omit<TrafficPolicy, 'portLevelSettings'>;

export const NO_BLOCKS: TrafficPolicyBlocks = {
  loadBalancer: undefined,
  connectionPool: undefined,
  outlierDetection: undefined,
};

/** Joins rules for one host: the first definition of a subset and the oldest top-level policy hold. */
export function joinRules(rules: readonly DestinationRule[]): ServicePolicy {
  const subsets = new Map<string, Subset>();
  for (const subset of rules.flatMap((rule) => rule.subsets)) {
    if (!subsets.has(subset.name)) subsets.set(subset.name, subset);
  }
  const [oldest] = rules;
  return {
    trafficPolicy: rules.find((rule) => rule.trafficPolicy !== undefined)?.trafficPolicy,
    subsets,
    ...(oldest !== undefined && { rule: oldest.meta }),
  };
}

/** The blocks of `own` where they are set, else those of `inherited`. */
function over(own: TrafficPolicyBlocks, inherited: TrafficPolicyBlocks): TrafficPolicyBlocks {
  const tls = own.tls ?? inherited.tls;
  return {
    loadBalancer: own.loadBalancer ?? inherited.loadBalancer,
    connectionPool: own.connectionPool ?? inherited.connectionPool,
    outlierDetection: own.outlierDetection ?? inherited.outlierDetection,
    ...(tls !== undefined && { tls }),
  };
}

/** One policy over another, of the mesh or of the whole service. Settings for the port replace all four blocks. */
function apply(
  policy: TrafficPolicy | undefined,
  port: number,
  inherited: EffectivePolicy,
  mesh: TrafficPolicyBlocks,
): EffectivePolicy {
  if (policy === undefined) return inherited;
  const ofPort = policy.portLevelSettings.find((settings) => settings.port === port);
  const blocks = ofPort === undefined ? over(policy, inherited) : over(ofPort, mesh);
  const tunnel = policy.tunnel ?? inherited.tunnel;
  const proxyProtocol = policy.proxyProtocol ?? inherited.proxyProtocol;
  const retryBudget = policy.retryBudget ?? inherited.retryBudget;
  return {
    ...blocks,
    ...(tunnel !== undefined && { tunnel }),
    ...(proxyProtocol !== undefined && { proxyProtocol }),
    ...(retryBudget !== undefined && { retryBudget }),
  };
}

/**
 * What is in force for a port and a subset (undefined: the whole service).
 * @param defaults what the mesh configuration begins with
 */
export function effectivePolicy(
  policy: ServicePolicy,
  port: number,
  subset: string | undefined,
  defaults: Partial<TrafficPolicyBlocks> = {},
): EffectivePolicy {
  const mesh = { ...NO_BLOCKS, ...defaults };
  const whole = apply(policy.trafficPolicy, port, mesh, mesh);
  return subset === undefined ? whole : apply(policy.subsets.get(subset)?.trafficPolicy, port, whole, mesh);
}
