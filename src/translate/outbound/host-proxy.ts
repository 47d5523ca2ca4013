/**
 * The listener through which applications call any service by the Host of their requests, as through an HTTP proxy. It
 * hands each request to the listener of the service that Envoy has anyway. A request for a Host that is not known yet
 * waits until the agent has learnt it, and begins anew: it meets the service's own rules.
 * https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/ext_authz_filter
 */
import { Cluster_DiscoveryType, ClusterSchema } from '../../gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { AddressSchema } from '../../gen/envoy/config/core/v3/address_pb.ts';
import type { VirtualHostSchema } from '../../gen/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '../../gen/envoy/config/route/v3/route_pb.ts';
import {
  ExtAuthzPerRouteSchema,
  ExtAuthzSchema,
} from '../../gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.ts';
import { HttpProtocolOptionsSchema } from '../../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import { StatusCode } from '../../gen/envoy/type/v3/http_status_pb.ts';
import type { HostProxy, SocketAddress } from '../../model/host.ts';
import type { Resource } from '../../xds/resource.ts';
import { ADS } from '../config-source.ts';
import type { HttpFilter } from '../http/http-filters.ts';
import type { AccessLog } from '../listeners/access-log.ts';
import { listener } from '../listeners/listener.ts';
import { httpConnectionManager } from '../listeners/network-filters.ts';
import { duration, type Fields, pack, resource } from '../messages.ts';
import { listenerName, statName } from '../names.ts';

/** The agent, asked for hosts. */
const GATE_CLUSTER = 'learner';
/** The proxy itself, once more. */
const AGAIN_CLUSTER = 'learner-again';
/** Of requests that have waited already. */
const LEARNT_HEADER = 'x-trysail-learnt';
/** For how long a request for a host that is not known waits. */
const GATE_TIMEOUT_MS = 2000;

const GATE = 'envoy.filters.http.ext_authz';

type Address = NonNullable<Fields<typeof AddressSchema>['address']>;

/** A port of a service, with everything that the Host of its requests may be. */
export interface ProxiedPort {
  /** `outbound|9080||reviews.default.mesh`. */
  readonly key: string;
  readonly domains: readonly string[];
  /** Where Envoy listens for it. */
  readonly listen: SocketAddress;
}

/** `proxy_127.0.0.1_15002`. */
export function proxyName({ listen }: HostProxy): string {
  return `proxy_${listenerName(listen)}`;
}

/** The cluster that hands requests to a port's own listener. */
export function proxiedClusterName({ key }: ProxiedPort): string {
  return `proxied|${key}`;
}

function toPort({ address, port }: SocketAddress): Address {
  return { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: port } } };
}

const SAME_PROTOCOL = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': pack(HttpProtocolOptionsSchema, {
    // A connection that is kept counts as use of the service.
    commonHttpProtocolOptions: { idleTimeout: duration(1000) },
    upstreamProtocolOptions: {
      case: 'useDownstreamProtocolConfig',
      value: { httpProtocolOptions: {}, http2ProtocolOptions: { allowConnect: true } },
    },
  }),
};

function localCluster(name: string, address: Address, sameProtocol: boolean): Resource {
  return resource(name, ClusterSchema, {
    name,
    altStatName: statName(name),
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    connectTimeout: duration(1000),
    ...(sameProtocol && { typedExtensionProtocolOptions: SAME_PROTOCOL }),
    loadAssignment: {
      clusterName: name,
      endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: 'endpoint', value: { address: { address } } } }] }],
    },
  });
}

/** The clusters of the agent's socket and of the proxy itself, by name. */
export function gateClusters({ listen, gate }: HostProxy): readonly (readonly [string, () => Resource])[] {
  return [
    [GATE_CLUSTER, () => localCluster(GATE_CLUSTER, { case: 'pipe', value: { path: gate.path } }, false)],
    [AGAIN_CLUSTER, () => localCluster(AGAIN_CLUSTER, toPort(listen), true)],
  ];
}

/** The cluster of a service's port. */
export function proxiedCluster(port: ProxiedPort): Resource {
  return localCluster(proxiedClusterName(port), toPort(port.listen), true);
}

const NOT_ASKED = {
  [GATE]: pack(ExtAuthzPerRouteSchema, { override: { case: 'disabled', value: true } }),
};

function virtualHost(port: ProxiedPort): Fields<typeof VirtualHostSchema> {
  return {
    name: port.key,
    domains: [...port.domains],
    requestHeadersToRemove: [LEARNT_HEADER],
    typedPerFilterConfig: NOT_ASKED,
    routes: [
      {
        name: 'default',
        match: { pathSpecifier: { case: 'prefix', value: '/' } },
        action: {
          case: 'route',
          value: {
            clusterSpecifier: { case: 'cluster', value: proxiedClusterName(port) },
            timeout: duration(0),
          },
        },
      },
    ],
  };
}

/** Requests for hosts that nobody knows: they wait, begin anew, and end here the second time. */
const UNKNOWN: Fields<typeof VirtualHostSchema> = {
  name: 'unknown',
  domains: ['*'],
  routes: [
    {
      name: 'unknown',
      match: {
        pathSpecifier: { case: 'prefix', value: '/' },
        headers: [{ name: LEARNT_HEADER, headerMatchSpecifier: { case: 'presentMatch', value: true } }],
      },
      typedPerFilterConfig: NOT_ASKED,
      action: {
        case: 'directResponse',
        value: {
          status: 502,
          body: {
            specifier: {
              case: 'inlineString',
              value: 'trysail: no service of the mesh has this name, or it may not be called from here\n',
            },
          },
        },
      },
    },
    {
      name: 'learn',
      match: { pathSpecifier: { case: 'prefix', value: '/' } },
      requestHeadersToAdd: [{ header: { key: LEARNT_HEADER, value: '1' } }],
      action: {
        case: 'route',
        value: { clusterSpecifier: { case: 'cluster', value: AGAIN_CLUSTER }, timeout: duration(0) },
      },
    },
  ],
};

/** The route configuration; of two ports with one domain the first has it. */
export function proxyRoutes(name: string, ports: readonly ProxiedPort[]): Resource {
  const taken = new Set<string>();
  const virtualHosts = ports.flatMap((port) => {
    const domains = port.domains.filter((domain) => !taken.has(domain));
    for (const domain of domains) taken.add(domain);
    return domains.length === 0 ? [] : [virtualHost({ ...port, domains })];
  });
  return resource(name, RouteConfigurationSchema, { name, virtualHosts: [...virtualHosts, UNKNOWN] });
}

function gate(): HttpFilter {
  return {
    name: GATE,
    configType: {
      case: 'typedConfig',
      value: pack(ExtAuthzSchema, {
        services: {
          case: 'httpService',
          value: {
            serverUri: {
              uri: 'http://learner',
              httpUpstreamType: { case: 'cluster', value: GATE_CLUSTER },
              timeout: duration(GATE_TIMEOUT_MS),
            },
          },
        },
        statusOnError: { code: StatusCode.ServiceUnavailable },
      }),
    },
  };
}

/** The listener. */
export function proxyListener(
  { listen }: HostProxy,
  routeConfigName: string,
  accessLog: AccessLog | undefined,
): Resource {
  return listener({
    address: listen,
    direction: 'outbound',
    accessLog,
    inspect: { tls: false, http: false },
    filterChains: [
      {
        name: 'http',
        filters: [
          httpConnectionManager({
            statPrefix: routeConfigName,
            routes: { case: 'rds', value: { configSource: ADS, routeConfigName } },
            from: 'outbound',
            accessLog,
            httpFilters: [gate()],
          }),
        ],
      },
    ],
  });
}
