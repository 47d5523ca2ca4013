/** How connections to peers that answer no more come to their end (decision 12). */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ClusterSchema } from '../../gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { ConnectionPool } from '../../model/destination-rule.ts';
import type { MeshConfig } from '../../model/mesh-config.ts';

type ClusterInit = MessageInitShape<typeof ClusterSchema>;

/** A peer that has acknowledged nothing for so long is gone; the kernel alone would wait a quarter of an hour. */
const SILENT_PEER_MS = 10_000;
/** An idle connection is looked at this often, so that none to a machine that has lost its power is used again. */
const KEEPALIVE_MS = { timeMs: 15_000, intervalMs: 5000 };
/** `TCP_USER_TIMEOUT` of Linux, which Envoy has no field for. */
const USER_TIMEOUT: Pick<ClusterInit, 'upstreamBindConfig'> = {
  upstreamBindConfig: {
    socketOptions: [{ level: 6n, name: 18n, value: { case: 'intValue', value: BigInt(SILENT_PEER_MS) } }],
  },
};

/** The rule's keepalive, else the mesh's, else ours. */
export function deadPeers(
  pool: ConnectionPool | undefined,
  config: Pick<MeshConfig, 'tcpKeepalive'>,
): Pick<ClusterInit, 'upstreamConnectionOptions' | 'upstreamBindConfig'> {
  const keepalive = pool?.tcpKeepalive ?? config.tcpKeepalive;
  const probes = keepalive?.probes;
  const timeMs = keepalive?.timeMs ?? KEEPALIVE_MS.timeMs;
  const intervalMs = keepalive?.intervalMs ?? KEEPALIVE_MS.intervalMs;
  return {
    ...USER_TIMEOUT,
    upstreamConnectionOptions: {
      tcpKeepalive: {
        ...(probes !== undefined && { keepaliveProbes: probes }),
        keepaliveTime: Math.ceil(timeMs / 1000),
        keepaliveInterval: Math.ceil(intervalMs / 1000),
      },
    },
  };
}
