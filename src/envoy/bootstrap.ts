/**
 * Envoy's bootstrap: what cannot come over xDS, because it says where xDS is. A plain object, written as JSON: Envoy
 * reads YAML 1.1, which takes an unquoted `n` for false.
 * https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/bootstrap/v3/bootstrap.proto
 */
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import { healthListener } from './health-listener.ts';
import { STAT_NAME_END, statsConfig } from './stats-config.ts';

/** The name of the static cluster through which Envoy reaches the agent; Istio's, so that dashboards fit. */
export const XDS_CLUSTER = 'xds-grpc';

/**
 * The gap between two tries of Envoy to reach the agent; without bounds it grows to 20 s while the agent is away. Trying
 * costs Envoy under 1 % of a core, and an agent that is back has its Envoy on the line after some 50 ms (with a limit of
 * 1 s: 470 ms).
 */
const RECONNECT = { base_interval: '0.010s', max_interval: '0.250s' } as const;

/** Above this many connections Envoy refuses further ones instead of running out of memory or file descriptors. */
const DEFAULT_MAX_CONNECTIONS = 50_000;

export interface BootstrapOptions {
  /** Unique in the mesh. */
  readonly nodeId: string;
  /** The canonical service of the host. */
  readonly nodeCluster: string;
  readonly locality: { readonly region: string; readonly zone: string; readonly subzone: string };
  /** Free-form facts about this host, shown by Envoy's admin and sent with every xDS stream. No secrets. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** Path of the Unix socket on which the agent serves xDS. */
  readonly xdsSocket: string;
  /** Path of the Unix socket that Envoy's admin interface gets. */
  readonly adminSocket: string;
  /** Of that socket; default 0600: for Envoy's own user alone. */
  readonly adminSocketMode?: number;
  /** Where Consul asks whether Envoy lives; undefined for none. */
  readonly healthListener?: { readonly address: string; readonly port: number };
  /** Downstream connections of all listeners together, health listener and admin excepted; default 50,000. */
  readonly maxConnections?: number;
}

/** Envoy refuses larger regular expressions; its own limit of 100 is smaller than what `(a{10}){10}` takes. Istio's number. */
const RUNTIME = { 're2.max_program_size.error_level': 32_768 } as const;

/** A bootstrap in Envoy's JSON form (snake case, durations as `1s`). */
export type Bootstrap = Readonly<Record<string, unknown>>;

function xdsCluster(socket: string): Bootstrap {
  return {
    name: XDS_CLUSTER,
    alt_stat_name: `${XDS_CLUSTER}${STAT_NAME_END}`,
    type: 'STATIC',
    connect_timeout: '1s',
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: {
      cluster_name: XDS_CLUSTER,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: socket } } } }] }],
    },
  };
}

/** The whole bootstrap. Equal options give an equal object, so that an adopted Envoy can be compared with it. */
export function buildBootstrap(options: BootstrapOptions): Bootstrap {
  const { nodeId, nodeCluster, locality, metadata, xdsSocket, adminSocket, maxConnections } = options;
  // 0 means "wait for ever": an Envoy that goes live with no listeners would pass its health check and serve nothing.
  const fromAds = { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' };
  return {
    node: {
      id: nodeId,
      cluster: nodeCluster,
      locality: { region: locality.region, zone: locality.zone, sub_zone: locality.subzone },
      ...(metadata === undefined ? {} : { metadata }),
    },
    admin: {
      address: { pipe: { path: adminSocket, mode: options.adminSocketMode ?? 0o600 } },
    },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: XDS_CLUSTER, retry_policy: { retry_back_off: RECONNECT } } }],
      },
      lds_config: fromAds,
      cds_config: fromAds,
    },
    static_resources: {
      clusters: [xdsCluster(xdsSocket)],
      ...(options.healthListener === undefined ? {} : { listeners: [healthListener(options.healthListener)] }),
    },
    stats_config: statsConfig(),
    overload_manager: {
      refresh_interval: '0.250s',
      resource_monitors: [
        {
          name: 'envoy.resource_monitors.global_downstream_max_connections',
          typed_config: {
            '@type':
              'type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig',
            max_active_downstream_connections: String(maxConnections ?? DEFAULT_MAX_CONNECTIONS),
          },
        },
      ],
    },
    layered_runtime: {
      layers: [
        // Last layer wins: the admin layer lets a person change a flag on a live Envoy.
        { name: 'trysail', static_layer: RUNTIME },
        { name: 'admin', admin_layer: {} },
      ],
    },
  };
}

/** The file's content. */
export function bootstrapText(bootstrap: Bootstrap): string {
  return `${JSON.stringify(bootstrap, undefined, 2)}\n`;
}

/** A short hash, by which an agent knows whether a running Envoy was started with this text. */
export function hashText(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** Writes the bootstrap in one step, readable by its owner alone; makes the folder where it is missing (0700). */
export async function writeBootstrap(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFileAtomic(path, text);
}
