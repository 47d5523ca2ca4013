/** Everything that a VirtualService can lead to, with its place. */
import type { Mirror, VirtualService } from '../model/virtual-service.ts';

export interface PlacedDestination {
  /** Below the resource, such as `spec.http[0].route[1].destination`. */
  readonly path: string;
  readonly destination: Mirror['destination'];
}

/** In the order in which they stand: HTTP routes with their mirrors, TLS, TCP. */
export function destinationsOf({ http, tls = [], tcp = [] }: VirtualService): readonly PlacedDestination[] {
  const ofRoutes = (
    kind: string,
    routes: readonly { readonly destinations: readonly Mirror['destination'][] }[],
  ): readonly PlacedDestination[] =>
    routes.flatMap(({ destinations }, i) =>
      destinations.map((destination, j) => ({ path: `spec.${kind}[${i}].route[${j}].destination`, destination })),
    );
  const mirrors = http.flatMap((route, i) =>
    (route.mirrors ?? []).map(({ destination }, j) => ({ path: `spec.http[${i}].mirrors[${j}]`, destination })),
  );
  return [...ofRoutes('http', http), ...mirrors, ...ofRoutes('tls', tls), ...ofRoutes('tcp', tcp)];
}
