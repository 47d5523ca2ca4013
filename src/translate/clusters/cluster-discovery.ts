/** How Envoy comes by the endpoints of a cluster. */
import { fromBinary, type MessageInitShape } from '@bufbuild/protobuf';
import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  type ClusterSchema,
} from '../../gen/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterLoadAssignmentSchema } from '../../gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import {
  DnsCluster_DnsLookupFamily,
  DnsClusterSchema,
} from '../../gen/envoy/extensions/clusters/dns/v3/dns_cluster_pb.ts';
import type { Endpoint, Resolution, ServicePort } from '../../model/service.ts';
import { ADS } from '../config-source.ts';
import { duration, pack } from '../messages.ts';
import { dynamicDnsCluster } from './dynamic-dns.ts';
import { encodeLoadAssignment, type LoadAssignmentSpec } from './load-assignment.ts';

type ClusterInit = MessageInitShape<typeof ClusterSchema>;

/** Whether endpoints are what the caller asks for, so that no load is balanced. */
export function isChosenByCaller(resolution: Resolution): resolution is 'ORIGINAL_DST' | 'DYNAMIC_DNS' {
  return resolution === 'ORIGINAL_DST' || resolution === 'DYNAMIC_DNS';
}

/** The fields of a cluster of names that Envoy resolves. */
function resolvedByEnvoy(
  assignmentSpec: LoadAssignmentSpec,
  endpoints: readonly Endpoint[],
  refreshMs: number,
  allAddressesInSingleEndpoint: boolean,
): Pick<ClusterInit, 'clusterDiscoveryType' | 'loadAssignment'> {
  const typedConfig = pack(DnsClusterSchema, {
    dnsRefreshRate: duration(refreshMs),
    // Sooner after a failure, and spread so that a fleet does not ask at once.
    dnsFailureRefreshRate: { baseInterval: duration(1000), maxInterval: duration(10_000) },
    respectDnsTtl: true,
    dnsJitter: duration(1000),
    dnsLookupFamily: DnsCluster_DnsLookupFamily.V4_PREFERRED,
    allAddressesInSingleEndpoint,
  });
  return {
    clusterDiscoveryType: { case: 'clusterType', value: { name: 'envoy.cluster.dns', typedConfig } },
    loadAssignment: fromBinary(ClusterLoadAssignmentSchema, encodeLoadAssignment(assignmentSpec, endpoints)),
  };
}

export interface DiscoverySpec {
  readonly resolution: Resolution;
  readonly port: Pick<ServicePort, 'targetPort'>;
  readonly assignment: LoadAssignmentSpec;
  /** Of a service that is resolved by DNS. */
  readonly dnsEndpoints: readonly Endpoint[];
  readonly dnsRefreshMs: number;
}

/**
 * By EDS under the assignment's name, by resolving the names of `dnsEndpoints`, or by what the caller asks for. What it
 * says of balancing load goes before a rule's.
 */
export function discovery(
  spec: DiscoverySpec,
): Pick<ClusterInit, 'clusterDiscoveryType' | 'edsClusterConfig' | 'loadAssignment' | 'lbPolicy' | 'lbConfig'> {
  const { resolution, assignment, dnsEndpoints, dnsRefreshMs: refreshMs } = spec;
  switch (resolution) {
    case 'EDS':
      return {
        clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.EDS },
        edsClusterConfig: { edsConfig: ADS, serviceName: assignment.cluster },
      };
    case 'STRICT_DNS':
      return resolvedByEnvoy(assignment, dnsEndpoints, refreshMs, false);
    case 'LOGICAL_DNS':
      // Envoy takes exactly one name in this form.
      return resolvedByEnvoy(assignment, dnsEndpoints, refreshMs, dnsEndpoints.length === 1);
    case 'DYNAMIC_DNS':
      return dynamicDnsCluster(refreshMs);
    case 'ORIGINAL_DST': {
      const { targetPort } = spec.port;
      return {
        clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST },
        lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
        ...(targetPort !== undefined && {
          lbConfig: { case: 'originalDstLbConfig', value: { upstreamPortOverride: targetPort } },
        }),
      };
    }
  }
}
