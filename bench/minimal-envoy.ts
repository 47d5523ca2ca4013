// The smallest hand-written Envoy configuration for the work of two sidecars: HTTP/1.1 over mutual TLS, nothing else.

interface Tls {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly rootFile: string;
}

const socket = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } });

const tlsContext = (tls: Tls) => ({
  tls_certificates: [{ certificate_chain: { filename: tls.certificateFile }, private_key: { filename: tls.keyFile } }],
  validation_context: { trusted_ca: { filename: tls.rootFile } },
});

const cluster = (port: number, transportSocket?: object) => ({
  name: 'next',
  connect_timeout: '5s',
  load_assignment: {
    cluster_name: 'next',
    endpoints: [{ lb_endpoints: [{ endpoint: { address: socket(port) } }] }],
  },
  ...(transportSocket === undefined ? {} : { transport_socket: transportSocket }),
});

const listener = (port: number, route: object, transportSocket?: object) => ({
  name: 'in',
  address: socket(port),
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

/** Plain HTTP in on `port`, mutual TLS out to `peerPort`. */
export function minimalClient(port: number, peerPort: number, tls: Tls): object {
  return {
    static_resources: {
      listeners: [listener(port, toNext)],
      clusters: [
        cluster(peerPort, {
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

/** Mutual TLS in on `port`, plain HTTP out to `appPort`. */
export function minimalServer(port: number, appPort: number, tls: Tls): object {
  return {
    static_resources: {
      listeners: [
        listener(port, toNext, {
          name: 'envoy.transport_sockets.tls',
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
            require_client_certificate: true,
            common_tls_context: tlsContext(tls),
          },
        }),
      ],
      clusters: [cluster(appPort)],
    },
  };
}

/** An application that costs next to nothing: 512 bytes, answered by Envoy itself. */
export function minimalApplication(port: number): object {
  const body = { inline_string: 'x'.repeat(512) };
  return { static_resources: { listeners: [listener(port, { direct_response: { status: 200, body } })] } };
}
