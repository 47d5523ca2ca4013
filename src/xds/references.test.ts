import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { ClusterSchema } from '../gen/envoy/config/cluster/v3/cluster_pb.ts';
import { ListenerSchema } from '../gen/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '../gen/envoy/config/route/v3/route_pb.ts';
import { HttpConnectionManagerSchema } from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { TcpProxySchema } from '../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts';
import { referencesOf } from './references.ts';
import { TYPE_URL } from './resource.ts';

function clusterReferences(init: MessageInitShape<typeof ClusterSchema>): readonly string[] {
  return referencesOf(TYPE_URL.cluster, toBinary(ClusterSchema, create(ClusterSchema, init)));
}

test('a cluster refers to its endpoints by service name, else by its own, else not at all', () => {
  assert.deepEqual(clusterReferences({ name: 'c', edsClusterConfig: { serviceName: 's' } }), ['s']);
  assert.deepEqual(clusterReferences({ name: 'c', edsClusterConfig: {} }), ['c']);
  assert.deepEqual(clusterReferences({ name: 'c', altStatName: 'x' }), []);
});

test('a listener refers to the routes of its HTTP connection managers', () => {
  const http = (routeConfigName: string) => ({
    name: 'http',
    configType: {
      case: 'typedConfig' as const,
      value: anyPack(
        HttpConnectionManagerSchema,
        create(HttpConnectionManagerSchema, {
          statPrefix: 'x',
          routeSpecifier: { case: 'rds', value: { routeConfigName } },
        }),
      ),
    },
  });
  const tcp = {
    name: 'tcp',
    configType: {
      case: 'typedConfig' as const,
      value: anyPack(TcpProxySchema, create(TcpProxySchema, { clusterSpecifier: { case: 'cluster', value: 'c' } })),
    },
  };
  const listener = create(ListenerSchema, {
    name: 'l',
    filterChains: [{ filters: [http('a')] }, { filters: [tcp, http('b')] }],
    defaultFilterChain: { filters: [http('c')] },
  });
  assert.deepEqual(referencesOf(TYPE_URL.listener, toBinary(ListenerSchema, listener)), ['a', 'b', 'c']);
});

test('a route configuration refers to the clusters that it routes, splits and mirrors to', () => {
  const match = { pathSpecifier: { case: 'prefix' as const, value: '/' } };
  const weighted = { clusters: [{ name: 'w1' }, { name: 'w2' }] };
  const configuration = create(RouteConfigurationSchema, {
    name: 'r',
    virtualHosts: [
      {
        name: 'v',
        routes: [
          {
            match,
            action: {
              case: 'route',
              value: {
                clusterSpecifier: { case: 'cluster', value: 'one' },
                requestMirrorPolicies: [{ cluster: 'mirror' }],
              },
            },
          },
          {
            match,
            action: { case: 'route', value: { clusterSpecifier: { case: 'weightedClusters', value: weighted } } },
          },
          { match, action: { case: 'redirect', value: { hostRedirect: 'elsewhere' } } },
        ],
      },
    ],
  });
  const bytes = toBinary(RouteConfigurationSchema, configuration);
  assert.deepEqual([...referencesOf(TYPE_URL.route, bytes)].sort(), ['mirror', 'one', 'w1', 'w2']);
});

test('bytes that are no such message refer to nothing', () => {
  for (const type of Object.values(TYPE_URL)) assert.deepEqual(referencesOf(type, Buffer.from([0x1a, 0xff, 0xff])), []);
});
