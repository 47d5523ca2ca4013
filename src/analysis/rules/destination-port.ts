/** IST0112: a route leads to a service of several ports and says none. */
import { destinationsOf } from '../../sources/virtual-service-destinations.ts';
import { type AnalysisRule, finding } from '../analysis-rule.ts';

export const destinationPort: AnalysisRule = {
  codes: ['IST0112'],
  check({ mesh, lookUp }) {
    return mesh.virtualServices.flatMap((virtualService) =>
      destinationsOf(virtualService).flatMap(({ path, destination }) => {
        const service = lookUp(destination.host);
        if (service === 'missing' || service === 'unknown' || destination.port !== undefined) return [];
        // To the service itself it is the port that was called.
        if (service.ports.length < 2 || virtualService.hosts.includes(service.host)) return [];
        const ports = service.ports.map(({ number }) => number).join(', ');
        const message = `${service.host} has several ports (${ports}) and none is named; the port that was called is taken, if it has that`;
        return [
          finding(
            'IST0112',
            'error',
            virtualService.meta,
            `${path}.port`,
            message,
            'Name the port: "port: { number: … }".',
          ),
        ];
      }),
    );
  },
};
