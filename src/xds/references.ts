/** Which resources one resource names, read from its bytes: what ordering needs to know of Envoy's configuration. */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { TYPE_URL, type TypeUrl } from './resource.ts';

/** All length-delimited values at a path of field numbers, through repeated fields. */
function valuesAt(bytes: Uint8Array, path: readonly number[]): readonly Uint8Array[] {
  const [head, ...rest] = path;
  if (head === undefined) return [bytes];
  const reader = new BinaryReader(bytes);
  const found: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === head && type === WireType.LengthDelimited) found.push(...valuesAt(reader.bytes(), rest));
    else reader.skip(type, field);
  }
  return found;
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
const textsAt = (bytes: Uint8Array, path: readonly number[]): readonly string[] => valuesAt(bytes, path).map(text);

const HTTP_CONNECTION_MANAGER = '.HttpConnectionManager';

/** Cluster.eds_cluster_config.service_name, or the cluster's own name. None when its endpoints are not discovered. */
function endpointsOfCluster(bytes: Uint8Array): readonly string[] {
  const eds = valuesAt(bytes, [3])[0];
  if (eds === undefined) return [];
  const serviceName = textsAt(eds, [2])[0] ?? '';
  return serviceName === '' ? textsAt(bytes, [1]) : [serviceName];
}

/** Names of route configurations in the HTTP connection managers of a listener's filter chains. */
function routesOfListener(bytes: Uint8Array): readonly string[] {
  const filters = [...valuesAt(bytes, [3, 3, 4]), ...valuesAt(bytes, [25, 3, 4]), ...valuesAt(bytes, [19, 1])];
  return filters
    .filter((any) => textsAt(any, [1])[0]?.endsWith(HTTP_CONNECTION_MANAGER) === true)
    .flatMap((any) => textsAt(any, [2, 3, 2]));
}

/** RouteAction.cluster, .weighted_clusters.clusters.name, .request_mirror_policies.cluster. */
const CLUSTERS_OF_ACTION: readonly (readonly number[])[] = [[1], [3, 1, 1], [30, 1]];

/** Clusters that a virtual host routes, splits or mirrors to. */
function clustersOfVirtualHost(bytes: Uint8Array): readonly string[] {
  const actions = valuesAt(bytes, [3, 2]);
  return CLUSTERS_OF_ACTION.flatMap((path) => actions.flatMap((action) => textsAt(action, path)));
}

/**
 * What is referred to: of a cluster its ClusterLoadAssignment, of a listener its route configurations, of a route
 * configuration or virtual host its clusters. Bytes that are no such message refer to nothing: Envoy will refuse them.
 */
export function referencesOf(typeUrl: TypeUrl, bytes: Uint8Array): readonly string[] {
  try {
    switch (typeUrl) {
      case TYPE_URL.cluster:
        return endpointsOfCluster(bytes);
      case TYPE_URL.listener:
        return routesOfListener(bytes);
      case TYPE_URL.route:
        return valuesAt(bytes, [2]).flatMap(clustersOfVirtualHost);
      case TYPE_URL.virtualHost:
        return clustersOfVirtualHost(bytes);
      default:
        return [];
    }
  } catch {
    return [];
  }
}
