/** How Envoy connects to an application of this host. */
import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  type ClusterSchema,
} from '../../gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { AddressSchema, SocketAddressSchema } from '../../gen/envoy/config/core/v3/address_pb.ts';
import type { Fields } from '../messages.ts';
import type { TakenPort } from './inbound-ports.ts';

function socketAddress(address: string, port: number): Fields<typeof SocketAddressSchema> {
  return { address, portSpecifier: { case: 'portValue', value: port } };
}

/** Istio's: by their source the rules of capture know connections that have come through Envoy already. */
const FROM_ENVOY: Pick<Fields<typeof ClusterSchema>, 'upstreamBindConfig'> = {
  upstreamBindConfig: {
    sourceAddress: socketAddress('127.0.0.6', 0),
    extraSourceAddresses: [{ address: socketAddress('::6', 0) }],
    freebind: true,
  },
};

function isAnyAddress(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

/** One endpoint that never changes. */
function fixed(
  clusterName: string,
  address: NonNullable<Fields<typeof AddressSchema>['address']>,
): Pick<Fields<typeof ClusterSchema>, 'clusterDiscoveryType' | 'loadAssignment'> {
  const endpoint = { address: { address } };
  return {
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    loadAssignment: {
      clusterName,
      endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: 'endpoint', value: endpoint } }] }],
    },
  };
}

/**
 * The fields of the application's cluster that say where it is. An application that listens on the very address and port
 * that peers dial, because connections are captured, is called where its caller wanted to go.
 */
export function applicationAddress(
  cluster: string,
  { listen, application, capture }: TakenPort,
): Pick<
  Fields<typeof ClusterSchema>,
  'clusterDiscoveryType' | 'lbPolicy' | 'lbConfig' | 'loadAssignment' | 'upstreamBindConfig'
> {
  if ('path' in application) return fixed(cluster, { case: 'pipe', value: { path: application.path } });
  const { address, port } = application;
  if (capture !== undefined && (address === listen.address || isAnyAddress(address)))
    return {
      clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST },
      lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
      ...(port !== listen.port && {
        lbConfig: { case: 'originalDstLbConfig', value: { upstreamPortOverride: port } },
      }),
      // The source of the other kind of capture is the caller's own.
      ...(capture === 'redirect' && FROM_ENVOY),
    };
  return fixed(cluster, { case: 'socketAddress', value: socketAddress(address, port) });
}
