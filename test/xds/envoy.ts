/** A real Envoy that takes everything from an xDS server on a Unix socket, and resources for it written as JSON. */

import { writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  createRegistry,
  type DescMessage,
  fromJson,
  type JsonValue,
  type Registry,
  toBinary,
} from '@bufbuild/protobuf';
import { ClusterSchema } from '../../src/gen/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterLoadAssignmentSchema } from '../../src/gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import { ListenerSchema } from '../../src/gen/envoy/config/listener/v3/listener_pb.ts';
import { VirtualHostSchema } from '../../src/gen/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '../../src/gen/envoy/config/route/v3/route_pb.ts';
import { OnDemandSchema } from '../../src/gen/envoy/extensions/filters/http/on_demand/v3/on_demand_pb.ts';
import { RouterSchema } from '../../src/gen/envoy/extensions/filters/http/router/v3/router_pb.ts';
import { HttpConnectionManagerSchema } from '../../src/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { SecretSchema } from '../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import { DownstreamTlsContextSchema } from '../../src/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import type { Resource } from '../../src/xds/resource.ts';
import { type Child, startChild } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { envoyBinary } from '../support/tools.ts';

const registry: Registry = createRegistry(
  HttpConnectionManagerSchema,
  OnDemandSchema,
  RouterSchema,
  DownstreamTlsContextSchema,
);

function fromText(name: string, schema: DescMessage, json: JsonValue): Resource {
  return { name, value: toBinary(schema, fromJson(schema, json, { registry })) };
}

const TYPE = 'type.googleapis.com/envoy.extensions';
const ADS = { ads: {}, resourceApiVersion: 'V3' };

export const edsCluster = (name: string, more: Readonly<Record<string, JsonValue>> = {}): Resource =>
  fromText(name, ClusterSchema, {
    name,
    type: 'EDS',
    connectTimeout: '1s',
    edsClusterConfig: { edsConfig: ADS },
    ...more,
  });

/** One that Envoy refuses: it is to discover its endpoints, and not told how. */
export const badCluster = (name: string): Resource => fromText(name, ClusterSchema, { name, type: 'EDS' });

export const loopback = (name: string, port: number): Resource =>
  fromText(name, ClusterLoadAssignmentSchema, {
    clusterName: name,
    endpoints: [
      { lbEndpoints: [{ endpoint: { address: { socketAddress: { address: '127.0.0.1', portValue: port } } } }] },
    ],
  });

export const routeTo = (name: string, cluster: string): Resource =>
  fromText(name, RouteConfigurationSchema, {
    name,
    virtualHosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster } }] }],
  });

/** Sends each request to the cluster that its header `x-cluster` names. */
export const routeByHeader = (name: string): Resource =>
  fromText(name, RouteConfigurationSchema, {
    name,
    virtualHosts: [
      { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { clusterHeader: 'x-cluster' } }] },
    ],
  });

/**
 * Has no virtual host: each is asked for when a request names it. Envoy first asks for none and waits for some that are
 * sent ahead; there is nothing to send, so the wait, 15 s unless said otherwise, is kept short.
 */
export const routeOnDemand = (name: string): Resource =>
  fromText(name, RouteConfigurationSchema, { name, vhds: { configSource: { ...ADS, initialFetchTimeout: '0.05s' } } });

/** The virtual host of one host name, for a route configuration that discovers them. */
export const virtualHostTo = (name: string, domains: readonly string[], cluster: string): Resource =>
  fromText(name, VirtualHostSchema, {
    name,
    domains: [...domains],
    routes: [{ match: { prefix: '/' }, route: { cluster } }],
  });

/** Waits for a virtual host that is not there; and for a cluster when `clusterTimeout` says how long at most. */
export const onDemandFilter = (clusterTimeout?: string): JsonValue => ({
  name: 'on-demand',
  typedConfig: {
    '@type': `${TYPE}.filters.http.on_demand.v3.OnDemand`,
    ...(clusterTimeout === undefined ? {} : { odcds: { source: ADS, timeout: clusterTimeout } }),
  },
});

/** Serves a route configuration on loopback; with a secret, over TLS; with `filters` before the router. */
export const httpListener = (
  name: string,
  port: number,
  routeConfigName: string,
  secret?: string,
  filters: readonly JsonValue[] = [],
): Resource =>
  fromText(name, ListenerSchema, {
    name,
    address: { socketAddress: { address: '127.0.0.1', portValue: port } },
    filterChains: [
      {
        filters: [
          {
            name: 'http',
            typedConfig: {
              '@type': `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
              statPrefix: name,
              rds: { configSource: ADS, routeConfigName },
              httpFilters: [
                ...filters,
                { name: 'router', typedConfig: { '@type': `${TYPE}.filters.http.router.v3.Router` } },
              ],
            },
          },
        ],
        ...(secret === undefined
          ? {}
          : {
              transportSocket: {
                name: 'tls',
                typedConfig: {
                  '@type': `${TYPE}.transport_sockets.tls.v3.DownstreamTlsContext`,
                  commonTlsContext: { tlsCertificateSdsSecretConfigs: [{ name: secret, sdsConfig: ADS }] },
                },
              },
            }),
      },
    ],
  });

export const certificateSecret = (name: string, certificate: string, key: string): Resource =>
  fromText(name, SecretSchema, {
    name,
    tlsCertificate: { certificateChain: { inlineString: certificate }, privateKey: { inlineString: key } },
  });

export interface TestEnvoy {
  readonly nodeId: string;
  readonly child: Child;
  /** The text of an admin page. */
  readonly admin: (path: string) => Promise<string>;
}

/** @param socket the path on which the xDS server listens, now or later */
export async function startEnvoy(
  t: Pick<TestContext, 'after'>,
  mode: 'delta' | 'sotw',
  dir: string,
  socket: string,
): Promise<TestEnvoy> {
  const adminSocket = join(dir, 'admin.sock');
  const bootstrap = {
    node: { id: 'envoy-1', cluster: 'test' },
    admin: { address: { pipe: { path: adminSocket } } },
    dynamicResources: {
      adsConfig: {
        apiType: mode === 'delta' ? 'DELTA_GRPC' : 'GRPC',
        transportApiVersion: 'V3',
        grpcServices: [{ envoyGrpc: { clusterName: 'xds' } }],
      },
      cdsConfig: ADS,
      ldsConfig: ADS,
    },
    staticResources: {
      clusters: [
        {
          name: 'xds',
          connectTimeout: '1s',
          typedExtensionProtocolOptions: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              '@type': `${TYPE}.upstreams.http.v3.HttpProtocolOptions`,
              explicitHttpConfig: { http2ProtocolOptions: {} },
            },
          },
          loadAssignment: {
            clusterName: 'xds',
            endpoints: [{ lbEndpoints: [{ endpoint: { address: { pipe: { path: socket } } } }] }],
          },
        },
      ],
    },
  };
  const file = join(dir, 'bootstrap.json');
  await writeFile(file, JSON.stringify(bootstrap));
  const child = startChild(t, envoyBinary(), [
    '-c',
    file,
    '--concurrency',
    '1',
    '--use-dynamic-base-id',
    '-l',
    'warning',
  ]);
  const admin = async (path: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const request = httpRequest({ socketPath: adminSocket, path, agent: false }, (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () => resolve(body));
      });
      request.on('error', reject);
      request.end();
    });
  await eventually('Envoy is live', async () => {
    if (child.process.exitCode !== null) throw new Error(child.output());
    return (await admin('/ready')).startsWith('LIVE');
  });
  return { nodeId: 'envoy-1', child, admin };
}
