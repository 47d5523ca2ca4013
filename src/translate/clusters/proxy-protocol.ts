/** Connections that begin with a PROXY protocol header, which tells the server the caller's address. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ClusterSchema } from '../../gen/envoy/config/cluster/v3/cluster_pb.ts';
import { type TransportSocketSchema } from '../../gen/envoy/config/core/v3/base_pb.ts';
import { ProxyProtocolConfig_Version } from '../../gen/envoy/config/core/v3/proxy_protocol_pb.ts';
import { ProxyProtocolUpstreamTransportSchema } from '../../gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.ts';
import { RawBufferSchema } from '../../gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.ts';
import { pack } from '../messages.ts';

type Socket = MessageInitShape<typeof TransportSocketSchema>;
type Sockets = Pick<
  MessageInitShape<typeof ClusterSchema>,
  'transportSocket' | 'transportSocketMatches' | 'transportSocketMatcher'
>;

/** Plain text. */
export const RAW_BUFFER: Socket = {
  name: 'envoy.transport_sockets.raw_buffer',
  configType: { case: 'typedConfig', value: pack(RawBufferSchema, {}) },
};

const VERSIONS = { V1: ProxyProtocolConfig_Version.V1, V2: ProxyProtocolConfig_Version.V2 } as const;

function behindHeader(version: 'V1' | 'V2', transportSocket: Socket): Socket {
  return {
    name: 'envoy.transport_sockets.upstream_proxy_protocol',
    configType: {
      case: 'typedConfig',
      value: pack(ProxyProtocolUpstreamTransportSchema, { config: { version: VERSIONS[version] }, transportSocket }),
    },
  };
}

/** The same sockets, each behind the header; without a version as they are. */
export function withProxyProtocol(version: 'V1' | 'V2' | undefined, sockets: Sockets): Sockets {
  if (version === undefined) return sockets;
  const { transportSocketMatches: matches } = sockets;
  return {
    ...sockets,
    transportSocket: behindHeader(version, sockets.transportSocket ?? RAW_BUFFER),
    ...(matches !== undefined && {
      transportSocketMatches: matches.map(({ name = '', match = {}, transportSocket = RAW_BUFFER }) => ({
        name,
        match,
        transportSocket: behindHeader(version, transportSocket),
      })),
    }),
  };
}
