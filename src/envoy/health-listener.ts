/**
 * The static listener that Consul's health check of the proxy asks: 200 while Envoy serves, 503 once it drains, and
 * nothing at all while it has no configuration. The agent has no part in the answer.
 */

/** The path that is answered; Istio's. */
export const HEALTH_PATH = '/healthz/ready';

/** The listener in Envoy's JSON form. */
export function healthListener(listen: {
  readonly address: string;
  readonly port: number;
}): Readonly<Record<string, unknown>> {
  return {
    name: 'health',
    address: { socket_address: { address: listen.address, port_value: listen.port } },
    // With SO_REUSEPORT two Envoys share a port in silence; without it the second one says that it cannot bind.
    enable_reuse_port: false,
    // The check must tell overload from death.
    ignore_global_conn_limit: true,
    bypass_overload_manager: true,
    per_connection_buffer_limit_bytes: 8192,
    filter_chains: [
      {
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: {
              '@type':
                'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
              stat_prefix: 'health',
              common_http_protocol_options: { idle_timeout: '60s' },
              request_timeout: '5s',
              request_headers_timeout: '5s',
              generate_request_id: false,
              http_filters: [
                {
                  name: 'envoy.filters.http.health_check',
                  typed_config: {
                    '@type': 'type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck',
                    pass_through_mode: false,
                    headers: [{ name: ':path', string_match: { exact: HEALTH_PATH } }],
                  },
                },
                {
                  name: 'envoy.filters.http.router',
                  typed_config: {
                    '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router',
                    suppress_envoy_headers: true,
                  },
                },
              ],
              route_config: {
                name: 'health',
                virtual_hosts: [
                  {
                    name: 'health',
                    domains: ['*'],
                    routes: [{ match: { prefix: '/' }, direct_response: { status: 404 } }],
                  },
                ],
              },
            },
          },
        ],
      },
    ],
  };
}
