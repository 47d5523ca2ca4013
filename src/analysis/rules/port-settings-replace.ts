/** TRY0504: settings of a port take away what the policy around them says: they replace it whole. */
import type { TrafficPolicyBlocks } from '../../model/destination-rule.ts';
import { type AnalysisRule, finding } from '../analysis-rule.ts';

const BLOCKS = [
  'loadBalancer',
  'connectionPool',
  'outlierDetection',
  'tls',
] as const satisfies readonly (keyof TrafficPolicyBlocks)[];

export const portSettingsReplace: AnalysisRule = {
  codes: ['TRY0504'],
  check({ mesh }) {
    return mesh.destinationRules.flatMap(({ meta, trafficPolicy }) =>
      (trafficPolicy?.portLevelSettings ?? []).flatMap((settings, i) => {
        const lost = BLOCKS.filter((block) => trafficPolicy?.[block] !== undefined && settings[block] === undefined);
        if (lost.length === 0) return [];
        const message = `at port ${settings.port} the defaults hold for ${lost.join(', ')}, not what the policy says: settings of a port replace it whole`;
        return [
          finding(
            'TRY0504',
            'info',
            meta,
            `spec.trafficPolicy.portLevelSettings[${i}]`,
            message,
            `Repeat ${lost.join(', ')} there, if that is not meant.`,
          ),
        ];
      }),
    );
  },
};
