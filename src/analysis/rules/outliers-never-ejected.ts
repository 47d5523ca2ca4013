/** TRY0505: outlier detection that ejects nobody, as the share that may be ejected is less than one endpoint. */
import type { OutlierDetection } from '../../model/destination-rule.ts';
import { hasLabels } from '../../model/labels.ts';
import { type AnalysisRule, finding } from '../analysis-rule.ts';

/** Envoy's, where nothing is said. */
const DEFAULT_PERCENT = 10;

function ejectsNobody(outlier: OutlierDetection | undefined, endpoints: number): boolean {
  if (outlier === undefined || outlier.alwaysEjectOneHost) return false;
  // Of one endpoint alone nobody wants any to be ejected.
  return endpoints > 1 && endpoints * (outlier.maxEjectionPercent ?? DEFAULT_PERCENT) < 100;
}

export const outliersNeverEjected: AnalysisRule = {
  codes: ['TRY0505'],
  check({ mesh }) {
    return mesh.destinationRules.flatMap(({ meta, host, trafficPolicy, subsets }) => {
      const endpoints = mesh.endpoints.get(host) ?? [];
      const whole = trafficPolicy?.outlierDetection;
      const parts = [
        { outlier: whole, count: endpoints.length, what: host, path: 'spec.trafficPolicy' },
        ...subsets.map(({ name, labels, trafficPolicy: own }, i) => ({
          outlier: own?.outlierDetection ?? whole,
          count: endpoints.filter((endpoint) => hasLabels(endpoint.labels, labels)).length,
          what: `subset "${name}" of ${host}`,
          path: own?.outlierDetection === undefined ? 'spec.trafficPolicy' : `spec.subsets[${i}].trafficPolicy`,
        })),
      ];
      const found = parts.find(({ outlier, count }) => ejectsNobody(outlier, count));
      if (found === undefined) return [];
      const { outlier, count, what, path } = found;
      const percent = outlier?.maxEjectionPercent;
      const share = percent === undefined ? `${DEFAULT_PERCENT} (the default)` : `${percent}`;
      return [
        finding(
          'TRY0505',
          'warning',
          meta,
          `${path}.outlierDetection`,
          `no endpoint of ${what} is ever ejected: maxEjectionPercent ${share} of ${count} is less than one`,
          `Write maxEjectionPercent: ${Math.ceil(100 / count)} or more, or alwaysEjectOneHost: true.`,
        ),
      ];
    });
  },
};
