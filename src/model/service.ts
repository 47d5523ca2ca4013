/** Services and their endpoints, wherever they come from: Consul's catalogue, `Service` records, ServiceEntries. */
import type { SpiffeId } from './spiffe-id.ts';

/** Istio's protocol names; `AUTO` is detected per connection. */
export type Protocol = 'HTTP' | 'HTTP2' | 'GRPC' | 'HTTPS' | 'TLS' | 'TCP' | 'AUTO';

export interface ServicePort {
  readonly number: number;
  readonly name: string;
  readonly protocol: Protocol;
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
  /** How Envoy finds the endpoints: EDS (addresses that we push) or DNS (names that Envoy resolves). */
  readonly resolution: 'EDS' | 'STRICT_DNS' | 'LOGICAL_DNS';
  /** Whether it lies outside of the mesh (ServiceEntry `MESH_EXTERNAL`). */
  readonly external: boolean;
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
}
