/** Whether rules tell clients apart by their labels, and whether a client has those that a rule asks for. */
import type { Mesh } from '../model/mesh.ts';
import type { SourceConditions, VirtualService } from '../model/virtual-service.ts';

type Labels = Readonly<Record<string, string>>;

/** Whether all labels of `selector` are among `labels`. */
export function hasLabels(labels: Labels, selector: Labels): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}

function asksForLabels({ sourceLabels }: SourceConditions): boolean {
  return sourceLabels !== undefined && Object.keys(sourceLabels).length > 0;
}

function virtualServiceAsks({ http, tls = [], tcp = [] }: VirtualService): boolean {
  return [...http, ...tls, ...tcp].some(({ match }) => match.some(asksForLabels));
}

/** Whether labels of a calling workload decide which rules of `mesh` hold for it. */
export function labelsDecide({ virtualServices, destinationRules, sidecars }: Mesh): boolean {
  return (
    virtualServices.some(virtualServiceAsks) ||
    destinationRules.some(({ workloadSelector }) => workloadSelector !== undefined) ||
    sidecars.some(({ workloadSelector }) => workloadSelector !== undefined)
  );
}
