/** IST0110, IST0111: several Sidecars of a namespace are for the same workloads. */
import { hasLabels } from '../../model/labels.ts';
import { describeObject } from '../../model/resource-meta.ts';
import type { Sidecar } from '../../model/sidecar.ts';
import { type AnalysisRule, finding } from '../analysis-rule.ts';

export const sidecarOverlap: AnalysisRule = {
  codes: ['IST0110', 'IST0111'],
  check({ mesh, workloads }) {
    const bySelf = (one: Sidecar, other: Sidecar): boolean => {
      if (one.workloadSelector === undefined || other.workloadSelector === undefined) return false;
      const [a, b] = [one.workloadSelector, other.workloadSelector];
      const equal = hasLabels(b, a) && hasLabels(a, b);
      return (
        equal ||
        workloads.some(
          ({ namespace, labels }) => namespace === one.meta.namespace && hasLabels(labels, a) && hasLabels(labels, b),
        )
      );
    };
    return mesh.sidecars.flatMap((sidecar, i) => {
      const { meta } = sidecar;
      const older = mesh.sidecars.slice(0, i).filter((other) => other.meta.namespace === meta.namespace);
      const same = older.find((other) => bySelf(sidecar, other));
      const plain =
        sidecar.workloadSelector === undefined
          ? older.find(({ workloadSelector }) => workloadSelector === undefined)
          : undefined;
      const remedy = 'Join the two, or make their selectors exclude each other.';
      return [
        ...(same === undefined
          ? []
          : [
              finding(
                'IST0110',
                'error',
                meta,
                'spec.workloadSelector',
                `${describeObject(same.meta)} is older, selects the same workloads and holds`,
                remedy,
              ),
            ]),
        ...(plain === undefined
          ? []
          : [
              finding(
                'IST0111',
                'error',
                meta,
                undefined,
                `${describeObject(plain.meta)} has no selector either, is older and holds`,
                'Keep one Sidecar without a selector in a namespace.',
              ),
            ]),
      ];
    });
  },
};
