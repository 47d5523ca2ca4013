/**
 * Hosts whose names nobody knows before they are called: the name that a request or a TLS connection asks for is resolved
 * then. https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/http/http_proxy
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  Cluster_DnsLookupFamily,
  Cluster_LbPolicy,
  type ClusterSchema,
} from '../../gen/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterConfigSchema } from '../../gen/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.ts';
import type { DnsCacheConfigSchema } from '../../gen/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache_pb.ts';
import { FilterConfigSchema } from '../../gen/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.ts';
import type { HttpFilterSchema } from '../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { FilterConfigSchema as SniFilterConfigSchema } from '../../gen/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy_pb.ts';
import type { Mesh } from '../../model/mesh.ts';
import type { MeshConfig } from '../../model/mesh-config.ts';
import type { NetworkFilter } from '../listeners/network-filters.ts';
import { duration, type Fields, pack } from '../messages.ts';

/** As often as Istio asks for names. */
export const DNS_REFRESH_MS = 60_000;

/** How often names are resolved anew. */
export function dnsRefreshMs({ dnsRefreshRateMs }: Pick<MeshConfig, 'dnsRefreshRateMs'>): number {
  return dnsRefreshRateMs ?? DNS_REFRESH_MS;
}

/**
 * Filters and clusters find each other's answers by the cache's name, and Envoy refuses two configurations of one name:
 * the name says what is in it.
 */
function dnsCache(refreshMs: number): MessageInitShape<typeof DnsCacheConfigSchema> {
  return {
    name: `dynamic-dns-${refreshMs}`,
    dnsLookupFamily: Cluster_DnsLookupFamily.V4_PREFERRED,
    dnsRefreshRate: duration(refreshMs),
    dnsFailureRefreshRate: { baseInterval: duration(1000), maxInterval: duration(10_000) },
  };
}

/** The fields of a cluster whose endpoints are what is asked for. */
export function dynamicDnsCluster(
  refreshMs: number,
): Pick<MessageInitShape<typeof ClusterSchema>, 'clusterDiscoveryType' | 'lbPolicy'> {
  return {
    clusterDiscoveryType: {
      case: 'clusterType',
      value: {
        name: 'envoy.clusters.dynamic_forward_proxy',
        typedConfig: pack(ClusterConfigSchema, {
          clusterImplementationSpecifier: { case: 'dnsCacheConfig', value: dnsCache(refreshMs) },
          // Else Envoy wants options of TLS to be set where there is none.
          allowInsecureClusterOptions: true,
        }),
      },
    },
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
  };
}

/** Resolves the host of requests to such clusters; those to others pass. */
export function dynamicDnsHttpFilter(refreshMs: number): Fields<typeof HttpFilterSchema> {
  return {
    name: 'envoy.filters.http.dynamic_forward_proxy',
    configType: {
      case: 'typedConfig',
      value: pack(FilterConfigSchema, {
        implementationSpecifier: { case: 'dnsCacheConfig', value: dnsCache(refreshMs) },
      }),
    },
  };
}

/** Resolves the server name that a TLS connection asks for, to be called on `port`. */
export function dynamicDnsSniFilter(refreshMs: number, port: number): NetworkFilter {
  return {
    name: 'envoy.filters.network.sni_dynamic_forward_proxy',
    configType: {
      case: 'typedConfig',
      value: pack(SniFilterConfigSchema, {
        dnsCacheConfig: dnsCache(refreshMs),
        portSpecifier: { case: 'portValue', value: port },
      }),
    },
  };
}

const RESOLVED = new WeakMap<Mesh['services'], boolean>();

/**
 * How often names are resolved anew that requests ask for; undefined where no service of the mesh is of that kind, and
 * no listener needs the filter.
 */
export function dynamicDnsOf({ services, config }: Pick<Mesh, 'services' | 'config'>): number | undefined {
  let used = RESOLVED.get(services);
  if (used === undefined) {
    used = [...services.values()].some(({ resolution }) => resolution === 'DYNAMIC_DNS');
    RESOLVED.set(services, used);
  }
  return used || config.outboundTrafficPolicy === 'ALLOW_ANY_DYNAMIC_DNS' ? dnsRefreshMs(config) : undefined;
}
