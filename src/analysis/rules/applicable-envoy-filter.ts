/** TRY0409, TRY0410: EnvoyFilters that are not applied, as translation itself decides. */
import { checkFilters } from '../../translate/patches/checked-filters.ts';
import type { AnalysisRule } from '../analysis-rule.ts';

export const applicableEnvoyFilter: AnalysisRule = {
  codes: ['TRY0409', 'TRY0410'],
  check: ({ mesh }) => checkFilters(mesh).diagnostics,
};
