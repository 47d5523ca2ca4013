/** IST0145: Gateways for the same hosts ask for one port or host; decided as a gateway host would. */
import { type Diagnostic } from '../../model/diagnostic.ts';
import { mergeServers } from '../../translate/gateway/gateway-servers.ts';
import { type AnalysisRule, labelKey } from '../analysis-rule.ts';

export const gatewayConflict: AnalysisRule = {
  codes: ['IST0145'],
  check({ mesh }) {
    const roles = new Map(mesh.gateways.map(({ selector }) => [labelKey(selector), selector]));
    const found = new Map<string, Diagnostic>();
    for (const labels of roles.values()) {
      const role = { namespace: '', name: '', serviceHost: '', labels, identity: undefined, address: '0.0.0.0' };
      for (const conflict of mergeServers(mesh.gateways, role).conflicts) found.set(JSON.stringify(conflict), conflict);
    }
    return [...found.values()];
  },
};
