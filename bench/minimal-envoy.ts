// The smallest hand-written Envoy configuration for the work of two sidecars: HTTP/1.1 over mutual TLS, nothing else.

interface Tls {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly rootFile: string;
}

/** A port of 127.0.0.1, or another address with its port. */
type Place = number | { readonly address: string; readonly port: number };

const socket = (place: Place) => {
  const { address, port } = typeof place === 'number' ? { address: '127.0.0.1', port: place } : place;
  return { socket_address: { address, port_value: port } };
};

const tlsContext = (tls: Tls) => ({
  tls_certificates: [{ certificate_chain: { filename: tls.certificateFile }, private_key: { filename: tls.keyFile } }],
  validation_context: { trusted_ca: { filename: tls.rootFile } },
});

const cluster = (place: Place, transportSocket?: object) => ({
  name: 'next',
  connect_timeout: '5s',
  load_assignment: {
    cluster_name: 'next',
    endpoints: [{ lb_endpoints: [{ endpoint: { address: socket(place) } }] }],
  },
  ...(transportSocket === undefined ? {} : { transport_socket: transportSocket }),
});

const listener = (place: Place, route: object, transportSocket?: object) => ({
  name: `in-${typeof place === 'number' ? place : place.port}`,
  address: socket(place),
  filter_chains: [
    {
      ...(transportSocket === undefined ? {} : { transport_socket: transportSocket }),
      filters: [
        {
          name: 'envoy.filters.network.http_connection_manager',
          typed_config: {
            '@type':
              'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
            stat_prefix: 'in',
            route_config: {
              virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, ...route }] }],
            },
            http_filters: [
              {
                name: 'envoy.filters.http.router',
                typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
              },
            ],
          },
        },
      ],
    },
  ],
});

const toNext = { route: { cluster: 'next' } };

/** Plain HTTP in at `place`, mutual TLS out to `peer`. */
export function minimalClient(place: Place, peer: Place, tls: Tls): object {
  return {
    static_resources: {
      listeners: [listener(place, toNext)],
      clusters: [
        cluster(peer, {
          name: 'envoy.transport_sockets.tls',
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
            common_tls_context: tlsContext(tls),
          },
        }),
      ],
    },
  };
}

/** Mutual TLS in at `place`, plain HTTP out to `application`. */
export function minimalServer(place: Place, application: Place, tls: Tls): object {
  return {
    static_resources: {
      listeners: [
        listener(place, toNext, {
          name: 'envoy.transport_sockets.tls',
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
            require_client_certificate: true,
            common_tls_context: tlsContext(tls),
          },
        }),
      ],
      clusters: [cluster(application)],
    },
  };
}

/** An application that costs next to nothing: 512 bytes, answered by Envoy itself. */
export function minimalApplication(...places: readonly Place[]): object {
  const response = { direct_response: { status: 200, body: { inline_string: 'x'.repeat(512) } } };
  return { static_resources: { listeners: places.map((place) => listener(place, response)) } };
}
