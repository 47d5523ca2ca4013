/** IST0173: a subset of a DestinationRule has none of the endpoints of its service. */
import { hasLabels } from '../../model/labels.ts';
import { type AnalysisRule, finding, labelWords } from '../analysis-rule.ts';

export const emptySubset: AnalysisRule = {
  codes: ['IST0173'],
  check({ mesh }) {
    return mesh.destinationRules.flatMap(({ meta, host, subsets }) => {
      const endpoints = mesh.endpoints.get(host) ?? [];
      // Without any the service is not known, or has other trouble than this.
      if (endpoints.length === 0) return [];
      return subsets.flatMap(({ name, labels }, i) => {
        if (endpoints.some((endpoint) => hasLabels(endpoint.labels, labels))) return [];
        const message = `no endpoint of ${host} has the labels ${labelWords(labels)} of subset "${name}"; requests to it fail with 503 UH`;
        return [
          finding('IST0173', 'error', meta, `spec.subsets[${i}]`, message, 'Correct the labels, or remove the subset.'),
        ];
      });
    });
  },
};
