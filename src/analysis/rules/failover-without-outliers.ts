/** TRY0501: a failover between localities that never happens, since nobody tells which endpoints fail. */
import { type AnalysisRule, finding } from '../analysis-rule.ts';

export const failoverWithoutOutliers: AnalysisRule = {
  codes: ['TRY0501'],
  check({ mesh }) {
    const byDefault = mesh.config.defaultTrafficPolicy?.outlierDetection !== undefined;
    return mesh.destinationRules.flatMap(({ meta, trafficPolicy, subsets }) =>
      [
        { blocks: trafficPolicy, inherited: undefined, path: 'spec.trafficPolicy' },
        ...subsets.map((subset, i) => ({
          blocks: subset.trafficPolicy,
          inherited: trafficPolicy,
          path: `spec.subsets[${i}].trafficPolicy`,
        })),
      ].flatMap(({ blocks, inherited, path }) => {
        const { failover = [], failoverPriority = [], enabled = false } = blocks?.loadBalancer?.locality ?? {};
        const wanted = enabled && failover.length + failoverPriority.length > 0;
        if (!wanted || byDefault || (blocks?.outlierDetection ?? inherited?.outlierDetection) !== undefined) return [];
        const message =
          'there is no outlierDetection, so that failing endpoints are never left and the failover never happens';
        return [
          finding(
            'TRY0501',
            'warning',
            meta,
            `${path}.loadBalancer.localityLbSetting`,
            message,
            'Add outlierDetection beside it.',
          ),
        ];
      }),
    );
  },
};
