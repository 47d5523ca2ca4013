/** Patches of clusters. */
import { clone, equals } from '@bufbuild/protobuf';
import { type Cluster, ClusterSchema } from '../../gen/envoy/config/cluster/v3/cluster_pb.ts';
import { TransportSocketSchema } from '../../gen/envoy/config/core/v3/base_pb.ts';
import type { ClusterMatch, EnvoyPatch } from '../../model/envoy-filter.ts';
import { mergeMessage } from './merge-message.ts';
import { mergeOptions } from './patch-routes.ts';
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

function isOfCallers(patch: EnvoyPatch, name: string, { gateway, sidecar }: ClusterPatching): boolean {
  const { context } = patch;
  if (context === 'ANY') return true;
  if (name.startsWith('inbound|')) return context === 'SIDECAR_INBOUND';
  return (context === 'SIDECAR_OUTBOUND' && sidecar) || (context === 'GATEWAY' && gateway);
}

/** Whether what a patch adds is for a host of such roles. */
export function isOfHost({ context }: EnvoyPatch, of: Pick<ClusterPatching, 'gateway' | 'sidecar'>): boolean {
  return context === 'ANY' || (context === 'GATEWAY' ? of.gateway : of.sidecar);
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
  const options = mergeOptions(patch);
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
  /** Whether gateways of the host call; clusters are shared, so that on some hosts both hold. */
  readonly gateway: boolean;
  /** Whether workloads of the host do. */
  readonly sidecar: boolean;
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
      isOfCallers(patch, cluster.name, of) &&
      isMeant(patch.match.cluster, cluster.name, of.canonical),
  );
  if (meant.length === 0) return cluster;
  if (meant.some(({ operation }) => operation === 'REMOVE')) return undefined;
  const patched = meant.reduce(mergeCluster, clone(ClusterSchema, cluster));
  return equals(ClusterSchema, patched, cluster) ? cluster : patched;
}

/** Clusters that patches add. */
export function addedClusters(
  patches: readonly EnvoyPatch[],
  of: Pick<ClusterPatching, 'gateway' | 'sidecar'>,
): readonly Cluster[] {
  return patches
    .filter((patch) => patch.applyTo === 'CLUSTER' && patch.operation === 'ADD' && isOfHost(patch, of))
    .map(({ value }) => patchValue(ClusterSchema, value));
}
