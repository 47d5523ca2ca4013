/** Whether rules tell clients apart by their labels. */
import type { DestinationRule, LocalityLoadBalancing, TrafficPolicy } from '../../model/destination-rule.ts';
import type { Mesh } from '../../model/mesh.ts';
import type { SourceConditions, VirtualService } from '../../model/virtual-service.ts';

function asksForLabels({ sourceLabels }: SourceConditions): boolean {
  return sourceLabels !== undefined && Object.keys(sourceLabels).length > 0;
}

/** Whether labels of the client decide where its calls go first. */
export function asksForClientLabels(locality: LocalityLoadBalancing | undefined): boolean {
  return (locality?.failoverPriority ?? []).some((entry) => !entry.includes('='));
}

function virtualServiceAsks({ http, tls = [], tcp = [] }: VirtualService): boolean {
  return [...http, ...tls, ...tcp].some(({ match }) => match.some(asksForLabels));
}

function policyAsks(policy: TrafficPolicy | undefined): boolean {
  if (policy === undefined) return false;
  return [policy, ...policy.portLevelSettings].some(({ loadBalancer }) => asksForClientLabels(loadBalancer?.locality));
}

function ruleAsks({ workloadSelector, trafficPolicy, subsets }: DestinationRule): boolean {
  return (
    workloadSelector !== undefined ||
    policyAsks(trafficPolicy) ||
    subsets.some((subset) => policyAsks(subset.trafficPolicy))
  );
}

/** Whether labels of a calling workload decide which rules of `mesh` hold for it. */
export function labelsDecide({ config, virtualServices, destinationRules, sidecars }: Mesh): boolean {
  return (
    virtualServices.some(virtualServiceAsks) ||
    asksForClientLabels(config.localityLbSetting) ||
    destinationRules.some(ruleAsks) ||
    sidecars.some(({ workloadSelector }) => workloadSelector !== undefined)
  );
}
