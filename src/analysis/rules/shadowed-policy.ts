/** TRY0503: of two DestinationRules for one host in a namespace, what the newer one says again does not count. */
import { describeObject } from '../../model/resource-meta.ts';
import { type AnalysisRule, finding } from '../analysis-rule.ts';

export const shadowedPolicy: AnalysisRule = {
  codes: ['TRY0503'],
  check({ mesh }) {
    return mesh.destinationRules.flatMap((rule, i) => {
      const { meta, host, trafficPolicy, subsets, workloadSelector } = rule;
      const older = mesh.destinationRules
        .slice(0, i)
        .filter(
          (other) =>
            other.host === host &&
            other.meta.namespace === meta.namespace &&
            JSON.stringify([other.workloadSelector, other.exportTo]) ===
              JSON.stringify([workloadSelector, rule.exportTo]),
        );
      const policy = trafficPolicy === undefined ? undefined : older.find((other) => other.trafficPolicy !== undefined);
      return [
        ...(policy === undefined
          ? []
          : [
              finding(
                'TRY0503',
                'warning',
                meta,
                'spec.trafficPolicy',
                `${describeObject(policy.meta)} for ${host} is older, and its trafficPolicy holds`,
                'Join the two.',
              ),
            ]),
        ...subsets.flatMap(({ name }, j) => {
          const owner = older.find((other) => other.subsets.some((subset) => subset.name === name));
          return owner === undefined
            ? []
            : [
                finding(
                  'TRY0503',
                  'warning',
                  meta,
                  `spec.subsets[${j}]`,
                  `${describeObject(owner.meta)} has a subset "${name}" for ${host} already, which holds`,
                  'Join the two, or rename one.',
                ),
              ];
        }),
      ];
    });
  },
};
