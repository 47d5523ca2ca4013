/** Clusters of mode `observe`: plain connections, one for each of the caller's, without limits, retries or waits. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { ClusterSchema } from '../../gen/envoy/config/cluster/v3/cluster_pb.ts';
import { HttpProtocolOptionsSchema } from '../../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import type { Workload } from '../../model/host.ts';
import type { Endpoint, Service, ServicePort } from '../../model/service.ts';
import type { Resource } from '../../xds/resource.ts';
import { circuitBreakers } from '../clusters/circuit-breakers.ts';
import { discovery } from '../clusters/cluster-discovery.ts';
import { clusterMetadata } from '../clusters/cluster-metadata.ts';
import { DNS_REFRESH_MS } from '../clusters/dynamic-dns.ts';
import type { LoadAssignmentSpec } from '../clusters/load-assignment.ts';
import { applicationAddress } from '../inbound/application-address.ts';
import type { TakenPort } from '../inbound/inbound-ports.ts';
import { duration, pack, resource } from '../messages.ts';
import { observedClusterName, statName } from '../names.ts';
import { UNCHANGED_HTTP1, UNLIMITED_HTTP } from './observe-http.ts';

/** Somewhat longer than the kernel itself tries (some 130 s with its defaults), so that it is the kernel that gives up. */
const CONNECT_TIMEOUT_MS = 140_000;

/**
 * The fields that every cluster of mode `observe` has. HTTP goes on in the version that the caller speaks. A connection
 * of the caller has connections of its own to the other side, which end with it: what is bound to a connection (NTLM,
 * rate limits, affinity) stays so.
 */
export function observeClusterFields(
  name: string,
): Pick<
  MessageInitShape<typeof ClusterSchema>,
  | 'name'
  | 'altStatName'
  | 'connectTimeout'
  | 'circuitBreakers'
  | 'connectionPoolPerDownstreamConnection'
  | 'commonLbConfig'
  | 'typedExtensionProtocolOptions'
> {
  return {
    name,
    altStatName: statName(name),
    connectTimeout: duration(CONNECT_TIMEOUT_MS),
    circuitBreakers: circuitBreakers(undefined),
    connectionPoolPerDownstreamConnection: true,
    commonLbConfig: { healthyPanicThreshold: { value: 0 } },
    typedExtensionProtocolOptions: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': pack(HttpProtocolOptionsSchema, {
        commonHttpProtocolOptions: UNLIMITED_HTTP,
        upstreamProtocolOptions: {
          case: 'useDownstreamProtocolConfig',
          value: { httpProtocolOptions: UNCHANGED_HTTP1, http2ProtocolOptions: { allowConnect: true } },
        },
      }),
    },
  };
}

/** The cluster of an application on this host. */
export function observeInboundCluster(name: string, workload: Workload, inbound: TakenPort): Resource {
  return resource(name, ClusterSchema, {
    ...observeClusterFields(name),
    ...applicationAddress(name, inbound),
    metadata: clusterMetadata({
      host: workload.serviceHost,
      name: workload.service,
      namespace: workload.namespace,
    }),
  });
}

/**
 * The cluster of one port of a service that observed callers use; undefined where the service demands mutual TLS, which
 * `observe` does not speak.
 * @param endpoints those of a service that Envoy resolves itself; of others they come by EDS, under the cluster's name
 */
export function observeOutboundCluster(
  service: Service,
  port: ServicePort,
  endpoints: readonly Endpoint[],
  name = observedClusterName(port.number, service.host),
): Resource | undefined {
  if (service.tls === 'required') return undefined;
  return resource(name, ClusterSchema, {
    ...observeClusterFields(name),
    ...discovery({
      resolution: service.resolution,
      port,
      assignment: observedAssignment(name, port),
      dnsEndpoints: endpoints,
      dnsRefreshMs: DNS_REFRESH_MS,
    }),
    metadata: clusterMetadata(service),
  });
}

/** How the endpoints of an observed service are to be encoded. */
export function observedAssignment(cluster: string, port: ServicePort): LoadAssignmentSpec {
  return { cluster, servicePort: port.number, marksTls: false, spread: undefined };
}
