/** This host: what runs on it and what it calls. Comes from `agent.yaml`, completed by the platform. */
import type { Endpoint, Locality, Protocol } from './service.ts';
import type { SpiffeId } from './spiffe-id.ts';

export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

/**
 * What the mesh does for a service of this host, each with all of the one before:
 *
 * - `off`: nothing; the application is registered as it is.
 * - `observe`: its traffic passes Envoy and is counted; no TLS, no retries, no routing.
 * - `outbound`: its calls are the mesh's (mutual TLS, routing); peers reach the application itself.
 * - `full`: its inbound port is the mesh's as well.
 */
export type Mode = 'off' | 'observe' | 'outbound' | 'full';

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
  /** Absent: `full`. */
  readonly mode?: Mode;
}

export interface InboundPort {
  /** What peers dial. Envoy listens here, unless connections to it are captured. */
  readonly listen: SocketAddress;
  readonly protocol: Protocol;
  /** Where the application listens. */
  readonly application: SocketAddress;
  /**
   * How connections to `listen.port` come to Envoy's inbound capture port. `tproxy` keeps the caller's address: the
   * application sees it as its peer. Absent: Envoy listens on `listen` itself.
   */
  readonly capture?: 'redirect' | 'tproxy';
}

/** A path of a Unix socket that only the calling unit's user can open. */
export interface SocketPath {
  readonly path: string;
}

/** `10.0.0.5:80`, `[::1]:80`, `unix:/run/trysail/upstreams/orders/payments.sock`. */
export function formatListen(listen: SocketAddress | SocketPath): string {
  if ('path' in listen) return `unix:${listen.path}`;
  return listen.address.includes(':') ? `[${listen.address}]:${listen.port}` : `${listen.address}:${listen.port}`;
}

/** A service of the mesh offered to local applications at a loopback address or Unix socket. */
export interface Upstream {
  /** Canonical host name of the service. */
  readonly serviceHost: string;
  /** The service's port; undefined: its only one. */
  readonly servicePort: number | undefined;
  readonly listen: SocketAddress | SocketPath;
  /** Who calls there; absent: `Host.callerIdentity`. */
  readonly caller?: SpiffeId;
  /** `observe`: plain text to any endpoint, counted, no rules of routing. Absent: `full`. */
  readonly mode?: Mode;
}

/**
 * A service that local applications call by its name: DNS answers with `addresses`, all ports of the service are served
 * there. Where calls are captured, connections to an address arrive at the caller's capture port; elsewhere Envoy
 * listens on the addresses themselves (loopback ones).
 */
export interface NamedUpstream {
  /** Canonical host name of the service. */
  readonly serviceHost: string;
  /** At most one IPv4 and one IPv6 address, of this service alone, stable for as long as the host lives. */
  readonly addresses: readonly string[];
  /** Of calls to addresses at which Envoy listens itself; as of `Upstream`. */
  readonly mode?: Mode;
  /** Learnt a moment ago: its names are left to the learner (`HostDns`), as changing DNS drops queries under way. */
  readonly isFresh?: boolean;
  /** Nobody calls it any more: who still has its addresses is served, who asks for it anew goes to the learner. */
  readonly isLeaving?: boolean;
}

/** A unit or user of this host whose calls are captured, with the identity that they carry. */
export interface Caller {
  /** Undefined on a host without certificates: plain text only. */
  readonly identity: SpiffeId | undefined;
  readonly namespace: string;
  /** Envoy's port for its captured connections, on 127.0.0.1 and ::1; its own alone. */
  readonly capturePort: number;
  /** They arrive at every address of the host: containers are among the callers, at their bridges' addresses. */
  readonly everywhere?: boolean;
  /** `observe`: connections go on to where they were going, counted. `outbound`, `full`: the mesh's rules. Absent: `full`. */
  readonly mode?: Mode;
}

/** The names that Envoy's DNS filter answers. */
export interface HostDns {
  /** UDP. */
  readonly listen: SocketAddress;
  /** Who is asked for names that Envoy does not know yet (UDP): the agent, which learns what is called. Absent: nobody. */
  readonly learner?: SocketAddress;
}

/** A listener that takes HTTP for any service, by the Host of each request, as a proxy for applications does. */
export interface HostProxy {
  readonly listen: SocketAddress;
  /** Socket of the agent, which is asked for hosts that Envoy does not know yet; a request waits for its answer. */
  readonly gate: SocketPath;
}

/**
 * This host in the role of a gateway: Gateways whose selector its labels fulfil say what Envoy listens for, and
 * VirtualServices bound to them what becomes of it.
 */
export interface GatewayRole {
  readonly namespace: string;
  readonly name: string;
  /** Canonical host name of its service, which mesh clients know it by. */
  readonly serviceHost: string;
  /** What selectors of Gateways and of other rules go by. */
  readonly labels: Readonly<Record<string, string>>;
  /** Whose certificate it calls services with and answers `ISTIO_MUTUAL` with; undefined: plain text only. */
  readonly identity: SpiffeId | undefined;
  /** Where it listens for servers without `bind`: an address of the host, or `0.0.0.0` or `::` for all. */
  readonly address: string;
  /** Where Envoy listens instead, by the port that a Gateway names; others are their own. */
  readonly ports?: Readonly<Record<number, number>>;
  /** How many proxies before it are trusted to have written `x-forwarded-for`; absent: as the mesh configuration says. */
  readonly trustedHops?: number;
  /**
   * Whether every connection begins with a header of the PROXY protocol, as a load balancer in front writes it; absent:
   * as the mesh configuration says.
   */
  readonly proxyProtocol?: boolean;
  /** Where peers find it as an instance of its service; absent: it is not registered. */
  readonly registered?: SocketAddress;
  /** Where it cannot listen, as `formatListen` writes it: another program has the port. Absent: nowhere. */
  readonly taken?: readonly string[];
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
  /** Services called by name; absent: none. */
  readonly namedUpstreams?: readonly NamedUpstream[];
  /** Whose calls are captured; absent: nobody's. Ports are unique. */
  readonly callers?: readonly Caller[];
  /** Where captured inbound connections arrive; present when a workload's `inbound.capture` is. */
  readonly inboundCapturePort?: number;
  /** The kernel has no IPv6: captured connections arrive by IPv4 alone. */
  readonly withoutIpv6?: boolean;
  /** Absent: Envoy answers no DNS. */
  readonly dns?: HostDns;
  /** Absent: there is none. */
  readonly proxy?: HostProxy;
  /** Absent: it is no gateway. */
  readonly gateways?: readonly GatewayRole[];
  /** Where `credentialName` is looked for: a folder of folders with `tls.crt`, `tls.key` and `ca.crt`; absent: nowhere. */
  readonly credentialsFolder?: string;
  /** The roots that the operating system trusts, one file; absent: Debian's place for it. */
  readonly systemRootsFile?: string;
  /**
   * By which endpoints limits of the fleet are shared out, by the canonical host of the service; absent: those of the
   * mesh.
   */
  readonly fleet?: ReadonlyMap<string, readonly Endpoint[]>;
  /** The static listener through which Consul checks that Envoy lives. */
  readonly healthListener: SocketAddress;
}
