/** Copies of requests, which go to other destinations and whose answers nobody waits for. */
import type { Mirror } from '../../model/virtual-service.ts';
import type { ResolvedDestination } from '../view/destination.ts';
import { fraction } from './fractions.ts';
import type { RouteAction } from './route-action.ts';

/** Copies keep the host of the request, and are not traced. */
export function mirrorPolicies(
  mirrors: readonly Mirror[],
  resolve: (destination: Mirror['destination']) => ResolvedDestination,
): NonNullable<RouteAction['requestMirrorPolicies']> {
  return mirrors
    .filter(({ percent }) => percent > 0)
    .map(({ destination, percent }) => ({
      cluster: resolve(destination).cluster,
      runtimeFraction: { defaultValue: fraction(percent) },
      traceSampled: false,
      disableShadowHostSuffixAppend: true,
    }));
}
