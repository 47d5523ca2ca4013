/** Meshes and hosts as literals: what a test does not say is the plainest. */

import type { ConnectionPool } from '../../src/model/destination-rule.ts';
import type { Host, Upstream, Workload } from '../../src/model/host.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import type { Endpoint, Protocol, Service } from '../../src/model/service.ts';
import { type SpiffeId, workloadSpiffeId } from '../../src/model/spiffe-id.ts';

export function spiffe(account: string, namespace = 'default', trustDomain = 'cluster.local'): SpiffeId {
  const id = workloadSpiffeId({ trustDomain, namespace, serviceAccount: account });
  if (id === undefined) throw new Error(`no SPIFFE id: ${account}`);
  return id;
}

export const SERVICE_PORT = 9080;

export function service(name: string, protocol: Protocol, rest: Partial<Service> = {}): Service {
  return {
    host: `${name}.default.mesh`,
    namespace: 'default',
    name,
    consulName: name,
    aliases: [`${name}.service.consul`],
    ports: [{ number: SERVICE_PORT, name: 'main', protocol }],
    tls: 'required',
    identities: [spiffe(name)],
    resolution: 'EDS',
    external: false,
    ...rest,
  };
}

export function endpoint(address: string, port: number, rest: Partial<Endpoint> = {}): Endpoint {
  return {
    id: `${address}:${port}`,
    address,
    ports: { [SERVICE_PORT]: port },
    health: 'HEALTHY',
    weight: 1,
    locality: { region: '', zone: '', subzone: '' },
    labels: {},
    offersMtls: true,
    ...rest,
  };
}

export function mesh(services: readonly (readonly [Service, readonly Endpoint[]])[], rest: Partial<Mesh> = {}): Mesh {
  return {
    config: DEFAULT_MESH_CONFIG,
    services: new Map(services.map(([item]) => [item.host, item])),
    endpoints: new Map(services.map(([item, endpoints]) => [item.host, endpoints])),
    virtualServices: [],
    destinationRules: [],
    peerAuthentications: [],
    gateways: [],
    sidecars: [],
    rateLimits: [],
    envoyFilters: [],
    proxyConfigs: [],
    workloadGroups: [],
    diagnostics: [],
    ...rest,
  };
}

export function host(rest: Partial<Host> = {}): Host {
  return {
    nodeId: 'test',
    nodeCluster: 'test',
    locality: { region: '', zone: '', subzone: '' },
    workloads: [],
    upstreams: [],
    callerIdentity: spiffe('caller'),
    healthListener: { address: '127.0.0.1', port: 15021 },
    ...rest,
  };
}

export function upstream(name: string, listenPort: number, rest: Partial<Upstream> = {}): Upstream {
  return {
    serviceHost: `${name}.default.mesh`,
    servicePort: undefined,
    listen: { address: '127.0.0.1', port: listenPort },
    ...rest,
  };
}

export function workload(
  name: string,
  protocol: Protocol,
  listenPort: number,
  applicationPort: number,
  rest: Partial<Workload> = {},
): Workload {
  return {
    namespace: 'default',
    service: name,
    serviceHost: `${name}.default.mesh`,
    identity: spiffe(name),
    labels: { app: name },
    inbound: {
      listen: { address: '127.0.0.1', port: listenPort },
      protocol,
      application: { address: '127.0.0.1', port: applicationPort },
    },
    ...rest,
  };
}

/** A connection pool that sets nothing but `rest`. */
export function pool(rest: Partial<ConnectionPool> = {}): ConnectionPool {
  return {
    maxConnections: undefined,
    connectTimeoutMs: undefined,
    tcpKeepalive: undefined,
    maxConnectionDurationMs: undefined,
    tcpIdleTimeoutMs: undefined,
    http1MaxPendingRequests: undefined,
    http2MaxRequests: undefined,
    maxRequestsPerConnection: undefined,
    maxRetries: undefined,
    httpIdleTimeoutMs: undefined,
    h2UpgradePolicy: 'DEFAULT',
    useClientProtocol: false,
    maxConcurrentStreams: undefined,
    ...rest,
  };
}
