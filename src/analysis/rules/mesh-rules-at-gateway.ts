/** IST0140: routes of the mesh choose among subsets of a service, and a gateway leads to it past them. */
import { describeObject } from '../../model/resource-meta.ts';
import { MESH_GATEWAY } from '../../model/virtual-service.ts';
import { gatewaysOf } from '../../translate/http/client-conditions.ts';
import { type AnalysisRule, finding } from '../analysis-rule.ts';

export const meshRulesAtGateway: AnalysisRule = {
  codes: ['IST0140'],
  check({ mesh }) {
    const ofMesh = mesh.virtualServices.filter(
      (one) =>
        gatewaysOf(one).every((gateway) => gateway === MESH_GATEWAY) &&
        one.http.some(({ destinations }) => destinations.some(({ subset }) => subset !== undefined)),
    );
    return mesh.virtualServices.flatMap((virtualService) => {
      const { meta, http } = virtualService;
      if (!gatewaysOf(virtualService).some((gateway) => gateway !== MESH_GATEWAY)) return [];
      return http.flatMap((route, i) =>
        route.destinations.flatMap(({ host, subset }, j) => {
          const passed = subset === undefined ? ofMesh.find(({ hosts }) => hosts.includes(host)) : undefined;
          if (passed === undefined || passed === virtualService) return [];
          const message = `the subsets that ${describeObject(passed.meta)} chooses for ${host} have no effect on requests of the gateway`;
          return [
            finding(
              'IST0140',
              'warning',
              meta,
              `spec.http[${i}].route[${j}].destination`,
              message,
              `Name the subsets here too, or bind ${describeObject(passed.meta)} to the gateway.`,
              route.source ?? meta.source,
            ),
          ];
        }),
      );
    });
  },
};
