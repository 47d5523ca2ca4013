/** Patches of clusters. */
import { clone, equals } from '@bufbuild/protobuf';
import { EXTENSIONS } from '../../envoy-api/extensions.ts';
import { type Cluster, ClusterSchema } from '../../gen/envoy/config/cluster/v3/cluster_pb.ts';
import { TransportSocketSchema } from '../../gen/envoy/config/core/v3/base_pb.ts';
import type { ClusterMatch, EnvoyPatch } from '../../model/envoy-filter.ts';
import { mergeMessage } from './merge-message.ts';
import { patchValue } from './patch-value.ts';

interface ClusterName {
  readonly direction: string;
  readonly port: number;
  readonly subset: string;
  readonly host: string;
}

function parseName(name: string): ClusterName | undefined {
  const [direction = '', port = '', subset = '', host] = name.split('|');
  return host === undefined ? undefined : { direction, port: Number(port), subset, host: host.split('~')[0] ?? host };
}

function isOfContext(patch: EnvoyPatch, name: string, gateway: boolean): boolean {
  const { context } = patch;
  if (context === 'ANY') return true;
  if (name.startsWith('inbound|')) return context === 'SIDECAR_INBOUND';
  return context === 'SIDECAR_OUTBOUND' || (context === 'GATEWAY' && gateway);
}

function isMeant(match: ClusterMatch | undefined, name: string, canonical: (host: string) => string): boolean {
  if (match === undefined) return true;
  if (match.name !== undefined) return match.name === name;
  const { portNumber, service, subset } = match;
  if (portNumber === undefined && service === undefined && subset === undefined) return true;
  const parts = parseName(name);
  if (parts === undefined) return false;
  return (
    (portNumber === undefined || portNumber === parts.port) &&
    (subset === undefined || subset === parts.subset) &&
    (service === undefined || parts.direction === 'inbound' || canonical(service) === parts.host)
  );
}

/** A socket merges into the one of its name alone; a cluster that chooses among sockets may have it under another field. */
function mergeCluster(cluster: Cluster, patch: EnvoyPatch): Cluster {
  const options = { extensions: EXTENSIONS, lists: patch.operation === 'MERGE' ? 'append' : 'replace' } as const;
  const value = patchValue(ClusterSchema, patch.value);
  const { transportSocket } = value;
  if (transportSocket !== undefined) {
    delete value.transportSocket;
    const socket = [
      cluster.transportSocket,
      ...cluster.transportSocketMatches.map((match) => match.transportSocket),
    ].filter((one) => one?.name === transportSocket.name);
    for (const one of socket) if (one !== undefined) mergeMessage(TransportSocketSchema, one, transportSocket, options);
    if (cluster.transportSocket === undefined && cluster.transportSocketMatches.length === 0)
      cluster.transportSocket = transportSocket;
  }
  return mergeMessage(ClusterSchema, cluster, value, options);
}

export interface ClusterPatching {
  /** Whether the host is a gateway as well, so that its calls are of both contexts. */
  readonly gateway: boolean;
  readonly canonical: (host: string) => string;
}

/** The cluster as patched; the same object when no patch is for it; undefined when it is removed. */
export function patchCluster(
  cluster: Cluster,
  patches: readonly EnvoyPatch[],
  of: ClusterPatching,
): Cluster | undefined {
  const meant = patches.filter(
    (patch) =>
      patch.applyTo === 'CLUSTER' &&
      patch.operation !== 'ADD' &&
      isOfContext(patch, cluster.name, of.gateway) &&
      isMeant(patch.match.cluster, cluster.name, of.canonical),
  );
  if (meant.length === 0) return cluster;
  if (meant.some(({ operation }) => operation === 'REMOVE')) return undefined;
  const patched = meant.reduce(mergeCluster, clone(ClusterSchema, cluster));
  return equals(ClusterSchema, patched, cluster) ? cluster : patched;
}

/** Clusters that patches add. */
export function addedClusters(patches: readonly EnvoyPatch[]): readonly Cluster[] {
  return patches
    .filter(({ applyTo, operation }) => applyTo === 'CLUSTER' && operation === 'ADD')
    .map(({ value }) => patchValue(ClusterSchema, value));
}
