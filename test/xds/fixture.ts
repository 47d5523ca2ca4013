/**
 * A server on a Unix socket, a client, and small resources. Nothing of a client that a test answers for is overdue, unless
 * the test says after how long.
 */
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { Cluster_DiscoveryType, ClusterSchema } from '../../src/gen/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterLoadAssignmentSchema } from '../../src/gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import { RouteConfigurationSchema } from '../../src/gen/envoy/config/route/v3/route_pb.ts';
import { type Resource, type Resources, TYPE_URL, type TypeUrl } from '../../src/xds/resource.ts';
import { XdsServer, type XdsServerOptions } from '../../src/xds/server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { connectClient, type DeltaStream, type SotwStream, type TestClient } from './client.ts';

const PATIENT: XdsServerOptions = { ackTimeoutMs: 3_600_000, stageTimeoutMs: 3_600_000 };

export interface Fixture {
  readonly server: XdsServer;
  readonly client: TestClient;
  readonly address: string;
  readonly delta: () => DeltaStream;
  readonly sotw: () => SotwStream;
}

export async function startServer(
  t: Pick<TestContext, 'after'>,
  resources: Resources = new Map(),
  options: XdsServerOptions = {},
): Promise<Fixture> {
  const server = new XdsServer({ ...PATIENT, ...options });
  server.setResources(resources);
  const address = await server.listen(`unix:${join(await tempDir(t), 'xds.sock')}`);
  const client = connectClient(address);
  t.after(async () => {
    client.close();
    await server.close(0);
  });
  return { server, client, address, delta: () => client.delta(), sotw: () => client.sotw() };
}

/** A server on the Unix socket at `path`. */
export async function startXds(
  t: Pick<TestContext, 'after'>,
  path: string,
  resources: Resources,
  options: XdsServerOptions = {},
): Promise<XdsServer> {
  const server = new XdsServer(options);
  server.setResources(resources);
  await server.listen(`unix:${path}`);
  t.after(() => server.close(0));
  return server;
}

type Named = Readonly<Partial<Record<keyof typeof TYPE_URL, readonly Resource[]>>>;

/** Resources of the given types by name. */
export function resourcesOf(named: Named): Resources {
  const all = new Map<TypeUrl, ReadonlyMap<string, Resource>>();
  for (const [type, list] of Object.entries(named))
    all.set(TYPE_URL[type as keyof typeof TYPE_URL], new Map(list.map((resource) => [resource.name, resource])));
  return all;
}

/** `resources` with the given types replaced. */
export function withTypes(resources: Resources, named: Named): Resources {
  return new Map([...resources, ...resourcesOf(named)]);
}

export function message<S extends DescMessage>(name: string, schema: S, init: MessageInitShape<S>): Resource {
  return { name, value: toBinary(schema, create(schema, init)) };
}

/** A resource with any bytes. */
export const raw = (name: string, content: string): Resource => ({ name, value: Buffer.from(content) });

/** A cluster whose endpoints are discovered; `seconds` is something to change. */
export function cluster(name: string, seconds = 1): Resource {
  return message(name, ClusterSchema, {
    name,
    connectTimeout: { seconds: BigInt(seconds) },
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.EDS },
    edsClusterConfig: { edsConfig: { configSourceSpecifier: { case: 'ads', value: {} }, resourceApiVersion: 2 } },
  });
}

export function assignment(name: string, ...ports: readonly number[]): Resource {
  return message(name, ClusterLoadAssignmentSchema, {
    clusterName: name,
    endpoints: [
      {
        lbEndpoints: ports.map((port) => ({
          hostIdentifier: {
            case: 'endpoint' as const,
            value: {
              address: {
                address: {
                  case: 'socketAddress' as const,
                  value: { address: '127.0.0.1', portSpecifier: { case: 'portValue' as const, value: port } },
                },
              },
            },
          },
        })),
      },
    ],
  });
}

/** A route configuration that sends everything to one cluster. */
export function route(name: string, to: string): Resource {
  return message(name, RouteConfigurationSchema, {
    name,
    virtualHosts: [
      {
        name: 'all',
        domains: ['*'],
        routes: [
          {
            match: { pathSpecifier: { case: 'prefix', value: '/' } },
            action: { case: 'route', value: { clusterSpecifier: { case: 'cluster', value: to } } },
          },
        ],
      },
    ],
  });
}
