/** This host: what runs on it and what it calls. Comes from `agent.yaml`, completed by the platform. */
import type { Locality, Protocol } from './service.ts';
import type { SpiffeId } from './spiffe-id.ts';

export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

/** A service instance on this host. */
export interface Workload {
  readonly namespace: string;
  /** The service that it is an instance of. */
  readonly service: string;
  /** Canonical host name of that service. */
  readonly serviceHost: string;
  readonly identity: SpiffeId;
  readonly labels: Readonly<Record<string, string>>;
  /** Undefined: it only calls others. */
  readonly inbound: InboundPort | undefined;
}

export interface InboundPort {
  /** Where Envoy listens for the mesh. */
  readonly listen: SocketAddress;
  readonly protocol: Protocol;
  /** Where the application listens. */
  readonly application: SocketAddress;
}

/** A service of the mesh offered to local applications at a loopback address. */
export interface Upstream {
  /** Canonical host name of the service. */
  readonly serviceHost: string;
  /** The service's port; undefined: its only one. */
  readonly servicePort: number | undefined;
  readonly listen: SocketAddress;
}

export interface Host {
  /** Envoy's node id, unique in the mesh. */
  readonly nodeId: string;
  /** Envoy's `node.cluster`: the canonical service of the host, which Zipkin shows as the service name. */
  readonly nodeCluster: string;
  readonly locality: Locality;
  readonly workloads: readonly Workload[];
  readonly upstreams: readonly Upstream[];
  /** With whose certificate the upstreams are called; undefined where the host has no identity: plain text only. */
  readonly callerIdentity: SpiffeId | undefined;
  /** The host has no certificates and will have none (`identity.provider: none`): it takes and uses plain text alone. */
  readonly withoutCertificates?: boolean;
  /** The static listener through which Consul checks that Envoy lives. */
  readonly healthListener: SocketAddress;
}
