/** TRY0506: a route to a subset that callers of other namespaces do not have, since the rule with it is not for them. */
import { describeObject } from '../../model/resource-meta.ts';
import { MESH_GATEWAY } from '../../model/virtual-service.ts';
import { destinationsOf } from '../../sources/virtual-service-destinations.ts';
import { gatewaysOf } from '../../translate/http/client-conditions.ts';
import { chooseRules } from '../../translate/view/destination-rule-choice.ts';
import { bestSpecificity } from '../../translate/view/host-pattern.ts';
import { hasAuthority } from '../../translate/view/virtual-service-choice.ts';
import { isVisible } from '../../translate/view/visibility.ts';
import { type AnalysisRule, finding } from '../analysis-rule.ts';

export const subsetOutOfReach: AnalysisRule = {
  codes: ['TRY0506'],
  check({ mesh, workloads }) {
    const { config, destinationRules } = mesh;
    const { rootNamespace, defaultDestinationRuleExportTo } = config;
    const namespaces = [...new Set(workloads.map(({ namespace }) => namespace))].toSorted();
    return mesh.virtualServices.flatMap((virtualService) => {
      const { meta, exportTo } = virtualService;
      if (!gatewaysOf(virtualService).includes(MESH_GATEWAY)) return [];
      return destinationsOf(virtualService).flatMap(({ path, destination, source = meta.source }) => {
        const { host, subset } = destination;
        const service = mesh.services.get(host);
        if (service === undefined || subset === undefined) return [];
        const has = (rule: (typeof destinationRules)[number]): boolean =>
          rule.subsets.some(({ name }) => name === subset);
        const names = [host, ...service.aliases];
        const holder = destinationRules.find((rule) => has(rule) && bestSpecificity([rule.host], names) !== undefined);
        // Those of the service's namespace and of the root's hold for everybody, or are kept from some on purpose.
        if (holder === undefined || [service.namespace, rootNamespace].includes(holder.meta.namespace)) return [];
        const without = namespaces.filter(
          (namespace) =>
            isVisible(exportTo, meta.namespace, namespace) &&
            hasAuthority(meta, { client: namespace, service: service.namespace, root: rootNamespace }) &&
            !chooseRules(destinationRules, service, {
              namespace,
              rootNamespace,
              labels: {},
              ...(defaultDestinationRuleExportTo !== undefined && { defaultExportTo: defaultDestinationRuleExportTo }),
            }).some(has),
        );
        if (without.length === 0) return [];
        const where = `namespace${without.length === 1 ? '' : 's'} ${without.slice(0, 3).join(', ')}${without.length > 3 ? ` and ${without.length - 3} more` : ''}`;
        return [
          finding(
            'TRY0506',
            'warning',
            meta,
            `${path}.subset`,
            `callers of ${where} have no subset "${subset}" of ${host}, so that their requests fail: ${describeObject(holder.meta)} is for callers of ${holder.meta.namespace} alone`,
            `Move the rule to ${service.namespace}, the namespace of the service, or export the VirtualService to ${holder.meta.namespace} alone.`,
            source,
          ),
        ];
      });
    });
  },
};
