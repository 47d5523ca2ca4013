/** Where requests to a workload's port go: to its application, all of them. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { RouteConfigurationSchema } from '../../gen/envoy/config/route/v3/route_pb.ts';
import type { Protocol } from '../../model/service.ts';
import type { Resource } from '../../xds/resource.ts';
import { INBOUND_RETRY } from '../http/retry-policy.ts';
import { duration, resource } from '../messages.ts';
import type { FleetShare } from '../rate-limit/rate-limit-bucket.ts';
import { type AppliedLimit, limitSettings } from '../rate-limit/rate-limit-filters.ts';

export interface InboundRoutes {
  /** The application's; names the route configuration as well. */
  readonly cluster: string;
  /** As peers dial it. */
  readonly port: number;
  readonly protocol: Protocol;
  readonly limits: readonly AppliedLimit[];
}

/** @param share the instance's part of limits of the fleet; undefined: the whole */
export function inboundRoutes(
  { cluster, port, protocol, limits }: InboundRoutes,
  share?: FleetShare,
): MessageInitShape<typeof RouteConfigurationSchema> {
  const timeout = duration(0);
  return {
    name: cluster,
    virtualHosts: [
      {
        name: `inbound|http|${port}`,
        domains: ['*'],
        routes: [
          {
            name: 'default',
            match: { pathSpecifier: { case: 'prefix', value: '/' } },
            action: {
              case: 'route',
              value: {
                clusterSpecifier: { case: 'cluster', value: cluster },
                timeout,
                maxStreamDuration: { maxStreamDuration: timeout, grpcTimeoutHeaderMax: timeout },
                ...(protocol !== 'GRPC' && protocol !== 'GRPC-WEB' && { retryPolicy: INBOUND_RETRY }),
              },
            },
          },
        ],
        ...(limits.length > 0 && { typedPerFilterConfig: limitSettings(limits, share) }),
      },
    ],
    validateClusters: false,
  };
}

/** The same as a resource of its own, so that a change of figures touches no connection. */
export function inboundRouteConfig(routes: InboundRoutes, share: FleetShare | undefined): Resource {
  return resource(routes.cluster, RouteConfigurationSchema, inboundRoutes(routes, share));
}
