/** IST0177: two ServiceEntries give one port of a host different protocols. */
import { describeObject, type ResourceMeta } from '../../model/resource-meta.ts';
import type { Protocol } from '../../model/service.ts';
import { type AnalysisRule, finding } from '../analysis-rule.ts';

export const serviceEntryProtocols: AnalysisRule = {
  codes: ['IST0177'],
  check({ serviceEntries }) {
    const first = new Map<string, { readonly meta: ResourceMeta; readonly protocol: Protocol }>();
    return serviceEntries.flatMap(({ meta, hosts, ports }) =>
      hosts.flatMap((host) =>
        ports.flatMap(({ number, protocol }, i) => {
          const key = `${host}:${number}`;
          const owner = first.get(key);
          first.set(key, owner ?? { meta, protocol });
          if (owner === undefined || owner.meta === meta || owner.protocol === protocol) return [];
          const message = `${key} is ${protocol} here and ${owner.protocol} in ${describeObject(owner.meta)}, which is older`;
          return [
            finding('IST0177', 'warning', meta, `spec.ports[${i}].protocol`, message, 'Agree on one protocol in both.'),
          ];
        }),
      ),
    );
  },
};
