/** Which DestinationRule speaks for a service, and what it says of one port and subset. */
import type { DestinationRule, Subset, TrafficPolicy, TrafficPolicyBlocks } from '../model/destination-rule.ts';
import type { Service } from '../model/service.ts';
import { bestSpecificity } from './host-pattern.ts';
import { isVisible } from './visibility.ts';

/** What the rules together say of a service. */
export interface ServicePolicy {
  readonly trafficPolicy: TrafficPolicy | undefined;
  readonly subsets: ReadonlyMap<string, Subset>;
}

export const NO_BLOCKS: TrafficPolicyBlocks = {
  loadBalancer: undefined,
  connectionPool: undefined,
  outlierDetection: undefined,
};

/**
 * The rules that hold for a service and a client: those of the client's namespace (unless it is the root), else those
 * of the service's, else those of the root, each exported to the client; there the most specific host. The first place
 * that has one ends the search.
 * @param rules oldest first
 */
export function chooseRules(
  rules: readonly DestinationRule[],
  service: Service,
  client: { readonly namespace: string; readonly rootNamespace: string },
): readonly DestinationRule[] {
  const hosts = [service.host, ...service.aliases];
  const places = [
    ...(client.namespace === client.rootNamespace ? [] : [client.namespace]),
    service.namespace,
    client.rootNamespace,
  ];
  for (const place of places) {
    const visible = rules.filter(
      (rule) => rule.meta.namespace === place && isVisible(rule.exportTo, place, client.namespace),
    );
    const best = Math.max(...visible.map((rule) => bestSpecificity([rule.host], hosts) ?? -1));
    if (best < 0) continue;
    const [oldest, ...others] = visible.filter((rule) => bestSpecificity([rule.host], hosts) === best);
    if (oldest === undefined) continue;
    const exportTo = JSON.stringify(oldest.exportTo);
    return [
      oldest,
      ...others.filter((rule) => rule.host === oldest.host && JSON.stringify(rule.exportTo) === exportTo),
    ];
  }
  return [];
}

/** Joins rules for one host: the first definition of a subset and the oldest top-level policy hold. */
export function joinRules(rules: readonly DestinationRule[]): ServicePolicy {
  const subsets = new Map<string, Subset>();
  for (const subset of rules.flatMap((rule) => rule.subsets)) {
    if (!subsets.has(subset.name)) subsets.set(subset.name, subset);
  }
  return { trafficPolicy: rules.find((rule) => rule.trafficPolicy !== undefined)?.trafficPolicy, subsets };
}

/** Settings for the port replace all blocks, those that they leave unset included. */
function blocksForPort(policy: TrafficPolicy, port: number): { blocks: TrafficPolicyBlocks; ofPort: boolean } {
  const ofPort = policy.portLevelSettings.find((settings) => settings.port === port);
  return { blocks: ofPort ?? policy, ofPort: ofPort !== undefined };
}

/** The blocks in force for a port and a subset (undefined: the whole service). */
export function effectivePolicy(policy: ServicePolicy, port: number, subset: string | undefined): TrafficPolicyBlocks {
  const inherited = policy.trafficPolicy === undefined ? NO_BLOCKS : blocksForPort(policy.trafficPolicy, port).blocks;
  const own = subset === undefined ? undefined : policy.subsets.get(subset)?.trafficPolicy;
  if (own === undefined) return inherited;
  const { blocks, ofPort } = blocksForPort(own, port);
  if (ofPort) return blocks;
  return {
    loadBalancer: blocks.loadBalancer ?? inherited.loadBalancer,
    connectionPool: blocks.connectionPool ?? inherited.connectionPool,
    outlierDetection: blocks.outlierDetection ?? inherited.outlierDetection,
  };
}
