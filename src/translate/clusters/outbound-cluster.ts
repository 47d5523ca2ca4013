/** The cluster of one port (and subset) of a service that this host calls. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { ClusterSchema } from '../../gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { Host } from '../../model/host.ts';
import type { MeshConfig } from '../../model/mesh-config.ts';
import type { ResourceMeta } from '../../model/resource-meta.ts';
import type { Endpoint, Resolution, Service, ServicePort } from '../../model/service.ts';
import type { Resource } from '../../xds/resource.ts';
import { deadPeers } from '../listeners/dead-peers.ts';
import { duration, resource } from '../messages.ts';
import { sniName } from '../names.ts';
import { protocolKind } from '../protocol-kind.ts';
import {
  type ClientFiles,
  clientFiles,
  clientTlsSocket,
  namesByRequest,
  serverNames,
  verification,
} from '../tls/client-tls.ts';
import { circuitBreakers } from './circuit-breakers.ts';
import type { ClusterCallers } from './cluster-callers.ts';
import { discovery, isChosenByCaller } from './cluster-discovery.ts';
import { clusterMetadata } from './cluster-metadata.ts';
import { type HopProtocol, hopProtocol, offeredAlpn, ownAlpn, protocolOptions } from './cluster-protocol.ts';
import { expectedNames, securityOf, securitySockets } from './cluster-security.ts';
import { dnsRefreshMs } from './dynamic-dns.ts';
import type { LoadAssignmentSpec } from './load-assignment.ts';
import { loadBalancing } from './load-balancing.ts';
import { localitySpread } from './locality-spread.ts';
import { outlierDetection } from './outlier.ts';
import { withProxyProtocol } from './proxy-protocol.ts';
import { outboundStatName } from './stat-names.ts';
import type { EffectivePolicy } from './traffic-policy.ts';

export interface OutboundClusterSpec {
  readonly name: string;
  readonly service: Service;
  readonly port: ServicePort;
  readonly subset: string | undefined;
  readonly policy: EffectivePolicy;
  /** The rule that the policy is of, if any. */
  readonly rule: ResourceMeta | undefined;
  readonly callers: ClusterCallers;
  /** Labels of the client that decide where its calls go. */
  readonly labels: Readonly<Record<string, string>>;
  readonly host: Pick<Host, 'locality' | 'credentialsFolder' | 'systemRootsFile'>;
  readonly config: MeshConfig;
}

type ClusterInit = MessageInitShape<typeof ClusterSchema>;

/**
 * How the endpoints are found. PASSTHROUGH means wherever the caller was going: that is an endpoint only of a service whose
 * callers know its addresses. At an address of our own it would be Envoy itself.
 */
export function resolutionOf(
  { resolution, addresses = [] }: Pick<Service, 'resolution' | 'addresses'>,
  { loadBalancer }: Pick<EffectivePolicy, 'loadBalancer'>,
): Resolution {
  const passes = loadBalancer?.kind === 'simple' && loadBalancer.simple === 'PASSTHROUGH';
  return passes && addresses.length > 0 ? 'ORIGINAL_DST' : resolution;
}

/** How the endpoints of the cluster are to be encoded. */
export function loadAssignmentSpec(spec: OutboundClusterSpec): LoadAssignmentSpec {
  const { service, port, policy, callers, config, host, labels } = spec;
  return {
    cluster: spec.name,
    servicePort: port.number,
    marksTls: securityOf(policy.tls, service, callers, config) === 'matched',
    spread: localitySpread(policy, config, { locality: host.locality, labels }),
  };
}

/** The files of this host that the cluster's own TLS needs; undefined where it has none of its own. */
export function ownFiles({
  policy,
  host,
  service,
  config,
}: Pick<OutboundClusterSpec, 'policy' | 'host' | 'service' | 'config'>): ClientFiles | undefined {
  const { tls } = policy;
  if (tls?.mode !== 'SIMPLE' && tls?.mode !== 'MUTUAL') return undefined;
  return clientFiles(tls, host, verification(tls, service, config));
}

type Sockets = Pick<ClusterInit, 'transportSocket' | 'transportSocketMatches' | 'transportSocketMatcher'>;

/** Undefined: there must be no way to the service. */
function sockets(spec: OutboundClusterSpec, hop: HopProtocol): Sockets | undefined {
  const { service, port, subset, policy, callers, config } = spec;
  const { tls } = policy;
  const security = securityOf(tls, service, callers, config);
  if (security === 'refused') return undefined;
  if (security === 'own') {
    const files = ownFiles(spec);
    if (tls === undefined || files === undefined) return undefined;
    const names = serverNames(tls, service, verification(tls, service, config));
    return { transportSocket: clientTlsSocket(files, names, ownAlpn(hop), config.tlsDefaults) };
  }
  const sni = tls?.sni ?? sniName(port.number, subset, service.host);
  const expected = expectedNames(tls, service, config);
  const alpn = offeredAlpn(hop, protocolKind(port.protocol));
  return securitySockets(security, expected, callers, sni, alpn, config.meshMtls);
}

/**
 * The cluster, or undefined where there must be no way to the service: it demands mutual TLS and nobody who calls it has an
 * identity, or a rule names a credential on a host that has none.
 * @param dnsEndpoints the endpoints of a service that is resolved by DNS; of others they come by EDS
 */
export function outboundCluster(spec: OutboundClusterSpec, dnsEndpoints: readonly Endpoint[]): Resource | undefined {
  const { name, service, port, subset, policy, rule, callers, config } = spec;
  const { tls, connectionPool: pool, outlierDetection: outlier } = policy;
  const resolution = resolutionOf(service, policy);
  const security = securityOf(tls, service, callers, config);
  const hop = hopProtocol(protocolKind(port.protocol), security, pool, config, policy.tunnel !== undefined);
  const secured = sockets(spec, hop);
  if (secured === undefined) return undefined;
  const assignment = loadAssignmentSpec(spec);
  return resource(name, ClusterSchema, {
    name,
    altStatName: outboundStatName(spec),
    ...discovery({ resolution, port, assignment, dnsEndpoints, dnsRefreshMs: dnsRefreshMs(config) }),
    connectTimeout: duration(pool?.connectTimeoutMs ?? config.connectTimeoutMs),
    ...(!isChosenByCaller(resolution) && loadBalancing(policy.loadBalancer)),
    circuitBreakers: circuitBreakers(pool, policy.retryBudget),
    ...(outlier !== undefined && { outlierDetection: outlierDetection(outlier) }),
    commonLbConfig: {
      healthyPanicThreshold: { value: outlier?.minHealthPercent ?? 0 },
      ...(assignment.spread?.kind === 'shares' && {
        localityConfigSpecifier: { case: 'localityWeightedLbConfig', value: {} },
      }),
    },
    typedExtensionProtocolOptions: protocolOptions(hop, pool, {
      ...(security === 'own' && tls !== undefined && namesByRequest(tls, service, verification(tls, service, config))),
      errorCodes: outlier?.httpErrorCodes ?? [],
    }),
    ...withProxyProtocol(policy.proxyProtocol, secured),
    ...deadPeers(pool, config),
    metadata: clusterMetadata(service, subset, rule),
  });
}
