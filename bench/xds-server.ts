/** The server of the xDS benchmark, in a process of its own so that its CPU and memory are nobody else's. */
import { create, toBinary } from '@bufbuild/protobuf';
import { Cluster_DiscoveryType, ClusterSchema } from '../src/gen/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterLoadAssignmentSchema } from '../src/gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import { type Resource, TYPE_URL } from '../src/xds/resource.ts';
import { XdsServer } from '../src/xds/server.ts';
import { clusterName, type ServerCommand, type ServerMessage } from './xds-protocol.ts';

const [address = '', count = ''] = process.argv.slice(2);

function cluster(name: string): Resource {
  const message = create(ClusterSchema, {
    name,
    connectTimeout: { seconds: 10n },
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.EDS },
    edsClusterConfig: { edsConfig: { configSourceSpecifier: { case: 'ads', value: {} }, resourceApiVersion: 2 } },
  });
  return { name, value: toBinary(ClusterSchema, message) };
}

/** Three endpoints, the first of them on `port`. */
function assignment(name: string, index: number, port: number): Resource {
  const message = create(ClusterLoadAssignmentSchema, {
    clusterName: name,
    endpoints: [
      {
        lbEndpoints: [port, 9081, 9082].map((portValue, host) => ({
          hostIdentifier: {
            case: 'endpoint' as const,
            value: {
              address: {
                address: {
                  case: 'socketAddress' as const,
                  value: {
                    address: `10.${host}.${index >> 8}.${index & 255}`,
                    portSpecifier: { case: 'portValue' as const, value: portValue },
                  },
                },
              },
            },
          },
        })),
      },
    ],
  });
  return { name, value: toBinary(ClusterLoadAssignmentSchema, message) };
}

const names = Array.from({ length: Number(count) }, (_, index) => clusterName(index));
const clusters = new Map(names.map((name) => [name, cluster(name)]));
let endpoints = new Map(names.map((name, index) => [name, assignment(name, index, 9080)]));
let update = 0;

const server = new XdsServer();
const publish = (): void =>
  server.setResources(
    new Map([
      [TYPE_URL.cluster, clusters],
      [TYPE_URL.endpoint, endpoints],
    ]),
  );
const tell = (message: ServerMessage): void => void process.send?.(message);

process.on('message', (command: ServerCommand) => {
  if (command.kind === 'update') {
    const at = process.hrtime.bigint().toString();
    update += 1;
    const index = (update * 7919) % names.length;
    const name = clusterName(index);
    endpoints = new Map(endpoints).set(name, assignment(name, index, 10_000 + update));
    publish();
    tell({ kind: 'updated', at });
    return;
  }
  const { user, system } = process.cpuUsage();
  tell({
    kind: 'usage',
    cpuMs: (user + system) / 1000,
    rssMb: process.memoryUsage.rss() / 1e6,
    acknowledged: server.status().counters.acknowledged,
  });
});
process.on('disconnect', () => process.exit());

publish();
await server.listen(address);
tell({ kind: 'listening' });
