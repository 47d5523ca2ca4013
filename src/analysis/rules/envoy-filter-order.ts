/** IST0151: patches that depend on what other EnvoyFilters did before, without a priority that says their order. */
import type { EnvoyPatch } from '../../model/envoy-filter.ts';
import { type AnalysisRule, finding } from '../analysis-rule.ts';

const FILTERS = new Set(['HTTP_FILTER', 'NETWORK_FILTER', 'LISTENER_FILTER']);
const RELATIVE = new Set(['INSERT_BEFORE', 'INSERT_AFTER', 'INSERT_FIRST', 'REPLACE', 'MERGE', 'REMOVE']);

export const envoyFilterOrder: AnalysisRule = {
  codes: ['IST0151'],
  check({ mesh }) {
    const touching = (patch: EnvoyPatch): number =>
      mesh.envoyFilters.filter(({ patches }) => patches.some(({ applyTo }) => applyTo === patch.applyTo)).length;
    return mesh.envoyFilters.flatMap(({ meta, patches, priority }) =>
      patches.flatMap((patch, i) => {
        const isRelative = RELATIVE.has(patch.operation) && FILTERS.has(patch.applyTo);
        if (priority !== 0 || !isRelative || touching(patch) < 2) return [];
        const message = `${patch.operation} depends on what other EnvoyFilters have done to ${patch.applyTo} before, and the priority is 0`;
        const remedy = 'Set "priority" of the EnvoyFilters.';
        return [finding('IST0151', 'warning', meta, `spec.configPatches[${i}]`, message, remedy, patch.source)];
      }),
    );
  },
};
