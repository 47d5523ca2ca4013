/** IST0101, IST0132: a VirtualService is bound to a Gateway that there is not, or whose servers have none of its hosts. */
import { MESH_GATEWAY } from '../../model/virtual-service.ts';
import { within } from '../../translate/gateway/gateway-rules.ts';
import { type AnalysisRule, finding } from '../analysis-rule.ts';

export const gatewayReference: AnalysisRule = {
  codes: ['IST0101', 'IST0132'],
  check({ mesh }) {
    const gateways = new Map(
      mesh.gateways.map((gateway) => [`${gateway.meta.namespace}/${gateway.meta.name}`, gateway]),
    );
    return mesh.virtualServices.flatMap(({ meta, hosts, gateways: names = [] }) =>
      names.flatMap((name, i) => {
        if (name === MESH_GATEWAY) return [];
        const gateway = gateways.get(name);
        const path = `spec.gateways[${i}]`;
        if (gateway === undefined)
          return [
            finding(
              'IST0101',
              'error',
              meta,
              path,
              `there is no Gateway ${name}`,
              'Correct the name, or add the Gateway.',
            ),
          ];
        return hosts.flatMap((host, j) => {
          const served = gateway.servers.some((server) => within(server.hosts, meta.namespace, [host]).length > 0);
          if (served) return [];
          const message = `no server of Gateway ${name} takes ${host} for namespace ${meta.namespace}`;
          return [
            finding(
              'IST0132',
              'warning',
              meta,
              `spec.hosts[${j}]`,
              message,
              'Add the host to a server of the Gateway, or remove it here.',
            ),
          ];
        });
      }),
    );
  },
};
