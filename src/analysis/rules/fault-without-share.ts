/** TRY0502: a fault for 0 % of the requests, which is what one without a percentage is. */
import { type AnalysisRule, finding } from '../analysis-rule.ts';

export const faultWithoutShare: AnalysisRule = {
  codes: ['TRY0502'],
  check({ mesh }) {
    return mesh.virtualServices.flatMap(({ meta, http }) =>
      http.flatMap(({ fault, source }, i) =>
        (['delay', 'abort'] as const).flatMap((kind) =>
          fault?.[kind]?.percent === 0
            ? [
                finding(
                  'TRY0502',
                  'warning',
                  meta,
                  `spec.http[${i}].fault.${kind}`,
                  'it is for 0 % of the requests, as without a percentage',
                  'Add "percentage: { value: 100 }", or remove the fault.',
                  source ?? meta.source,
                ),
              ]
            : [],
        ),
      ),
    );
  },
};
