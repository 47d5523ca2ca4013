/** IST0127: a selector no workload that is known. */
import { hasLabels } from '../../model/labels.ts';
import type { ResourceMeta } from '../../model/resource-meta.ts';
import { type AnalysisRule, finding, labelWords } from '../analysis-rule.ts';

interface Selecting {
  readonly meta: ResourceMeta;
  readonly selector: Readonly<Record<string, string>> | undefined;
}

export const selectorWithoutWorkload: AnalysisRule = {
  codes: ['IST0127'],
  check({ mesh, workloads, workloadsElsewhere }) {
    if (workloadsElsewhere) return [];
    const { rootNamespace } = mesh.config;
    const all: readonly Selecting[] = [
      ...mesh.sidecars.map(({ meta, workloadSelector: selector }) => ({ meta, selector })),
      ...mesh.destinationRules.map(({ meta, workloadSelector: selector }) => ({ meta, selector })),
      ...mesh.envoyFilters.map(({ meta, workloadSelector: selector }) => ({ meta, selector })),
      ...mesh.proxyConfigs,
      ...mesh.peerAuthentications.map(({ meta, selector }) => ({ meta, selector })),
    ];
    return all.flatMap(({ meta, selector }) => {
      if (selector === undefined || Object.keys(selector).length === 0) return [];
      const there = workloads.filter(
        ({ namespace }) => namespace === meta.namespace || meta.namespace === rootNamespace,
      );
      // Of a namespace without any the files say nothing: its workloads come from elsewhere.
      if (there.length === 0 || there.some(({ labels }) => hasLabels(labels, selector))) return [];
      const message = `no workload of namespace ${meta.namespace} has the labels ${labelWords(selector)}`;
      return [
        finding('IST0127', 'warning', meta, 'spec', message, 'Correct the selector, or the labels of the workloads.'),
      ];
    });
  },
};
