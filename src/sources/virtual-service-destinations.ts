/** Everything that a VirtualService can lead to, with its place. */
import type { SourceLocation } from '../model/diagnostic.ts';
import type { Mirror, VirtualService } from '../model/virtual-service.ts';

export interface PlacedDestination {
  /** Below the resource, such as `spec.http[0].route[1].destination`. */
  readonly path: string;
  readonly destination: Mirror['destination'];
  /** The route that leads there, where that is known. */
  readonly source?: SourceLocation | undefined;
}

/** In the order in which they stand: HTTP routes with their mirrors, TLS, TCP. */
export function destinationsOf({ http, tls = [], tcp = [] }: VirtualService): readonly PlacedDestination[] {
  const ofRoutes = (
    kind: string,
    routes: readonly {
      readonly destinations: readonly Mirror['destination'][];
      readonly source?: SourceLocation | undefined;
    }[],
  ): readonly PlacedDestination[] =>
    routes.flatMap(({ destinations, source }, i) =>
      destinations.map((destination, j) => ({
        path: `spec.${kind}[${i}].route[${j}].destination`,
        destination,
        source,
      })),
    );
  const mirrors = http.flatMap((route, i) =>
    (route.mirrors ?? []).map(({ destination }, j) => ({
      path: `spec.http[${i}].mirrors[${j}]`,
      destination,
      source: route.source,
    })),
  );
  return [...ofRoutes('http', http), ...mirrors, ...ofRoutes('tls', tls), ...ofRoutes('tcp', tcp)];
}
