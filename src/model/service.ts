/** Services and their endpoints, wherever they come from: Consul's catalogue, `Service` records, ServiceEntries. */
import type { SpiffeId } from './spiffe-id.ts';

/** Istio's protocol names; `AUTO` is detected per connection. */
export type Protocol = 'HTTP' | 'HTTP2' | 'GRPC' | 'GRPC-WEB' | 'HTTPS' | 'TLS' | 'TCP' | 'AUTO';

export interface ServicePort {
  readonly number: number;
  readonly name: string;
  readonly protocol: Protocol;
  /** Of `ORIGINAL_DST`: the port to dial instead of the one that was called. */
  readonly targetPort?: number;
}

/**
 * What a client expects of a service's instances. It comes from a `Service` record or convention, never from what one
 * endpoint says of itself (design, decision 9).
 *
 * - `required`: mutual TLS with one of `identities`, else no connection.
 * - `migrating`: mutual TLS with the endpoints that offer it, plain text with the others.
 * - `plain`: nothing says that it is meshed.
 */
export type ServiceTls = 'required' | 'migrating' | 'plain';

/**
 * How Envoy finds a service's endpoints:
 *
 * - `EDS`: addresses that we push;
 * - `STRICT_DNS`, `LOGICAL_DNS`: names that Envoy resolves;
 * - `ORIGINAL_DST`: wherever the caller was going (ServiceEntry `NONE`);
 * - `DYNAMIC_DNS`: the name that each request or TLS connection asks for, resolved then.
 */
export type Resolution = 'EDS' | 'STRICT_DNS' | 'LOGICAL_DNS' | 'ORIGINAL_DST' | 'DYNAMIC_DNS';

export interface Service {
  /** Canonical host name, unique in the mesh: the key of `Mesh.services` and `Mesh.endpoints`. */
  readonly host: string;
  readonly namespace: string;
  readonly name: string;
  /** Name in Consul's catalogue; undefined for services that are not from Consul. */
  readonly consulName: string | undefined;
  /** Other host names of the same service. */
  readonly aliases: readonly string[];
  readonly ports: readonly ServicePort[];
  readonly tls: ServiceTls;
  /** Who may serve it, as SPIFFE ids; never empty unless `tls` is `plain`. */
  readonly identities: readonly SpiffeId[];
  readonly resolution: Resolution;
  /** Whether it lies outside of the mesh (ServiceEntry `MESH_EXTERNAL`). */
  readonly external: boolean;
  /** Addresses or CIDR ranges at which callers know it (ServiceEntry `addresses`). */
  readonly addresses?: readonly string[];
  /** Names that endpoints' certificates may bear instead of `identities` (ServiceEntry `subjectAltNames`). */
  readonly subjectAltNames?: readonly string[];
  /** Namespaces that see it; absent or empty: all. */
  readonly exportTo?: readonly string[];
}

export type Health = 'HEALTHY' | 'UNHEALTHY' | 'DRAINING';

/** `region/zone/subzone`; parts that are not known are empty. */
export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

export interface Endpoint {
  /** Unique and stable within the service; endpoints are kept sorted by it. */
  readonly id: string;
  /** IP address, or a name when the service's resolution is DNS. */
  readonly address: string;
  /** Port to dial, by service port number. */
  readonly ports: Readonly<Record<number, number>>;
  readonly health: Health;
  /** Relative, 1 or more. */
  readonly weight: number;
  readonly locality: Locality;
  readonly labels: Readonly<Record<string, string>>;
  /** Whether the endpoint says that it takes mutual TLS. A claim: `Service.tls` decides what a client makes of it. */
  readonly offersMtls: boolean;
  /** Where workloads of other networks are told apart. */
  readonly network?: string;
}
